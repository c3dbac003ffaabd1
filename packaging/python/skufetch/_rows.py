"""What the caller hands over, as the CSV that the command reads."""

from __future__ import annotations

import datetime
import decimal
import enum
import itertools
import json
import math
import numbers
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

#: Rows of a frame that are turned into Python values at once.
_SLICE = 5_000
#: Bytes that are gathered before they are written to the command.
_CHUNK = 1 << 16
#: Rows that come more slowly than a chunk fills are written after so many seconds.
_FLUSH_AFTER = 0.05


#: The form of the CSV that is made here, by option: nothing is left to be found out, or to a config file.
FORM = {
    "delimiter": ",",
    "quote": '"',
    "escape": "none",
    "encoding": "utf-8",
    "skip-lines": "0",
    "input-format": "csv",
}


@dataclass
class Source:
    """Where the command reads its input from: a path, or chunks for its standard input."""

    #: The argument INPUT; "-" for standard input.
    path: str
    #: The bytes for standard input; None if there are none to be written.
    chunks: Iterator[bytes] | None = None
    #: Whether the chunks are a CSV that was made here, with commas and every cell quoted.
    is_made_here: bool = False


def source_of(rows: Any, key: str | None, fieldnames: Sequence[str] | None, is_held: bool) -> Source:
    """The source of what the caller gave as rows. With `is_held` a CSV that ends early is a damaged one."""
    if isinstance(rows, (str, os.PathLike)):
        if fieldnames is not None:
            raise TypeError("fieldnames is for rows that are tuples; a file has its own header")
        path = os.fspath(rows)
        if not isinstance(path, str):
            raise TypeError("a path has to be text, not bytes")
        return Source(f"./{path}" if path.startswith("-") and path != "-" else path)
    if hasattr(rows, "read"):
        return Source("-", _file_chunks(rows))
    if isinstance(rows, (bytes, bytearray, Mapping)) or not hasattr(rows, "__iter__") and not _is_frame(rows):
        raise TypeError(
            f"rows are a path, an open file, a frame, or an iterable of SKUs or dicts, not {type(rows).__name__}"
        )
    return Source("-", _csv(rows, key, fieldnames, is_held), is_made_here=True)


def _file_chunks(file: Any) -> Iterator[bytes]:
    while True:
        block = file.read(_CHUNK)
        if not block:
            return
        yield block.encode() if isinstance(block, str) else bytes(block)


def _csv(rows: Any, key: str | None, fieldnames: Sequence[str] | None, is_held: bool) -> Iterator[bytes]:
    table = _frame_table(rows, key) if _is_frame(rows) else _table(rows, key, fieldnames)
    if table is None:
        return
    header, cells = table
    first_row = next(cells, _NOTHING)
    if first_row is _NOTHING:
        return
    cells = itertools.chain([first_row], cells)
    if len(set(header)) < len(header):
        raise ValueError(f"two columns have the same name: {', '.join(header)}")
    at = _key_position(header, key)
    text = itertools.chain([_line(header)], (_row_line(row, header, at, n) for n, row in enumerate(cells)))
    yield from _chunks(text, is_held)


def _chunks(lines: Iterator[str], is_held: bool) -> Iterator[bytes]:
    """Lines in blocks. Held: the last quote and line end are kept back until more comes or all has come, so that
    a CSV that ends early, because this process was killed, ends inside a quote, and the command refuses it."""
    gathered: list[str] = []
    # Small blocks first: what was taken from the rows must not wait long for a row that takes its time.
    limit, size, since, kept = 1, 0, time.monotonic(), b""
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size < limit and time.monotonic() - since < _FLUSH_AFTER:
            continue
        block = kept + _encoded(gathered)
        kept = block[-2:] if is_held else b""
        yield block[:-2] if is_held else block
        gathered, size, since = [], 0, time.monotonic()
        limit = min(2 * limit, _CHUNK)
    rest = kept + _encoded(gathered)
    if rest:
        yield rest


def _encoded(lines: list[str]) -> bytes:
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError as error:
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise ValueError(f"a cell holds half of a surrogate pair, which no UTF-8 can hold: {around!r}") from None


def _line(cells: Iterable[str]) -> str:
    return '"' + '","'.join([cell.replace('"', '""') for cell in cells]) + '"\n'


def _row_line(row: Sequence[Any], header: Sequence[str], key_at: int | None, number: int) -> str:
    cells = []
    for at, value in enumerate(row):
        if type(value) is str:
            cells.append(value)
            continue
        # The scalars of pyarrow.
        value = value.as_py() if hasattr(value, "as_py") else value
        try:
            cells.append(_key_text(value) if at == key_at else _text(value))
        except (TypeError, ValueError) as error:
            raise type(error)(f"row {number} (from 0), column {header[at]!r}: {error}") from None
    # A row of empty cells alone is no row for the command. With a cell too many it fails, and is not lost.
    return _line(cells if any(cells) else [*cells, "every cell of this row is empty"])


def _key_position(header: Sequence[str], key: str | None) -> int | None:
    """Where the key stands, by the rules of the command; None if it will refuse the header."""
    wanted = "sku" if key is None else key
    if wanted in header:
        return list(header).index(wanted)
    alike = [at for at, name in enumerate(header) if name.strip().lower() == wanted.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    if wanted.startswith("#") and wanted[1:].isdigit():
        return int(wanted[1:]) - 1
    return 0 if len(header) == 1 else None


def _key_text(value: Any) -> str:
    """A key as text. Whatever might not be the SKU that was meant is refused."""
    if isinstance(value, bool) or not (
        value is None
        or _is_missing(value)
        or isinstance(value, (str, numbers.Real, decimal.Decimal, uuid.UUID))
        or hasattr(value, "item")
    ):
        raise TypeError(f"{value!r} is no SKU: give text or a whole number")
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral) and abs(float(value)) >= 2**53:
        raise ValueError(f"{value!r} is a float, which has lost digits: read the column as text")
    return _text(value)


