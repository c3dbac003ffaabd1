"""What the tests share: the module from packaging/python, the command, a folder and the API of a test."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The module of this checkout, unless an installed one is to be tested.
if os.environ.get("SKUFETCH_INSTALLED") != "1":
    sys.path.insert(0, str(ROOT / "packaging" / "python"))

import skufetch  # noqa: E402 -- found through the line above
from server import Api  # noqa: E402

__all__ = ["ROOT", "Case", "skufetch"]


class Case(unittest.TestCase):
    """A test with an API and a folder of its own, which is the current one."""

    def setUp(self) -> None:
        self.api = Api()
        self.addCleanup(self.api.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)

    def fetch(self, rows: object, **options: object) -> skufetch.Run:
        return skufetch.fetch(rows, url=options.pop("url", self.api.url), **options)

    def keys(self, rows: object, **options: object) -> list[str]:
        """The keys that are asked for, in order."""
        return [key for key, _ in self.fetch(rows, **options)]

    def assert_gone(self, process: object) -> None:
        """The command has ended and was waited for."""
        self.assertIsNotNone(process)
        self.assertIsNotNone(process.returncode)
        with self.assertRaises(ProcessLookupError):
            os.kill(process.pid, 0)
