"""`fetch` for a frame of Dask. docs/python.md describes it."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ._answers import RANGE, StreamJob, pandas_frame, stored, streamed
from ._engine import call_of
from ._frames import import_engine
from ._rows import frame_rows
from ._shards import Job, Outcome, ranges_of, run_shard

#: How often a shard is run again that ended with what another attempt may fix. What Dask does about lost workers is
#: its setting `distributed.scheduler.allowed-failures`.
_RETRIES = 8


def fetch(
    ddf: Any,
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
    """Asks an API for every SKU of a frame of Dask, and gives a lazy frame of the answers.

    Its columns are `key`, `status`, `attempts`, `fetched_at`, `body` (JSON) and `error`, one row for each SKU.

    With `path`, a folder that the driver and all workers share, the requests are sent now, by `shards` tasks (16), and
    each SKU is asked for once, whatever Dask runs twice. The same call with the same rows, `path` and `run_id` goes on
    after any stop, and asks for nothing that is there. The answers lie in `path`/out.jsonl.

    Without `path` each partition asks for its rows whenever Dask computes it, and a `UserWarning` says so.

    `errors` is "return" (failed SKUs are rows with `error`), "ignore", or with `path` "raise". All other parameters are
    those of `skufetch.fetch`; `rate` and `concurrency` are those of one task.

    Raises what `skufetch.fetch` raises, and `ModuleNotFoundError` without dask.
    """
    frames = import_engine("dask.dataframe", "dask[dataframe]")
    if not hasattr(ddf, "map_partitions") or not hasattr(ddf, "to_delayed") or not hasattr(ddf, "columns"):
        raise TypeError(f"ddf is a frame of Dask, not {type(ddf).__name__}")
    call = call_of(
        list(ddf.columns),
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
    chosen = ddf[[name for name in ddf.columns if str(name) in call.columns]]
    empty = pandas_frame([])
    if path is None:
        return chosen.map_partitions(_Stream(call.stream()), meta=empty)
    job = call.run(_rows(chosen), _schedule)
    read = functools.partial(_read, job.output, call.with_failures)
    return frames.from_map(read, ranges_of(job.output, RANGE), meta=empty)


def _client() -> Any:
    """The client of the cluster, or None: then Dask computes in this process or this machine."""
    try:
        return import_engine("distributed", "distributed").default_client()
    except (ModuleNotFoundError, ValueError):
        return None


def _rows(frame: Any) -> Iterator[Sequence[Any]]:
    parts, client = frame.to_delayed(), _client()
    if client is None:
        return itertools.chain.from_iterable(frame_rows(part.compute()) for part in parts)
    # All in one graph: what partitions share is computed once.
    return itertools.chain.from_iterable(frame_rows(future.result()) for future in client.compute(list(parts)))


def _schedule(job: Job) -> Iterable[Outcome]:
    run, client = functools.partial(run_shard, job), _client()
    if client is None:
        delayed = import_engine("dask", "dask[dataframe]").delayed
        return list(import_engine("dask", "dask").compute(*[delayed(run, pure=False)(n) for n in range(job.shards)]))
    running = client.map(run, range(job.shards), pure=False, retries=_RETRIES)
    try:
        return list(client.gather(running))
    except BaseException:
        client.cancel(running)
        raise


class _Stream:
    """Asks for the rows of a partition."""

    def __init__(self, job: StreamJob) -> None:
        self.job = job

    def __call__(self, frame: Any) -> Any:
        return pandas_frame(streamed(self.job, frame_rows(frame)))


def _read(path: str, with_failures: bool, part: tuple[int, int | None]) -> Any:
    return pandas_frame(stored(path, part, with_failures))
