"""A DAG for Airflow 3: every night at two, sixteen shards, then their merge.

products.csv lies in a folder that all workers share. API_TOKEN is in the environment of the workers.
"""

from __future__ import annotations

import datetime
import subprocess

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task

FOLDER = "/srv/catalogue"
URL = "https://api.example.com/products/{sku}"
SHARDS = 16

#: Exit codes that no other try makes better. All others, and signals, are tried again.
FINAL = {1, 2, 65, 66, 73, 76, 77, 78}


def skufetch(*words: str) -> None:
    """Runs the command. A task that Airflow stops ends it by SIGTERM, and it drains."""
    with subprocess.Popen(["skufetch", *words, "--output=out.json", "--lock-wait=10m"], cwd=FOLDER) as process:
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    if code in FINAL:
        raise AirflowFailException(f"skufetch ended with {code}: the log says why")
    if code != 0:
        raise RuntimeError(f"skufetch ended with {code}: it is tried again")


@dag(
    schedule="0 2 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 6, "retry_delay": datetime.timedelta(minutes=1), "retry_exponential_backoff": True},
)
def catalogue() -> None:
    # At most four at a time. Each try of a task, and a run that is cleared, goes on under the same name.
    @task(max_active_tis_per_dagrun=4)
    def fetch(shard: int, ds: str | None = None) -> None:
        skufetch(
            "products.csv",
            f"--url={URL}",
            "--header=Authorization: Bearer ${API_TOKEN}",
            f"--shard={shard}/{SHARDS}",
            f"--run-id={ds}",
        )

    @task
    def merge(ds: str | None = None) -> None:
        skufetch("merge", f"--run-id={ds}")

    fetch.expand(shard=list(range(SHARDS))) >> merge()


catalogue()
