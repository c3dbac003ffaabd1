"""Answers as the rows of an engine's frame, and the lazy way to them: a stream in each partition."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._binary import chosen_binary
from ._child import Child
from ._frames import import_engine
from ._lines import Entry
from ._rows import source_of
from ._shards import entries_of
from ._stream import stream_arguments, stream_entries

#: The columns of every engine's frame, with the names of Spark's types.
COLUMNS = {
    "key": "string",
    "status": "int",
    "attempts": "int",
    "fetched_at": "string",
    "body": "string",
    "error": "string",
}
#: Bytes of the output that are one partition of the frame.
RANGE = 32 << 20
#: Answers that are handed over at once.
_BATCH = 1_000

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class StreamJob:
    """What a task needs to ask for the rows of its partition."""

    header: tuple[str, ...]
    key: str | None
    words: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    with_failures: bool = True
    binary: str | None = None


def stream_job(
    header: Sequence[str],
    *,
    given: Mapping[str, Any],
    errors: str,
    env: Mapping[str, str] | None,
    config: str | os.PathLike[str] | None,
    binary: str | os.PathLike[str] | None,
) -> StreamJob:
    """The job of the lazy way. Raises `TypeError` for an option that has no meaning there."""
    path = None if config is None else os.path.abspath(config)
    words, variables = stream_arguments(chosen_binary(binary), given, is_made_here=True, config=path)
    named = None if binary is None else os.fspath(binary)
    return StreamJob(
        tuple(header), given.get("key"), tuple(words), {**(env or {}), **variables}, errors == "return", named
    )


def streamed(job: StreamJob, rows: Iterable[Sequence[Any]]) -> Iterator[Columns]:
    """The answers to these rows, as they come."""
    source = source_of(iter(rows), job.key, job.header, is_held=False)
    words = [chosen_binary(job.binary), *job.words, "--", source.path]
    child = Child(words, {**os.environ, **job.variables}, source, False)
    yield from gathered(stream_entries(child), job.with_failures)


def stored(path: str, part: tuple[int, int | None], with_failures: bool) -> Iterator[Columns]:
    """The answers whose lines begin in this range of the output."""
    yield from gathered(entries_of(path, part), with_failures)


def gathered(entries: Iterator[Entry], with_failures: bool) -> Iterator[Columns]:
    """Entries as columns. A body stays JSON: the engine need not know its shape, and its numbers keep their digits."""
    kept = (one for one in entries if one.kind == "body" or one.kind == "error" and with_failures)
    while part := list(itertools.islice(kept, _BATCH)):
        columns: Columns = {name: [] for name in COLUMNS}
        for entry in part:
            about = entry.record()
            columns["key"].append(entry.key)
            columns["status"].append(about.get("status"))
            columns["attempts"].append(about.get("attempts"))
            columns["fetched_at"].append(about.get("fetched_at"))
            columns["body"].append(entry.content.decode() if entry.kind == "body" else None)
            columns["error"].append(json.loads(entry.content) if entry.kind == "error" else None)
        yield columns


def arrow_schema() -> Any:
    """The schema of the columns in pyarrow."""
    arrow = import_engine("pyarrow", "pyarrow")
    types = {"string": arrow.string(), "int": arrow.int32()}
    return arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def arrow_rows(batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of batches or tables of pyarrow."""
    for batch in batches:
        for at in range(0, batch.num_rows, _BATCH):
            yield from zip(*[column.to_pylist() for column in batch.slice(at, _BATCH).columns])


def pandas_frame(parts: Iterable[Columns]) -> Any:
    """All parts as one frame of pandas."""
    pandas = import_engine("pandas", "pandas")
    whole: Columns = {name: [] for name in COLUMNS}
    for part in parts:
        for name, values in part.items():
            whole[name] += values
    types = {"string": "string", "int": "Int32"}
    return pandas.DataFrame({name: pandas.array(whole[name], dtype=types[kind]) for name, kind in COLUMNS.items()})
