"""The driver of a check: one engine fetches a CSV, and is stopped with it. It runs in a process of its own.

driver.py ENGINE ADDRESS INPUT PATH URL CONCURRENCY SHARDS
"""

from __future__ import annotations

import os
import sys
from typing import Any


def spark(address: str, rows: str, options: dict[str, Any]) -> int:
    from pyspark.sql import SparkSession

    import skufetch

    builder = SparkSession.builder.master(address).appName("skufetch")
    for name, value in [
        ("spark.driver.host", "127.0.0.1"),
        ("spark.driver.bindAddress", "127.0.0.1"),
        ("spark.ui.enabled", "false"),
        ("spark.driver.memory", "512m"),
        ("spark.executor.memory", "512m"),
        ("spark.executor.cores", "1"),
        ("spark.sql.shuffle.partitions", "4"),
        ("spark.pyspark.python", sys.executable),
        ("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"]),
        ("spark.executorEnv.SKUFETCH_BINARY", os.environ["SKUFETCH_BINARY"]),
        ("spark.eventLog.enabled", "true"),
        ("spark.eventLog.compress", "false"),
        ("spark.eventLog.rolling.enabled", "false"),
        ("spark.eventLog.dir", f"file://{os.environ['CHECK_EVENTS']}"),
        # A worker that stands still is not taken for lost, however slow the machine is.
        ("spark.network.timeout", "600s"),
        # An attempt is speculative as soon as a quarter of the tasks were quicker.
        ("spark.speculation", os.environ.get("CHECK_SPECULATION", "false")),
        ("spark.speculation.interval", "200ms"),
        ("spark.speculation.quantile", "0.25"),
        ("spark.speculation.multiplier", "1.2"),
        ("spark.speculation.minTaskRuntime", "500ms"),
        # A shard reads no records of Spark, by which the efficiency of a task is judged.
        ("spark.speculation.efficiency.enabled", "false"),
    ]:
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    # Many partitions, and no order.
    frame = session.read.option("header", True).csv(f"file://{rows}").repartition(5)
    count = int(skufetch.spark.fetch(frame, **options).count())
    session.stop()
    return count


def ray(address: str, rows: str, options: dict[str, Any]) -> int:
    import ray as engine

    import skufetch

    variables = {name: os.environ[name] for name in ("PYTHONPATH", "SKUFETCH_BINARY")}
    engine.init(address=address, runtime_env={"env_vars": variables}, log_to_driver=False)
    frame = engine.data.read_csv(rows, override_num_blocks=4)
    return int(skufetch.ray.fetch(frame, **options).count())


def dask(address: str, rows: str, options: dict[str, Any]) -> int:
    import dask.dataframe
    import distributed

    import skufetch

    with distributed.Client(address):  # type: ignore[no-untyped-call]
        frame = dask.dataframe.read_csv(rows, dtype=str, blocksize="8kB")
        return len(skufetch.dask.fetch(frame, **options))


if __name__ == "__main__":
    engine, address, rows, path, url, concurrency, shards = sys.argv[1:]
    options = {"path": path, "url": url, "concurrency": int(concurrency), "shards": int(shards)}
    print({"spark": spark, "ray": ray, "dask": dask}[engine](address, rows, options), flush=True)
