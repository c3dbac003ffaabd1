"""The lines that the command writes, and their bodies."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any, Callable

#: Makes a value of the bytes of a body.
Loads = Callable[[bytes], Any]

_STRING = rb'"(?:[^"\\]|\\.)*"'
# The members before the body, in the order of either form. The body is the last member: its bytes are what is left.
_ENTRY = re.compile(
    rb'\{(?:"seq":(\d+),)?"key":(null|' + _STRING + rb"),"
    rb'((?:"(?:status|attempts)":(?:\d+|null),|"fetched_at":(?:null|"[^"]*"),)*)'
    rb'"(body|error|same_as|deferred|skipped)":'
)
_MEMBER = re.compile(rb"(" + _STRING + rb"):")


@dataclass(frozen=True)
class Entry:
    """One line of the form jsonl."""

    key: str | None
    #: The members between key and body, as JSON without braces: `"status":200,"attempts":1`.
    about: bytes
    #: "body", "error", "same_as", "deferred" or "skipped".
    kind: str
    #: The bytes of that member.
    content: bytes
    #: The number of the row, from 0, in a stream; None in a file.
    seq: int | None = None

    def record(self) -> dict[str, Any]:
        """`status`, `fetched_at` and `attempts`, where the line has them."""
        found = json.loads(b"{" + self.about + b"}")
        assert isinstance(found, dict)
        return found


def entry_of(line: bytes) -> Entry | None:
    """The entry of a line without its end; None if this is none."""
    head = _ENTRY.match(line)
    if head is None or not line.endswith(b"}"):
        return None
    seq, key, about, kind = head.groups()
    content = line[head.end() : -1]
    return Entry(json.loads(key), about.rstrip(b","), kind.decode(), content, None if seq is None else int(seq))


def member_of(line: bytes) -> tuple[str, bytes] | None:
    """Key and body of a line of the form json (`"KEY":BODY,`) without its end; None if this is none."""
    head = _MEMBER.match(line)
    if head is None:
        return None
    body = line[head.end() :]
    return json.loads(head.group(1)), body[:-1] if body.endswith(b",") else body


def chosen_loads(raw: bool, parse_float: Callable[[str], Any] | None, loads: Callable[[bytes], Any] | None) -> Loads:
    """How bodies become values, by what the caller chose."""
    if sum((raw, parse_float is not None, loads is not None)) > 1:
        raise TypeError("raw, parse_float and loads exclude each other: each says how a body is read")
    if raw:
        return bytes
    if parse_float is not None:
        return functools.partial(json.loads, parse_float=parse_float)
    return json.loads if loads is None else loads
