"""Where the command is, and which options it has."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass

from ._errors import BinaryNotFound

#: The environment variable that names the command.
VARIABLE = "SKUFETCH_BINARY"

_OPTION = re.compile(r"^ +(?:-\w, )?--([a-z][a-z0-9-]*)(?: <(.+)>)?(\.\.\.)?$", re.MULTILINE)


def _folders() -> Iterator[str]:
    """Where installers put the command of this package, the likeliest first."""
    yield sysconfig.get_path("scripts")
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # `pip install --prefix P` leaves P/lib/pythonX.Y/site-packages and P/bin; `--target T` leaves T and T/bin.
    yield os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(here))), "bin")
    yield os.path.join(here, "bin")
    yield sysconfig.get_path("scripts", f"{os.name}_user")


def find_binary() -> str:
    """The path of the command: `SKUFETCH_BINARY`, else what was installed with this module, else the PATH's.

    Raises `BinaryNotFound` if there is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return _runnable(named, f"the variable {VARIABLE}")
    for folder in _folders():
        path = os.path.join(folder, "skufetch")
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    found = shutil.which("skufetch")
    if found:
        return found
    raise BinaryNotFound(
        f"there is no command skufetch in {sysconfig.get_path('scripts')} or on the PATH",
        hint=f"pip install the wheel, or name the command in {VARIABLE} or with binary=",
    )


def chosen_binary(binary: str | os.PathLike[str] | None) -> str:
    """The command that the caller names, else the one that is found."""
    return find_binary() if binary is None else _runnable(os.fspath(binary), "binary=")


def _runnable(named: str, source: str) -> str:
    found = shutil.which(named)
    if found is None:
        raise BinaryNotFound(f"{source} is {named!r}, which is no command that can be run")
    return found


@dataclass(frozen=True)
class Option:
    """A long option of the command."""

    #: What its help calls the value, such as TIME; None for an option without a value.
    value: str | None
    #: Whether it may be given several times to say more (`-vv`).
    counted: bool


def options_of(binary: str) -> dict[str, Option]:
    """The long options of the command, by name without the dashes. They are asked for once per binary."""
    status = os.stat(binary)
    return _options(binary, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=16)
def _options(binary: str, _mtime: int, _size: int) -> dict[str, Option]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SKUFETCH_")}
    try:
        shown = subprocess.run(
            [binary, "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=environment, check=True
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError) as error:
        raise BinaryNotFound(f"{binary} --help cannot be run: {error}") from error
    found = {name: Option(value or None, bool(counted)) for name, value, counted in _OPTION.findall(shown)}
    if "url" not in found:
        raise BinaryNotFound(f"{binary} is not skufetch: its help has no --url", hint=f"Python is {sys.executable}")
    return found
