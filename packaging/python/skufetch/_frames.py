"""Answers as the rows of a frame."""

from __future__ import annotations

import importlib
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


def import_engine(module: str, package: str) -> Any:
    """A library that only some callers have. Raises `ModuleNotFoundError` that says what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{module} cannot be imported ({error}): pip install '{package}' where this Python runs", name=module
        ) from None
