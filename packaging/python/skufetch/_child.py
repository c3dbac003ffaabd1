"""The running command: its pipes, its messages, its end."""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Generator, Iterator, Mapping
from typing import IO, Any

from ._errors import Failure, SkufetchError, error_of
from ._rows import Source

_log = logging.getLogger("skufetch")

#: What is asked of a pipe at once.
_BLOCK = 1 << 16
#: The command drains for 10 s after the first signal (README.md); after so many seconds it is killed.
_PATIENCE = 20.0
#: Lines on standard error that are no messages: a panic, or the system's loader.
_STRAY_LINES = 20

#: Reads one line, or the end of its input: then the command is to drain, and gets as long as above.
_GUARD = """read -r _ && exit
kill -TERM "$1"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  kill -0 "$1" || exit
  sleep 1
done
kill -KILL "$1"
"""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Child:
    """One run of the command. Everything happens in the thread of the caller, also the reading of his rows."""

    def __init__(
        self,
        words: list[str],
        environment: Mapping[str, str],
        source: Source,
        has_output: bool,
        stop_file: str | None = None,
    ) -> None:
        self.words = words
        self.environment = environment
        self.source = source
        self.has_output = has_output
        #: With it the command is stopped when that file appears, and when this process is killed.
        self.stop_file = stop_file
        self.failures: list[Failure] = []
        self.summary: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        #: The exit code, once it has ended.
        self.code: int | None = None
        self._message: str | None = None
        self._hint: str | None = None
        self._stray: list[str] = []

    def lines(self) -> Generator[bytes, None, None]:
        """Runs the command and gives the lines of its standard output without their ends, as they come.

        If the iterator is closed, or an exception passes, the command is stopped as Ctrl-C does.
        """
        first = next(self.source.chunks, b"") if self.source.chunks is not None else b""
        if self.source.is_made_here and not first and not self.has_output:
            self.code = 0
            return
        process = self._start()
        # The finalizer also works at the end of the interpreter. It holds no reference to this object.
        stopper = weakref.finalize(self, _stop, process)
        guard = None
        try:
            if self.stop_file is not None:
                guard = _Guard(process, self.stop_file)
            yield from self._pump(process, first)
            self.code = process.wait()
        finally:
            try:
                stopper()
            finally:
                _close(process)
                if guard is not None:
                    guard.release()

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in a terminal reaches Python alone, which then stops the command once. A second
        # signal would end it without a drain.
        self.process = subprocess.Popen(
            self.words,
            stdin=subprocess.PIPE
            if self.source.chunks is not None
            else None
            if self.source.path == "-"
            else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self.has_output else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,
            bufsize=0,
        )
        return self.process

    def _pump(self, process: subprocess.Popen[bytes], first: bytes) -> Iterator[bytes]:
        """Moves bytes in all directions until the command has closed its ends."""
        chunks = self.source.chunks if self.source.chunks is not None else iter(())
        pending = memoryview(first)
        # A body may be many blocks long: they are joined once, at its end.
        begun: list[bytes] = []
        messages = b""
        with selectors.DefaultSelector() as selector:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ)
            feed = process.stdin
            if feed is not None:
                os.set_blocking(feed.fileno(), False)
                selector.register(feed, selectors.EVENT_WRITE)
            reading = len(selector.get_map()) - (feed is not None)
            while reading:
                is_hungry = feed is not None and not pending
                ready = {event.fileobj for event, _ in selector.select(0 if is_hungry else None)}
                if process.stderr in ready:
                    block = os.read(_open(process.stderr), _BLOCK)
                    messages = self._hear(messages + block, is_end=not block)
                    if not block:
                        selector.unregister(_open_file(process.stderr))
                        reading -= 1
                if process.stdout in ready and process.stdout is not None:
                    block = os.read(_open(process.stdout), _BLOCK)
                    if not block:
                        selector.unregister(process.stdout)
                        reading -= 1
                    begun.append(block)
                    if b"\n" in block:
                        *whole, rest = b"".join(begun).split(b"\n")
                        begun = [rest]
                        yield from whole
                if feed is None:
                    continue
                if is_hungry:
                    pending = memoryview(next(chunks, b""))
                    if not pending:
                        _hang_up(selector, feed)
                        feed = None
                elif feed in ready:
                    try:
                        pending = pending[os.write(feed.fileno(), pending) :]
                    except BlockingIOError:
                        pass
                    except BrokenPipeError:
                        # The command reads no more: it has ended, or has all rows that it was to take.
                        _hang_up(selector, feed)
                        feed = None

    def _hear(self, text: bytes, is_end: bool) -> bytes:
        """Takes whole lines of messages, and gives what is left."""
        *whole, rest = text.split(b"\n")
        if is_end and rest:
            whole, rest = [*whole, rest], b""
        for line in whole:
            try:
                event = json.loads(line)
                self._note(event["event"], event)
            except (ValueError, KeyError, TypeError):
                shown = line.decode("utf-8", "replace")
                self._stray = [*self._stray, shown][-_STRAY_LINES:]
                _log.warning("%s", shown)
        return rest

    def _note(self, name: str, event: dict[str, Any]) -> None:
        level = _LEVELS.get(event.get("level", ""), logging.INFO)
        if name == "job_failed":
            level = logging.DEBUG
            self.failures.append(
                Failure(
                    key=event["key"],
                    error=event["detail"] or event["cause"],
                    status=event["status"],
                    attempts=event["attempts"],
                    cause=event["cause"],
                    line=event["line"],
                )
            )
        elif name == "finished":
            level = logging.INFO
            self.summary = {key: value for key, value in event.items() if key not in ("time", "level", "event")}
        elif name == "failed":
            # The exception says it.
            level = logging.DEBUG
            self._message, self._hint = event["message"], event.get("hint")
        elif name != "warned" and level > logging.INFO:
            level = logging.INFO
        _log.log(level, "%s", event.get("message", name), extra={"event": event})

    def error(self) -> SkufetchError | None:
        """The exception for how the run ended; None if it gave its answers (exit codes 0 and 1)."""
        if self.code in (0, 1, None):
            return None
        assert self.code is not None
        message = self._message or ("\n".join(self._stray) if self._stray else None)
        if message and self.failures:
            first = self.failures[0]
            message += f"; first failure: {first.key or 'a row without a SKU'}: {first.error}"
        return self.with_details(error_of(self.code, message, self._hint))

    def with_details(self, error: SkufetchError) -> SkufetchError:
        """Adds what is known of the run."""
        error.failures = list(self.failures)
        error.summary = self.summary
        return error


