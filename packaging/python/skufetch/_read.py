"""Reads an output file line by line."""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Iterator
from typing import IO, Any, Callable, cast

from ._lines import Loads, chosen_loads, entry_of, member_of

#: Endings of names of tables, which csv and pandas read.
_TABLES = (".csv", ".csv.gz", ".csv.zst")

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def read(
    path: str | os.PathLike[str],
    *,
    raw: bool = False,
    parse_float: Callable[[str], Any] | None = None,
    loads: Callable[[bytes], Any] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Iterates `(key, body)` over a file that skufetch wrote, one line in memory at a time.

    The file may be json or jsonl, plain, gzip or zstd; this is seen from its bytes, not from its name. zstd needs
    Python 3.14, or the package `zstandard` or `backports.zstd`. With `shape="record"` a body is the record.

    `raw` gives the bytes of each body, `parse_float` is handed to `json.loads`, and `loads` replaces it.

    Raises `ValueError`, with the line, if the file is cut short or was not written by skufetch.
    """
    return _pairs(os.fspath(path), chosen_loads(raw, parse_float, loads))


def _pairs(path: str, loads: Loads) -> Iterator[tuple[str, Any]]:
    if path.lower().endswith(_TABLES):
        raise ValueError(f"{path} is a table: csv.DictReader or pandas.read_csv reads it")
    number = 0
    is_object = is_closed = False
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, 1):
                if is_closed:
                    raise ValueError("something follows the end of the object")
                if not line.endswith(b"\n"):
                    raise ValueError("the file is cut short here")
                if number == 1 and line == b"{\n":
                    is_object = True
                elif is_object and line == b"}\n":
                    is_closed = True
                else:
                    yield _pair(line[:-1], is_object, loads)
        # An empty file is a whole one only in the form jsonl, which the bytes cannot tell.
        if is_object != is_closed or number == 0 and ".jsonl" not in os.path.basename(path):
            raise ValueError("the file is cut short here")
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}, line {number}: {error}") from error


def _pair(line: bytes, is_object: bool, loads: Loads) -> tuple[str, Any]:
    if is_object:
        member = member_of(line)
        if member is None:
            raise ValueError("not a line that skufetch writes; json.load reads other JSON")
        return member[0], loads(member[1])
    entry = entry_of(line)
    if entry is None:
        raise ValueError("neither a line of json nor of jsonl as skufetch writes them")
    if entry.about or entry.kind != "body" or entry.key is None:
        # A record is read as a whole: its other members stand beside the body.
        return entry.key or "", loads(b"{" + line[line.index(b',"status":') + 1 :])
    return entry.key, loads(entry.content)


def _open(path: str) -> IO[bytes]:
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic.startswith(_GZIP):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if magic == _ZSTD:
        return _open_zstd(path)
    return open(path, "rb")


def _open_zstd(path: str) -> IO[bytes]:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return cast(IO[bytes], importlib.import_module(name).open(path, "rb"))
        except ModuleNotFoundError:
            continue
    try:
        zstandard = importlib.import_module("zstandard")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path} is zstd, which this Python cannot read: pip install zstandard, or use Python 3.14"
        ) from None
    import io

    opened = zstandard.open(path, "rb")
    return cast(IO[bytes], io.BufferedReader(opened))
