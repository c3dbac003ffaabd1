"""The input of a run of many processes: one CSV on a folder that all of them share, the same in every attempt."""

from __future__ import annotations

import contextlib
import filecmp
import heapq
import itertools
import json
import os
import pickle
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import IO, Any

from ._errors import InputError
from ._rows import _encoded, _key_position, _line, _row_line

#: Lines that are sorted in memory; more are sorted in files.
_SORTED_AT_ONCE = 500_000
#: Lines that are written or read at once.
_LINES = 5_000


def write_input(path: str, header: Sequence[str], key: str | None, rows: Iterable[Sequence[Any]]) -> bool:
    """Writes the rows as a CSV in one step, sorted, so that the order in which an engine gives them means nothing.

    A file with the same bytes stays as it is. Returns whether another input was replaced. Raises `InputError` if there
    are no rows.
    """
    if len(set(header)) < len(header):
        raise ValueError(f"two columns have the same name: {', '.join(header)}")
    at = _key_position(header, key)
    lines = (_row_line(row, header, at, number) for number, row in enumerate(rows))
    with contextlib.closing(_sorted(lines)) as ordered:
        first = next(ordered, None)
        if first is None:
            raise InputError("there are no rows", hint="an empty frame is more likely a fault; test for it before")
        with _replacement(path) as (file, temporary):
            for part in _parts(itertools.chain([_line(header), first], ordered)):
                file.write(_encoded(part))
            file.flush()
            if os.path.exists(path) and filecmp.cmp(temporary, path, shallow=False):
                return False
            is_other = os.path.exists(path)
            _put(file, temporary, path)
            return is_other


def recorded_shards(path: str, wanted: int | None, usual: int) -> int:
    """The number of shards of a run: that with which it was begun, which stands in a file.

    Raises `ValueError` if another one is wanted: its parts would not go together.
    """
    if wanted is not None and (isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1):
        raise ValueError(f"shards is a whole number from 1, not {wanted!r}")
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)["shards"]
    except FileNotFoundError:
        found = wanted or usual
        with _replacement(path) as (file, temporary):
            file.write(json.dumps({"shards": found}).encode() + b"\n")
            _put(file, temporary, path)
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is damaged", hint="remove it, and give the number of shards with shards=") from None
    if wanted not in (None, found):
        raise ValueError(f"this run was begun with {found} shards: leave out shards={wanted}, or give another run_id=")
    assert isinstance(found, int)
    return found


@contextlib.contextmanager
def _replacement(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """A file beside the path and its name, which is removed unless it was put there."""
    folder, name = os.path.split(path)
    # Only the owner can read it, like parts and journals.
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with open(handle, "wb") as file:
            yield file, temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _put(file: IO[bytes], temporary: str, path: str) -> None:
    file.flush()
    os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parts(lines: Iterator[str]) -> Iterator[list[str]]:
    while part := list(itertools.islice(lines, _LINES)):
        yield part


def _sorted(lines: Iterator[str]) -> Generator[str, None, None]:
    """The lines in the order of their characters, with at most so many in memory."""
    with contextlib.ExitStack() as files:
        runs: list[Iterator[str]] = []
        while True:
            run = sorted(itertools.islice(lines, _SORTED_AT_ONCE))
            if not runs and len(run) < _SORTED_AT_ONCE:
                yield from run
                return
            if not run:
                break
            file = files.enter_context(tempfile.TemporaryFile())
            for part in _parts(iter(run)):
                pickle.dump(part, file)
            file.seek(0)
            runs.append(_kept(file))
        yield from heapq.merge(*runs)


def _kept(file: IO[bytes]) -> Iterator[str]:
    while True:
        try:
            yield from pickle.load(file)
        except EOFError:
            return
