"""`fetch`, and the run that it gives."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Union,
)

from ._binary import chosen_binary, options_of
from ._child import Child
from ._errors import FailedKeys, Failure, SkufetchError
from ._frames import rows_of
from ._lines import Entry, Loads, chosen_loads, entry_of
from ._options import arguments
from ._read import read
from ._rows import FORM, source_of

if TYPE_CHECKING:
    import pandas
    import polars

_Path = Union[str, "os.PathLike[str]"]
_ERRORS = ("raise", "return", "ignore")


def fetch(
    rows: Any,
    *,
    url: str | None = None,
    key: str | None = None,
    output: _Path | None = None,
    errors: str = "raise",
    env: Mapping[str, str] | None = None,
    fieldnames: Sequence[str] | None = None,
    raw: bool = False,
    parse_float: Callable[[str], Any] | None = None,
    loads: Callable[[bytes], Any] | None = None,
    config: _Path | None = None,
    binary: _Path | None = None,
    **options: Any,
) -> Run:
    """Asks an API once for every SKU of `rows`, and gives an iterator of `(key, body)`.

    `rows` is a path, an open file, an iterable of SKUs, dicts, named tuples or data classes, an iterable of tuples
    (with `fieldnames`), or a frame of pandas, polars or pyarrow. An iterable is read as the command takes the rows, in
    the thread of the caller, and never held as a list.

    The command starts at the first `next()`. Answers come when all are there, in the order of the rows; with
    `stream=True`, where the command has it, as they come. With `output` they are written to that file, which can be
    resumed after any stop, and then read from it.

    `errors` says what happens to rows without an answer: "raise" raises `FailedKeys` after the last answer, "return"
    gives a `Failure` in place of the body, "ignore" leaves them out. All of them are in `Run.failures`.

    `env` holds variables for `${NAME}` in `url`, `headers`, `body` and `proxy`, which keeps secrets out of messages.
    `raw`, `parse_float` and `loads` are those of `read`. No config file is read unless `config` names one. All other
    keywords are the long options of the command, with `_` for `-`: `rate="200/s"`, `null_on=404`,
    `headers={"Accept": "…"}`. A number of seconds or a `timedelta` is a duration.

    Raises `TypeError` for an option that the command does not have, and `BinaryNotFound`; while iterating, the
    `SkufetchError` of the exit code.
    """
    if errors not in _ERRORS:
        raise ValueError(f"errors is one of {', '.join(map(repr, _ERRORS))}, not {errors!r}")
    chosen = chosen_loads(raw, parse_float, loads)
    command = chosen_binary(binary)
    source = source_of(rows, key, fieldnames, is_held=output is not None)
    given = {"url": url, "key": key, **options}
    known = options_of(command)
    words, variables = arguments(known, given, is_made_here=source.is_made_here, has_output=output is not None)
    if source.is_made_here:
        words += [f"--{name}={value}" for name, value in FORM.items() if name in known]
        variables["SKUFETCH_NO_HEADERS"] = "false"
    if output is None:
        words += ["--output=-", "--format=jsonl"]
        # The lines of a stream have the members of a record anyway.
        if "shape" not in options and not options.get("stream"):
            words.append("--shape=record")
    else:
        words.append(f"--output={os.fspath(output)}")
    # -v reports each failure as it happens.
    words += ["--log-format=json", "--progress=plain", "-v"]
    words.append(f"--config={os.devnull if config is None else os.fspath(config)}")
    environment = {**os.environ, **(env or {}), **variables}
    child = Child([command, *words, "--", source.path], environment, source, output is not None)
    return Run(child, output, _Reading(errors, chosen, options.get("shape") == "record"))


class _Reading:
    """How lines become what the caller gets."""

    def __init__(self, errors: str, loads: Loads, is_record: bool) -> None:
        self.errors = errors
        self.loads = loads
        self.is_record = is_record

    def pair(self, entry: Entry, failures: list[Failure]) -> tuple[Any, Any] | None:
        """What is given for a line; None for nothing."""
        if entry.kind == "error":
            about = entry.record()
            failure = Failure(entry.key, str(self._text(entry.content)), about.get("status"), about.get("attempts", 0))
            return (entry.key, failure) if self.errors == "return" and entry.key is not None else None
        if entry.kind != "body" or entry.key is None:
            return None
        try:
            body = self.loads(entry.content)
        except (ValueError, ArithmeticError) as error:
            about = entry.record()
            failure = Failure(
                entry.key, f"the body cannot be read: {error}", about["status"], about["attempts"], "unreadable here"
            )
            failures.append(failure)
            return (entry.key, failure) if self.errors == "return" else None
        if self.is_record and self.loads is not bytes:
            body = {**entry.record(), "body": body}
        elif self.is_record:
            body = b"{" + entry.about + b',"body":' + entry.content + b"}"
        return entry.key, body

    @staticmethod
    def _text(content: bytes) -> Any:
        import json

        return json.loads(content)


class Run(contextlib.AbstractContextManager["Run"], Iterator[tuple[str, Any]]):
    """An iterator of `(key, body)`, and what is known of its run. `dict(run)` is a dict of all answers.

    The command is stopped as by Ctrl-C, and waited for, when the run is closed, when its `with` block ends, when it is
    no longer referenced, and when Python ends.
    """

    def __init__(self, child: Child, output: _Path | None, reading: _Reading) -> None:
        self._child = child
        self._output = output
        self._reading = reading
        # The generator has no reference to this object: where that is dropped, the generator is closed at once.
        self._pairs = _generate(child, output, reading)

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> tuple[str, Any]:
        return next(self._pairs)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the command, if it runs, and waits until it is gone."""
        self._pairs.close()

    @property
    def failures(self) -> list[Failure]:
        """The rows that failed so far, each with its line."""
        return self._child.failures

    @property
    def summary(self) -> Mapping[str, Any]:
        """The fields of the event `finished` (docs/messages.md); empty until the command has ended."""
        return self._child.summary

    @property
    def exit_code(self) -> int | None:
        """The exit code; None until the command has ended."""
        return self._child.code

    def wait(self) -> Mapping[str, Any]:
        """Runs to the end without reading the answers, and gives the summary. Needs `output`."""
        if self._output is None:
            raise TypeError("wait() needs output='out.json': without it there is no file to leave the answers in")
        _finish(self._child)
        _raise_failures(self._child, self._reading)
        return self.summary

    def to_dict(self) -> dict[str, Any]:
        """All answers by key. An exception has those that came before it in `answers`."""
        found: dict[str, Any] = {}
        try:
            for key, body in self:
                found[key] = body
        except SkufetchError as error:
            error.answers = found
            raise
        return found

    def to_pandas(self) -> pandas.DataFrame:
        """A frame of pandas with a row for each answer, and the key as its index.

        The members of bodies that are objects are the columns; any other body stands in the column `body`. With
        `errors="return"` failed rows have `_error` and `_status`.
        """
        import pandas

        found = self.to_dict()
        index = pandas.Index(list(found), name="key", dtype="str")
        return pandas.DataFrame.from_records(rows_of(found.values()), index=index)

    def to_polars(self) -> polars.DataFrame:
        """A frame of polars, as `to_pandas`, with the key in the first column, `key`."""
        import polars

        found = self.to_dict()
        rows = rows_of(found.values())
        if any("key" in row for row in rows):
            raise ValueError("the bodies have a member 'key' beside the key: rename it with select=")
        keyed = [{"key": key, **row} for key, row in zip(found, rows)]
        return polars.DataFrame(keyed, schema_overrides={"key": polars.String}, infer_schema_length=None)


