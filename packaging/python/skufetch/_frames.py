"""Answers as the rows of a frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._errors import Failure


def rows_of(bodies: Iterable[Any]) -> list[dict[str, Any]]:
    """A dict for each body: its own members if it is an object, else the member `body`."""
    return [_row(body) for body in bodies]


def _row(body: Any) -> dict[str, Any]:
    if isinstance(body, Failure):
        return {"_error": body.error, "_status": body.status}
    return body if isinstance(body, dict) else {"body": body}
