"""A run in many processes that share a folder: what a driver prepares, what each task runs, and the merge."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._binary import chosen_binary, options_of
from ._child import Child
from ._errors import (
    BinaryNotFound,
    FailedKeys,
    Failure,
    InputMissing,
    SkufetchError,
    Stopped,
    SystemTrouble,
    TryLater,
    error_of,
)
from ._input import recorded_shards, write_input
from ._lines import Entry, entry_of
from ._options import arguments
from ._rows import FORM, Source

_log = logging.getLogger("skufetch")

#: The name of the output in the folder.
OUTPUT = "out.jsonl"
#: The shards of a run that was not told how many.
_SHARDS = 16
#: How long a second attempt of a shard waits for the first: it may take as long as that.
_LOCK_WAIT = "24h"
#: The other tasks would fail in the same way. The first of these that a shard ends with also stops the others.
_FINAL = (2, 66, 65, 73, 77, 78)
#: An engine may run a task again after these: another machine, or another moment, may do.
RETRIED = (Stopped, SystemTrouble, TryLater)

_RESERVED = {
    "output": "the answers go to out.jsonl under path=",
    "format": "the output is JSON lines, from which the frame is read",
    "shape": "the output has the status, the time and the attempts of each row",
    "columns": "it is for a csv",
    "csv_bom": "it is for a csv",
    "merge": "a shard does not read the old output",
    "prune": "a shard does not read the old output",
    "stream": "without path= it is one",
    "shard": "say how many with shards=",
    "fresh": "for new answers give another run_id=, such as the date",
    "report": "it names a file of one process",
    "token_file": "it names a file of one process",
}
#: Options with paths of files, which the workers would look for in folders of their own.
_PATHS = ("ca_cert", "failed", "changes")
_RUN_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Job:
    """What a task needs to run a shard."""

    folder: str
    run_id: str
    shards: int
    words: tuple[str, ...]
    #: Options that may hold secrets, and what the caller gave as `env`: both go by the environment.
    variables: Mapping[str, str] = field(repr=False)
    binary: str | None = None
    #: Which attempt of the driver this is: tasks of an earlier one, that is dead, must not stop it.
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:16])

    @property
    def output(self) -> str:
        return os.path.join(self.folder, OUTPUT)

    @property
    def input(self) -> str:
        return _of_run(self.folder, self.run_id, "csv")

    @property
    def stop_file(self) -> str:
        return _of_run(self.folder, self.run_id, f"{self.attempt}.stop")


@dataclass(frozen=True)
class Outcome:
    """How a shard ended. Every engine can carry it."""

    shard: int
    #: The exit code; None if there is no command.
    code: int | None
    message: str = ""
    hint: str | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped because the driver, or another shard, said so."""
        return self.code == 128 + signal.SIGTERM