def _finish(child: Child) -> None:
    """Runs a command that writes a file to its end. Does nothing if it has ended."""
    if child.code is None:
        for _ in child.lines():
            pass
    error = child.error()
    if error is not None:
        raise error


def _raise_failures(child: Child, reading: _Reading) -> None:
    if reading.errors == "raise" and child.failures:
        first = child.failures[0]
        count = len(child.failures)
        named = "a row without a SKU" if first.key is None else first.key
        raise child.with_details(
            FailedKeys(
                f"{count} row{'s' if count > 1 else ''} failed, first {named}: {first.error}",
                hint="errors='return' gives them as Failure, errors='ignore' leaves them out",
            )
        )


def _generate(child: Child, output: _Path | None, reading: _Reading) -> Generator[tuple[str, Any], None, None]:
    if output is not None:
        _finish(child)
        yield from read(output, loads=reading.loads)
        if reading.errors == "return":
            yield from ((failure.key or "", failure) for failure in child.failures)
    else:
        with contextlib.closing(child.lines()) as lines:
            for line in lines:
                entry = entry_of(line)
                if entry is None:
                    raise RuntimeError(f"skufetch wrote a line that this module cannot read: {line[:200]!r}")
                pair = reading.pair(entry, child.failures)
                if pair is not None:
                    yield pair
        error = child.error()
        if error is not None:
            raise error
        if reading.errors == "return":
            yield from (("", failure) for failure in child.failures if failure.key is None)
    _raise_failures(child, reading)
