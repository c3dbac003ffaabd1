"""The exit codes of the command as exceptions."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Failure:
    """A row without an answer."""

    #: The SKU; None if the row has none that can be read.
    key: str | None
    #: What went wrong, in words.
    error: str
    #: The HTTP status; None without an answer.
    status: int | None = None
    #: Requests that were sent for it.
    attempts: int = 0
    #: The kind of failure, such as "not found" or "bad row" (docs/messages.md); None in a stream's line.
    cause: str | None = None
    #: The line of the input, counted from 1, the header included; None if it is not known.
    line: int | None = None


class SkufetchError(Exception):
    """A run that ended with an exit code other than 0. The text is the command's own message."""

    #: The exit code of these errors.
    code: int | None = None

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int | None = None) -> None:
        super().__init__(message if hint is None else f"{message} ({hint})")
        #: The message without the hint.
        self.message = message
        #: What to do about it; None if there is nothing to say.
        self.hint = hint
        #: The exit code of the command; negative for a signal that ended it; None if it did not run.
        self.exit_code = self.code if exit_code is None else exit_code
        #: The rows that failed.
        self.failures: list[Failure] = []
        #: The fields of the event `finished` (docs/messages.md); empty if the run did not get so far.
        self.summary: Mapping[str, Any] = {}
        #: What `to_dict`, `to_pandas` or `to_polars` had collected; None after plain iteration.
        self.answers: dict[str, Any] | None = None


class FailedKeys(SkufetchError):
    """Some rows failed; every other answer was given before this was raised."""

    code = 1


class UsageError(SkufetchError):
    """An option has a wrong value, or does not go together with another."""

    code = 2


class InputError(SkufetchError):
    """The rows cannot be read, or there are none, or a column is missing."""

    code = 65


class InputMissing(SkufetchError):
    """There is no such file."""

    code = 66


class Unavailable(SkufetchError):
    """The API is unreachable or failing, or fewer SKUs than `min_success` were fetched."""

    code = 69


class CannotWrite(SkufetchError):
    """The output cannot be written there."""

    code = 73


class SystemTrouble(SkufetchError):
    """A disk error or a system limit."""

    code = 74


class TryLater(SkufetchError):
    """Another run has the lock, rows were deferred, or the time is up: the same call goes on later."""

    code = 75


class HeldBack(SkufetchError):
    """The new output is much worse than the old one, which stays."""

    code = 76


class CredentialsRefused(SkufetchError):
    """The API refuses the credentials."""

    code = 77


class ConfigError(SkufetchError):
    """The config file is wrong."""

    code = 78


class Stopped(SkufetchError):
    """A signal stopped the run."""


class BinaryNotFound(SkufetchError):
    """The command `skufetch` is not installed."""


_BY_CODE: dict[int, type[SkufetchError]] = {
    kind.code: kind for kind in SkufetchError.__subclasses__() if kind.code is not None
}


def error_of(exit_code: int, message: str | None, hint: str | None) -> SkufetchError:
    """The exception for an exit code, which is not 0."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number in set(signal.Signals):
        return Stopped(message or f"stopped by {signal.Signals(number).name}", hint=hint, exit_code=exit_code)
    kind = _BY_CODE.get(exit_code, SkufetchError)
    return kind(message or f"skufetch ended with exit code {exit_code}", hint=hint, exit_code=exit_code)