def _of_run(folder: str, run_id: str, ending: str) -> str:
    return os.path.join(folder, "input", f"{run_id}.{ending}")


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the workers are to get them. Raises `TypeError` for one that has no meaning here."""
    for name in options:
        if name in _RESERVED:
            raise TypeError(f"with an engine there is no option {name}: {_RESERVED[name]}")
    found = dict(options)
    for name in _PATHS:
        if found.get(name) is not None:
            found[name] = os.path.abspath(found[name])
    body = found.get("body")
    if isinstance(body, str) and body.startswith("@"):
        found["body"] = f"@{os.path.abspath(body[1:])}"
    return found


def prepare(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    path: str | os.PathLike[str],
    run_id: str,
    shards: int | None,
    given: Mapping[str, Any],
    env: Mapping[str, str] | None,
    config: str | os.PathLike[str] | None,
    binary: str | os.PathLike[str] | None,
) -> Job:
    """Writes the input of a run under `path`, or finds it there, and says what each task has to do."""
    folder = shared_folder(path)
    if not isinstance(run_id, str) or _RUN_ID.fullmatch(run_id) is None:
        raise ValueError(f"run_id is 1 to 64 of A-Z a-z 0-9 . _ -, not {run_id!r}")
    command = chosen_binary(binary)
    known = options_of(command)
    words, variables = arguments(known, given, is_made_here=True, has_output=True)
    words += [f"--{name}={value}" for name, value in FORM.items() if name in known]
    variables["SKUFETCH_NO_HEADERS"] = "false"
    words += [f"--output={os.path.join(folder, OUTPUT)}", "--format=jsonl", "--shape=record", f"--run-id={run_id}"]
    if given.get("lock_wait") is None:
        words.append(f"--lock-wait={_LOCK_WAIT}")
    words += ["--log-format=json", "--progress=plain", "-v"]
    words.append(f"--config={os.devnull if config is None else os.path.abspath(config)}")
    if given.get("rate") is not None and given.get("rate_store") is None:
        _log.warning("rate=%s is that of each task; with rate_store= all keep it together", given["rate"])
    os.makedirs(os.path.join(folder, "input"), exist_ok=True)
    count = recorded_shards(_of_run(folder, run_id, "json"), shards, _SHARDS)
    named = None if binary is None else os.fspath(binary)
    job = Job(folder, run_id, count, tuple(words), {**(env or {}), **variables}, named)
    if write_input(job.input, header, given.get("key"), rows):
        _log.warning("the rows differ from those with which run %s was begun: all are asked for", run_id)
    _remove_stop_files(job)
    parts = (f"{number:05}-of-{count:05}.jsonl" for number in range(count))
    if all(os.path.exists(os.path.join(f"{job.output}.parts", run_id, part)) for part in parts):
        _log.warning("run %s is complete: nothing is asked for again; for new answers give another run_id=", run_id)
    return job


def _remove_stop_files(job: Job) -> None:
    """Removes what earlier attempts have left."""
    folder, ours = os.path.dirname(job.stop_file), re.compile(re.escape(job.run_id) + r"\.[0-9a-f]{16}\.stop")
    for name in os.listdir(folder):
        if ours.fullmatch(name) is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def shared_folder(path: str | os.PathLike[str]) -> str:
    """The folder of `path=`, as all workers see it."""
    folder = os.fspath(path)
    if not isinstance(folder, str) or not folder:
        raise TypeError("path= is a folder that all workers share")
    scheme, separator, rest = folder.partition("://")
    if separator and scheme == "file":
        folder = rest
    elif separator:
        raise ValueError(f"path= is a folder in the file system that all workers share, not an address ({scheme}://)")
    return os.path.abspath(folder)


def run_shard(job: Job, shard: int) -> Outcome:
    """Runs a shard to its end, in a task of an engine.

    Raises what another attempt may fix (`RETRIED`), so that the engine makes one. All other ends are an `Outcome`:
    the engine would try in vain, and ask again.
    """
    if os.path.exists(job.stop_file):
        return Outcome(shard, 128 + signal.SIGTERM, "the run was stopped")
    try:
        command = chosen_binary(job.binary)
    except BinaryNotFound as missing:
        return Outcome(shard, None, missing.message, missing.hint)
    words = [command, *job.words, f"--shard={shard}/{job.shards}", "--", job.input]
    child = Child(words, {**os.environ, **job.variables}, Source(job.input), True, job.stop_file)
    for _ in child.lines():
        pass
    error = child.error()
    if error is None:
        return Outcome(shard, 0)
    if isinstance(error, Stopped) and os.path.exists(job.stop_file):
        return Outcome(shard, 128 + signal.SIGTERM, "the run was stopped")
    # 75 with a summary: the API asked for a long wait, or the time is up. Without one the lock is held.
    if isinstance(error, RETRIED) and not (isinstance(error, TryLater) and child.summary):
        raise error
    if error.exit_code in _FINAL:
        stop(job)
    return Outcome(shard, error.exit_code, error.message, error.hint)


def stop(job: Job) -> None:
    """Stops all shards, wherever they are, as SIGTERM does: what is in flight ends, and the journals stay."""
    try:
        with open(job.stop_file, "wb"):
            pass
    except OSError as error:
        _log.warning("the shards cannot be stopped: %s", error)


def finish(job: Job, outcomes: Iterable[Outcome], errors: str) -> None:
    """Merges the parts once all shards have ended well. Raises the exception of the gravest end otherwise."""
    found = sorted(outcomes, key=lambda outcome: outcome.shard)
    worst = _worst(found)
    if worst is not None:
        raise _error(job, worst)
    words = [chosen_binary(job.binary), "merge", *job.words]
    child = Child(words, {**os.environ, **job.variables}, Source(job.output), True)
    for _ in child.lines():
        pass
    error = child.error()
    if error is not None:
        raise error
    if errors == "raise" and child.code == 1:
        raise child.with_details(_failed(job, child))


def _worst(outcomes: list[Outcome]) -> Outcome | None:
    failed = [outcome for outcome in outcomes if outcome.code != 0]
    order = [None, *_FINAL]
    return min(
        failed,
        key=lambda one: order.index(one.code) if one.code in order else len(order) + one.is_stopped,
        default=None,
    )


def _error(job: Job, outcome: Outcome) -> SkufetchError:
    message = f"shard {outcome.shard}/{job.shards}: {outcome.message}"
    hint = outcome.hint
    if outcome.code is None:
        return BinaryNotFound(message, hint=hint)
    if outcome.code == InputMissing.code:
        hint = "path= has to be a folder that the driver and all workers share"
    return error_of(outcome.code, message, hint)


def _failed(job: Job, child: Child) -> FailedKeys:
    child.failures = [_failure(entry) for entry in entries_of(job.output, (0, None)) if entry.kind == "error"]
    count = child.summary.get("failed", len(child.failures))
    first = child.failures[0] if child.failures else None
    named = "a row without a SKU" if first is None else f"{first.key}: {first.error}"
    return FailedKeys(
        f"{count} row{'s' if count != 1 else ''} failed, first {named}",
        hint=f"errors='return' gives them as rows; they are in {os.path.splitext(job.output)[0]}.failed.csv",
    )


def _failure(entry: Entry) -> Failure:
    about = entry.record()
    return Failure(entry.key, str(json.loads(entry.content)), about.get("status"), about.get("attempts", 0))


def ranges_of(path: str, size: int) -> list[tuple[int, int | None]]:
    """Parts of a file of lines, of about so many bytes; the last has no end."""
    starts = list(range(0, max(os.path.getsize(path), 1), size))
    return [(start, end) for start, end in zip(starts, [*starts[1:], None])]


def entries_of(path: str, part: tuple[int, int | None]) -> Iterator[Entry]:
    """The entries whose lines begin in this range of the file."""
    start, end = part
    with open(path, "rb") as file:
        if start > 0:
            # The line that began before belongs to the range before.
            file.seek(start - 1)
            file.readline()
        while end is None or file.tell() < end:
            line = file.readline()
            if not line:
                return
            entry = entry_of(line[:-1])
            if entry is None:
                raise ValueError(f"{path}: not a line that skufetch writes: {line[:200]!r}")
            yield entry