def _text(value: Any) -> str:
    """A value as the text of a cell; a missing one is an empty cell."""
    if isinstance(value, str):
        return value.value if isinstance(value, enum.Enum) else str(value)
    if value is None or _is_missing(value):
        return ""
    if isinstance(value, enum.Enum):
        return _text(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, numbers.Real):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_text)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return _text(value.item())
    return str(value)


def _is_missing(value: Any) -> bool:
    """NaN, and what pandas calls NaT and NA."""
    if isinstance(value, numbers.Real):
        return math.isnan(value)
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return type(value).__name__ in ("NaTType", "NAType") and type(value).__module__.startswith("pandas")


_NOTHING: Any = object()
_Table = tuple[list[str], Iterator[Sequence[Any]]]


def _table(rows: Iterable[Any], key: str | None, fieldnames: Sequence[str] | None) -> _Table | None:
    """Header and rows of an iterable, whose first row says what the others are; None if it is empty."""
    values = iter(rows)
    first = next(values, _NOTHING)
    if first is _NOTHING:
        return None
    values = itertools.chain([first], values)
    if hasattr(first, "keys"):
        names = list(fieldnames if fieldnames is not None else first.keys())
        return [str(name) for name in names], (_of_mapping(row, names, n) for n, row in enumerate(values))
    names = _attributes(first)
    if names:
        return names, ([getattr(row, name) for name in names] for row in values)
    if isinstance(first, (list, tuple)):
        if fieldnames is None:
            raise TypeError("rows that are tuples need fieldnames=('sku', …), the name of each column")
        return list(fieldnames), (_of_sequence(row, len(fieldnames), n) for n, row in enumerate(values))
    if fieldnames is not None and len(fieldnames) != 1:
        raise TypeError(f"each row is one value, and fieldnames has {len(fieldnames)} names")
    named = fieldnames[0] if fieldnames else "sku" if key is None or key.startswith("#") else key
    return [named], ((value,) for value in values)


def _attributes(row: Any) -> list[str]:
    """The fields of a named tuple or a data class; none for other values."""
    if is_dataclass(row):
        return [field.name for field in fields(row)]
    return [str(name) for name in getattr(row, "_fields", ())]


def _of_mapping(row: Any, names: Sequence[Any], number: int) -> list[Any]:
    keys = row.keys() if hasattr(row, "keys") else None
    if keys is None:
        raise TypeError(f"row {number} (from 0) is {type(row).__name__}, the first one a dict")
    held = set(keys)
    extra = held.difference(names)
    if extra:
        raise ValueError(
            f"row {number} (from 0) has {', '.join(sorted(map(repr, extra)))}, which the first row lacks: "
            "name all columns with fieldnames=, or give each row the same keys"
        )
    return [row[name] if name in held else None for name in names]


def _of_sequence(row: Any, count: int, number: int) -> Sequence[Any]:
    if not isinstance(row, (list, tuple)) or len(row) != count:
        raise ValueError(f"row {number} (from 0) has not {count} values, as fieldnames says: {row!r}")
    return row


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_frame(rows: Any) -> bool:
    if type(rows).__name__ == "LazyFrame" and _library(rows) == "polars":
        return True
    tabular = type(rows).__name__ in ("DataFrame", "Table", "RecordBatch", "RecordBatchReader")
    return tabular and _library(rows) in ("pandas", "polars", "pyarrow", "geopandas")


def _frame_table(frame: Any, key: str | None) -> _Table | None:
    """Header and rows of a frame of pandas, polars or pyarrow."""
    library = _library(frame)
    if library == "polars":
        if type(frame).__name__ == "LazyFrame":
            frame = frame.collect()
        slices = (part.get_columns() for part in frame.iter_slices(_SLICE))
        return list(frame.columns), _transposed([column.to_list() for column in part] for part in slices)
    if library == "pyarrow":
        batches = frame.to_batches() if hasattr(frame, "to_batches") else [frame]
        if type(frame).__name__ == "RecordBatchReader":
            batches = frame
        parts = (batch.slice(at, _SLICE) for batch in batches for at in range(0, batch.num_rows, _SLICE))
        return list(frame.schema.names), _transposed([column.to_pylist() for column in part.columns] for part in parts)
    # The key may be the index of a pandas frame.
    if key is not None and key not in frame.columns and key in frame.index.names:
        frame = frame.reset_index()
    if getattr(frame.columns, "nlevels", 1) > 1:
        raise TypeError("the columns of the frame have several levels: join their names first")
    parts = (frame.iloc[at : at + _SLICE] for at in range(0, len(frame), _SLICE))
    columns = range(len(frame.columns))
    return [str(name) for name in frame.columns], _transposed(
        [part.iloc[:, n].tolist() for n in columns] for part in parts
    )


def frame_rows(frame: Any) -> Iterator[Sequence[Any]]:
    """The rows of a frame of pandas, polars or pyarrow, without its header."""
    table = _frame_table(frame, None)
    return iter(()) if table is None else table[1]


def _transposed(parts: Iterable[list[list[Any]]]) -> Iterator[Sequence[Any]]:
    for columns in parts:
        yield from zip(*columns)
