"""`rows`: what became of each row, as soon as it is decided."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ._binary import chosen_binary, options_of
from ._child import Child
from ._lines import Entry, Loads, chosen_loads, entry_of
from ._options import arguments
from ._rows import FORM, source_of


@dataclass(frozen=True)
class Row:
    """What became of one row: it has a body, an error, or neither."""

    #: The number of the row, from 0.
    seq: int
    #: The SKU; None if the row has none that can be read.
    key: str | None
    #: The HTTP status; None without an answer.
    status: int | None = None
    #: Requests that were sent for it.
    attempts: int = 0
    #: When the answer came, as ISO 8601 in UTC.
    fetched_at: str | None = None
    #: The body; None also where the API's answer is null.
    body: Any = None
    #: Why there is no body; None if nothing failed.
    error: str | None = None
    #: The number of an earlier row with the same SKU, whose answer is also that of this row.
    same_as: int | None = None
    #: Whether it was left to a later run, because the API is down or asked for a long wait.
    deferred: bool = False
    #: Whether it was skipped, as `empty_key="skip"` says.
    skipped: bool = False


def rows(
    rows: Any,
    *,
    url: str | None = None,
    key: str | None = None,
    env: Mapping[str, str] | None = None,
    fieldnames: Sequence[str] | None = None,
    raw: bool = False,
    parse_float: Callable[[str], Any] | None = None,
    loads: Callable[[bytes], Any] | None = None,
    config: str | os.PathLike[str] | None = None,
    binary: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Generator[Row, None, None]:
    """Asks an API for every SKU of `rows`, and gives a `Row` for every row as soon as it is decided, in any order.

    It is `fetch(stream=True)` with one value for each row that went in: failed rows, repeats and rows without a SKU are
    there too, and none of them raises an exception. `rows` may have no end: an answer comes while later rows are still
    to be given. All parameters are those of `fetch`; what needs an output file is not among them.

    Closing the iterator stops the command, as Ctrl-C does. Raises what `fetch` raises: `TryLater` after the last row if
    some were deferred.
    """
    chosen = chosen_loads(raw, parse_float, loads)
    command = chosen_binary(binary)
    source = source_of(rows, key, fieldnames, is_held=False)
    words, variables = stream_arguments(
        command, {"url": url, "key": key, **options}, is_made_here=source.is_made_here, config=config
    )
    child = Child([command, *words, "--", source.path], {**os.environ, **(env or {}), **variables}, source, False)
    return _rows(child, chosen)


def stream_arguments(
    command: str, given: Mapping[str, Any], *, is_made_here: bool, config: str | os.PathLike[str] | None
) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables of a run with `--stream`."""
    if "output" in given:
        raise TypeError("a stream goes to no file: fetch() has output=")
    known = options_of(command)
    words, variables = arguments(known, {**given, "stream": True}, is_made_here=is_made_here, has_output=False)
    if is_made_here:
        words += [f"--{name}={value}" for name, value in FORM.items() if name in known]
        variables["SKUFETCH_NO_HEADERS"] = "false"
    words += ["--output=-", "--format=jsonl", "--log-format=json", "--progress=plain", "-v"]
    words.append(f"--config={os.devnull if config is None else os.fspath(config)}")
    return words, variables


def stream_entries(child: Child) -> Generator[Entry, None, None]:
    """The lines of a stream; at its end the exception for how it ended."""
    with contextlib.closing(child.lines()) as lines:
        for line in lines:
            entry = entry_of(line)
            if entry is None:
                raise RuntimeError(f"skufetch wrote a line that this module cannot read: {line[:200]!r}")
            yield entry
    error = child.error()
    if error is not None:
        raise error


def _rows(child: Child, loads: Loads) -> Generator[Row, None, None]:
    with contextlib.closing(stream_entries(child)) as entries:
        for entry in entries:
            yield _row(entry, loads)


def _row(entry: Entry, loads: Loads) -> Row:
    about = {"seq": -1 if entry.seq is None else entry.seq, "key": entry.key, **entry.record()}
    if entry.kind == "body":
        try:
            return Row(**about, body=loads(entry.content))
        except (ValueError, ArithmeticError) as error:
            return Row(**about, error=f"the body cannot be read: {error}")
    return Row(**about, **{entry.kind: json.loads(entry.content)})
