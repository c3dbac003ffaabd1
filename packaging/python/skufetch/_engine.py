"""What `fetch` of every engine does in the same way."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._answers import StreamJob, stream_job
from ._columns import columns_of
from ._shards import Job, Outcome, checked_options, finish, prepare, stop

_ERRORS = ("raise", "return", "ignore")


@dataclass
class Call:
    """The arguments of a call, checked."""

    header: list[str]
    columns: list[str]
    given: dict[str, Any]
    errors: str
    path: str | os.PathLike[str] | None
    run_id: str | None
    shards: int | None
    env: Mapping[str, str] | None
    config: str | os.PathLike[str] | None
    binary: str | os.PathLike[str] | None

    @property
    def with_failures(self) -> bool:
        return self.errors == "return"

    def stream(self) -> StreamJob:
        """The job of the lazy way, and the warning that belongs to it."""
        if self.run_id is not None or self.shards is not None:
            raise TypeError("run_id and shards need path=, the folder that all workers share")
        if self.errors == "raise":
            raise ValueError(
                "errors='raise' needs path=: an engine runs a task that raises an exception again, and each run asks "
                "for all of its rows"
            )
        job = stream_job(
            self.columns, given=self.given, errors=self.errors, env=self.env, config=self.config, binary=self.binary
        )
        warnings.warn(
            "without path= the rows are asked for in every action on this frame, and again by every task that is "
            "repeated: give path=, or keep the result before you use it twice",
            stacklevel=3,
        )
        return job

    def run(
        self, rows: Iterable[Sequence[Any]], schedule: Callable[[Job], Iterable[Outcome]]
    ) -> Job:
        """The exact way: writes the input, lets the engine run all shards, and merges their parts."""
        assert self.path is not None
        job = prepare(
            self.columns,
            rows,
            path=self.path,
            run_id="run" if self.run_id is None else self.run_id,
            shards=self.shards,
            given=self.given,
            env=self.env,
            config=self.config,
            binary=self.binary,
        )
        try:
            outcomes = list(schedule(job))
        except BaseException:
            # Ctrl-C too: whatever still runs on a worker is to end.
            stop(job)
            raise
        finish(job, outcomes, self.errors)
        return job


def call_of(
    header: Sequence[Any],
    *,
    url: str | None,
    key: str | None,
    path: str | os.PathLike[str] | None,
    run_id: str | None,
    shards: int | None,
    errors: str,
    env: Mapping[str, str] | None,
    config: str | os.PathLike[str] | None,
    binary: str | os.PathLike[str] | None,
    options: Mapping[str, Any],
) -> Call:
    """Checks the arguments of a call as far as the driver can."""
    if errors not in _ERRORS:
        raise ValueError(f"errors is one of {', '.join(map(repr, _ERRORS))}, not {errors!r}")
    given = checked_options({"url": url, "key": key, **options})
    names = [str(name) for name in header]
    columns = columns_of(names, key, {**given, "config": config})
    return Call(names, columns, given, errors, path, run_id, shards, env, config, binary)
