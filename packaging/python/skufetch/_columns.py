"""Which columns of a frame a job needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._errors import InputError
from ._rows import _key_position

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def columns_of(header: Sequence[str], key: str | None, options: Mapping[str, Any]) -> list[str]:
    """The key column and those that templates name, in the order of the header; all if that cannot be told.

    Raises `InputError` if there is no key column.
    """
    at = _key_position(header, key)
    if at is None or not 0 <= at < len(header):
        wanted = "a column called sku" if key is None else f"the column {key!r}"
        raise InputError(f"the frame has not {wanted}: it has {', '.join(map(repr, header))}", hint="name it with key=")
    texts = list(_texts(options.values()))
    # A config file, a file with a body, or a filter may name any column, and a number is one among all.
    if (
        options.get("config") is not None
        or _is_set(options, "url") is False
        or str(options.get("body") or "").startswith("@")
        or any("$row" in text or "{#" in text for text in texts)
        or (key or "").startswith("#")
    ):
        return list(header)
    named = {name.strip().lower() for text in texts for name in _PLACEHOLDER.findall(text)}
    return [name for n, name in enumerate(header) if n == at or name.strip().lower() in named]


def _is_set(options: Mapping[str, Any], name: str) -> bool:
    """Whether the address is known here: the workers may have another in their environment."""
    return options.get(name) is not None or options.get("demo") is True


def _texts(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)
        elif isinstance(value, os.PathLike):
            yield os.fspath(value)
