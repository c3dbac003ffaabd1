"""`fetch` for a DataFrame of Spark. docs/python.md describes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._answers import COLUMNS, RANGE, StreamJob, arrow_rows, arrow_schema, stored, streamed
from ._engine import call_of
from ._frames import import_engine
from ._shards import Job, Outcome, ranges_of, run_shard

_SCHEMA = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
_OUTCOME = "shard int, code int, message string, hint string"


def fetch(
    df: Any,
    *,
    url: str | None = None,
    key: str | None = None,
    path: str | os.PathLike[str] | None = None,
    run_id: str | None = None,
    shards: int | None = None,
    errors: str = "return",
    env: Mapping[str, str] | None = None,
    config: str | os.PathLike[str] | None = None,
    binary: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Any:
    """Asks an API for every SKU of a DataFrame, and gives a lazy DataFrame of the answers.

    Its columns are `key`, `status`, `attempts`, `fetched_at`, `body` (JSON) and `error`, one row for each SKU.

    With `path`, a folder that the driver and all workers share, the requests are sent now, by `shards` tasks (16), and
    each SKU is asked for once, whatever Spark runs twice. The same call with the same rows, `path` and `run_id` goes on
    after any stop, and asks for nothing that is there. The answers lie in `path`/out.jsonl.

    Without `path` each partition asks for its rows whenever Spark computes it, and a `UserWarning` says so.

    `errors` is "return" (failed SKUs are rows with `error`), "ignore", or with `path` "raise". All other parameters are
    those of `skufetch.fetch`; `rate` and `concurrency` are those of one task.

    Raises what `skufetch.fetch` raises, and `ModuleNotFoundError` without pyspark and pyarrow.
    """
    import_engine("pyspark.sql", "pyspark[sql]")
    import_engine("pyarrow", "pyspark[sql]")
    if not hasattr(df, "mapInArrow"):
        raise TypeError(f"df is a DataFrame of Spark 3.3 or later, not {type(df).__name__}")
    call = call_of(
        df.columns,
        url=url,
        key=key,
        path=path,
        run_id=run_id,
        shards=shards,
        errors=errors,
        env=env,
        config=config,
        binary=binary,
        options=options,
    )
    # A name with a dot stands in backticks.
    chosen = df.select(*[f"`{name.replace('`', '``')}`" for name in call.columns])
    if path is None:
        return chosen.mapInArrow(_Stream(call.stream()), _SCHEMA)
    session = df.sparkSession

    def schedule(job: Job) -> Iterable[Outcome]:
        numbers = session.range(0, job.shards, 1, job.shards)
        return [Outcome(*row) for row in numbers.mapInArrow(_Shards(job), _OUTCOME).collect()]

    job = call.run(chosen.toLocalIterator(prefetchPartitions=True), schedule)
    ranges = ranges_of(job.output, RANGE)
    read = _Read(job.output, ranges, call.with_failures)
    return session.range(0, len(ranges), 1, len(ranges)).mapInArrow(read, _SCHEMA)


class _Shards:
    """Runs the shards whose numbers come."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        pyarrow = import_engine("pyarrow", "pyarrow")
        schema = pyarrow.schema(
            [
                ("shard", pyarrow.int32()),
                ("code", pyarrow.int32()),
                ("message", pyarrow.string()),
                ("hint", pyarrow.string()),
            ]
        )
        for (number,) in arrow_rows(batches):
            outcome = run_shard(self.job, number)
            values = (outcome.shard, outcome.code, outcome.message, outcome.hint)
            yield pyarrow.RecordBatch.from_arrays(
                [pyarrow.array([value], kind) for value, kind in zip(values, schema.types)], schema=schema
            )


class _Stream:
    """Asks for the rows of a partition."""

    def __init__(self, job: StreamJob) -> None:
        self.job = job

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        pyarrow = import_engine("pyarrow", "pyarrow")
        schema = arrow_schema()
        for columns in streamed(self.job, arrow_rows(batches)):
            yield pyarrow.RecordBatch.from_pydict(columns, schema=schema)


class _Read:
    """Reads a range of the output."""

    def __init__(self, path: str, ranges: list[tuple[int, int | None]], with_failures: bool) -> None:
        self.path = path
        self.ranges = ranges
        self.with_failures = with_failures

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        pyarrow = import_engine("pyarrow", "pyarrow")
        schema = arrow_schema()
        for (number,) in arrow_rows(batches):
            for columns in stored(self.path, self.ranges[number], self.with_failures):
                yield pyarrow.RecordBatch.from_pydict(columns, schema=schema)
