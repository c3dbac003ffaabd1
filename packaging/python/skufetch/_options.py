"""Keyword arguments as the options of the command."""

from __future__ import annotations

import datetime
import difflib
import os
from collections.abc import Mapping
from typing import Any

from ._binary import Option

#: Options that may hold a secret. They go by the environment: a command line can be read by every user.
_BY_ENVIRONMENT = ("url", "header", "body", "proxy")

#: What cannot be given, and what is there in its place.
_RESERVED = {
    "help": "see docs/python.md",
    "version": "run skufetch --version",
    "dry_run": "run skufetch --dry-run",
    "quiet": "set the level of the logger 'skufetch'",
    "progress": "progress is logged to the logger 'skufetch' at level INFO",
    "log_format": "messages are logged to the logger 'skufetch'",
    "input": "the input is the first argument",
}

#: What describes a file's form: rows from Python have none.
_OF_FILES = (
    "delimiter",
    "quote",
    "escape",
    "encoding",
    "skip_lines",
    "no_headers",
    "input_format",
    "short_rows",
)

#: What describes the file that is written: answers that are handed over have none.
_OF_OUTPUT = ("format", "columns", "csv_bom", "merge", "prune", "changes", "guard", "max_age")


def arguments(
    known: Mapping[str, Option], given: Mapping[str, Any], *, is_made_here: bool, has_output: bool
) -> tuple[list[str], dict[str, str]]:
    """The command's arguments and the variables that go with them.

    Raises `TypeError` for an option that is unknown or out of place, or whose value has the wrong type.
    """
    given = dict(given)
    headers = _headers(given.pop("headers", None), given.pop("header", None))
    if headers is not None:
        given["header"] = headers
    words: list[str] = []
    variables: dict[str, str] = {}
    for name, value in given.items():
        option = _option(known, name)
        if is_made_here and name in _OF_FILES:
            raise TypeError(f"{name} is for a file: rows from Python have no such form")
        if not has_output and name in _OF_OUTPUT:
            raise TypeError(f"{name} needs an output file: give output='out.json'")
        if value is None:
            continue
        long = name.replace("_", "-")
        if name in _BY_ENVIRONMENT:
            variables[f"SKUFETCH_{name.upper()}"] = _value(name, option, value)
        elif option.counted:
            words += [f"--{long}"] * _count(name, value)
        elif option.value is not None:
            words.append(f"--{long}={_value(name, option, value)}")
        elif value is True:
            words.append(f"--{long}")
        elif value is False:
            variables[f"SKUFETCH_{name.upper()}"] = "false"
        else:
            raise TypeError(f"{name} is on or off: give True or False, not {value!r}")
    return words, variables


def _option(known: Mapping[str, Option], name: str) -> Option:
    if name in _RESERVED:
        raise TypeError(f"fetch() has no option {name}: {_RESERVED[name]}")
    option = known.get(name.replace("_", "-"))
    if option is None:
        names = [one.replace("-", "_") for one in known] + ["headers", "errors", "env", "raw", "parse_float", "loads"]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; skufetch --help lists the options"
        raise TypeError(f"fetch() has no option {name}{hint}")
    return option


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{name} is True, False or how often it is said, not {value!r}")
    return int(value)


def _value(name: str, option: Option, value: Any) -> str:
    if isinstance(value, bool):
        raise TypeError(f"{name} needs a value, not {value!r}")
    if isinstance(value, (dict, set, bytes, bytearray)):
        raise TypeError(f"{name} has to be text, not {type(value).__name__}")
    if isinstance(value, (list, tuple, range)):
        separator = "\n" if name == "header" else ","
        return separator.join(_value(name, option, one) for one in value)
    if isinstance(value, datetime.timedelta):
        return _seconds(value.total_seconds())
    if isinstance(value, (int, float)) and option.value == "TIME":
        return _seconds(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    text = str(value)
    if name == "header" and ("\n" in text or "\r" in text):
        raise ValueError("a header holds a line end, which would begin another header")
    return text


def _seconds(value: float) -> str:
    """A number of seconds, as Python counts time, in the words of the command."""
    milliseconds = round(value * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def _headers(mapping: Any, lines: Any) -> list[str] | None:
    if mapping is None and lines is None:
        return None
    found = [lines] if isinstance(lines, str) else list(lines or [])
    if mapping is None:
        return found
    if not isinstance(mapping, Mapping):
        raise TypeError("headers is a dict of names and values; header takes 'Name: value', or a list of such")
    for name, value in mapping.items():
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise TypeError(f"the header {name} has to be text, not {type(value).__name__}")
        found.append(f"{name}: {value}")
    return found