class _Guard:
    """Stops a command that nobody would stop else: that of a task which an engine ends by SIGKILL, or cannot interrupt.

    A shell reads from a pipe that this process holds: the end of the pipe means that this process is gone. Meanwhile a
    thread looks for the stop file.
    """

    def __init__(self, process: subprocess.Popen[bytes], stop_file: str) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", str(process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # What signals this process and its group must not reach it.
            start_new_session=True,
            bufsize=0,
        )
        self._ended = threading.Event()
        threading.Thread(target=self._look, args=(process, stop_file), daemon=True).start()

    def _look(self, process: subprocess.Popen[bytes], stop_file: str) -> None:
        while not self._ended.wait(0.5):
            if os.path.exists(stop_file):
                process.send_signal(signal.SIGTERM)
                return

    def release(self) -> None:
        """The command has ended."""
        self._ended.set()
        assert self._shell.stdin is not None
        try:
            self._shell.stdin.write(b"ended\n")
        except BrokenPipeError:
            pass
        self._shell.stdin.close()
        self._shell.wait()


def _open_file(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _open(pipe: IO[bytes] | None) -> int:
    return _open_file(pipe).fileno()


def _hang_up(selector: selectors.BaseSelector, feed: IO[bytes]) -> None:
    selector.unregister(feed)
    feed.close()


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stops the command as Ctrl-C does, and waits until it is gone. Its standard input stays open meanwhile: its end
    would look as if all rows had come."""
    if process.poll() is not None:
        return
    # A command that was started with SIGINT ignored, as in a background job of a script, goes on ignoring it.
    is_deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    number = signal.SIGTERM if is_deaf else signal.SIGINT
    process.send_signal(number)
    if process.stdout is not None:
        process.stdout.close()
    try:
        _await(process, _PATIENCE)
    except BaseException:
        # Ctrl-C again, while it drains: the second signal ends it at once.
        process.send_signal(number)
        _await(process, 2.0)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits for the end, at most so long. What it still says is read, so that it cannot block on that."""
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        pipe = process.stderr
        if pipe is not None and not pipe.closed:
            selector.register(pipe, selectors.EVENT_READ)
        while process.poll() is None and time.monotonic() < until:
            if selector.get_map():
                for event, _ in selector.select(0.05):
                    if not os.read(event.fd, _BLOCK):
                        selector.unregister(event.fileobj)
            else:
                time.sleep(0.02)
