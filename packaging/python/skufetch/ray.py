"""`fetch` for a Dataset of Ray. docs/python.md describes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._answers import RANGE, StreamJob, arrow_rows, arrow_schema, stored, streamed
from ._engine import call_of
from ._frames import import_engine
from ._shards import RETRIED, Job, Outcome, ranges_of, run_shard

#: How often a shard is run again whose worker was lost, or which ended with what another attempt may fix.
_RETRIES = 8


def fetch(
    ds: Any,
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
    """Asks an API for every SKU of a Dataset, and gives a lazy Dataset of the answers.

    Its columns are `key`, `status`, `attempts`, `fetched_at`, `body` (JSON) and `error`, one row for each SKU.

    With `path`, a folder that the driver and all workers share, the requests are sent now, by `shards` tasks (16), and
    each SKU is asked for once, whatever Ray runs twice. The same call with the same rows, `path` and `run_id` goes on
    after any stop, and asks for nothing that is there. The answers lie in `path`/out.jsonl.

    Without `path` each block asks for its rows whenever Ray computes it, and a `UserWarning` says so.

    `errors` is "return" (failed SKUs are rows with `error`), "ignore", or with `path` "raise". All other parameters are
    those of `skufetch.fetch`; `rate` and `concurrency` are those of one task.

    Raises what `skufetch.fetch` raises, and `ModuleNotFoundError` without ray and pyarrow.
    """
    import_engine("ray", "ray[data]")
    data = import_engine("ray.data", "ray[data]")
    if not hasattr(ds, "map_batches") or not hasattr(ds, "iter_batches"):
        raise TypeError(f"ds is a Dataset of Ray, not {type(ds).__name__}")
    call = call_of(
        ds.columns() or [],
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
    chosen = ds.select_columns(call.columns)
    if path is None:
        return chosen.map_batches(_Stream(call.stream()), batch_size=None, batch_format="pyarrow")
    job = call.run(arrow_rows(chosen.iter_batches(batch_format="pyarrow")), _schedule)
    ranges = ranges_of(job.output, RANGE)
    numbers = data.range(len(ranges), override_num_blocks=len(ranges))
    read = _Read(job.output, ranges, call.with_failures)
    return numbers.map_batches(read, batch_size=None, batch_format="pyarrow")


def _schedule(job: Job) -> Iterable[Outcome]:
    ray = import_engine("ray", "ray[data]")
    task = ray.remote(run_shard).options(
        max_retries=_RETRIES, retry_exceptions=list(RETRIED), scheduling_strategy="SPREAD", name="skufetch shard"
    )
    running = [task.remote(job, number) for number in range(job.shards)]
    try:
        # After Ctrl-C the stop file ends them. `ray.cancel` of a task that has just ended aborts the driver (Ray 2.60).
        found = ray.get(running)
    except ray.exceptions.RayTaskError as error:
        # The exception of the task, as all other ways raise it.
        if isinstance(error.cause, RETRIED):
            raise error.cause from None
        raise
    return list(found)


class _Stream:
    """Asks for the rows of a block."""

    def __init__(self, job: StreamJob) -> None:
        self.job = job

    def __call__(self, table: Any) -> Iterator[Any]:
        pyarrow = import_engine("pyarrow", "pyarrow")
        schema = arrow_schema()
        # The order of the columns is that of the block.
        table = table.select(list(self.job.header))
        yield schema.empty_table()
        for columns in streamed(self.job, arrow_rows([table])):
            yield pyarrow.Table.from_pydict(columns, schema=schema)


class _Read:
    """Reads a range of the output."""

    def __init__(self, path: str, ranges: list[tuple[int, int | None]], with_failures: bool) -> None:
        self.path = path
        self.ranges = ranges
        self.with_failures = with_failures

    def __call__(self, table: Any) -> Iterator[Any]:
        pyarrow = import_engine("pyarrow", "pyarrow")
        schema = arrow_schema()
        yield schema.empty_table()
        for (number,) in arrow_rows([table]):
            for columns in stored(self.path, self.ranges[number], self.with_failures):
                yield pyarrow.Table.from_pydict(columns, schema=schema)
