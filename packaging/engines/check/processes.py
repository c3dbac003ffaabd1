"""Processes of a check: they start in a folder, and every one of them ends with it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator


def command_of(pid: int) -> str:
    """The command line; empty for a process that has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def name_of(pid: int) -> str:
    """The name of the program, of at most fifteen characters; empty for a process that has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def folder_of(pid: int) -> str:
    """The current folder; empty for a process that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def tree_of(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name of the program may hold spaces and brackets.
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(stat[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def kill(pids: list[int]) -> None:
    """SIGKILL to each."""
    send(signal.SIGKILL, pids)


def send(number: signal.Signals, pids: list[int]) -> None:
    """Sends a signal to each that has not ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_for(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Waits until it holds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


class Processes:
    """What a check has started. Its output goes to files of the folder."""

    def __init__(self, folder: pathlib.Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, words: list[str], **environment: str) -> subprocess.Popen[bytes]:
        """Starts a command. Its output goes to NAME.log."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**self.environment, **environment},
            )
        self.running.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_for_line(self, name: str, text: str, seconds: float = 60) -> None:
        """Waits until NAME.log has it."""
        wait_for(f"{text} in {name}", lambda: text in self.log(name), seconds)

    def run(self, name: str, words: list[str], seconds: float = 120, **environment: str) -> int:
        """Runs a command to its end, and gives its exit code."""
        return self.start(name, words, **environment).wait(seconds)

    def end(self) -> None:
        """Ends all, with what descends from them."""
        for process in reversed(self.running):
            kill(tree_of(process.pid) if process.poll() is None else [])
            process.wait()


@contextlib.contextmanager
def processes(folder: pathlib.Path, environment: dict[str, str]) -> Iterator[Processes]:
    """Processes that end with the block."""
    found = Processes(folder, environment)
    try:
        yield found
    finally:
        found.end()
