"""The examples of docs/python.md run, each in a folder of its own, against the command's built-in API."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import unittest

from support import ROOT, Case, skufetch

PAGE = (ROOT / "docs" / "python.md").read_text()
BLOCK = re.compile(r"^```python(?: needs=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Docs(Case):
    def setUp(self) -> None:
        super().setUp()
        rows = (ROOT / "fixtures" / "products.csv").read_text().splitlines(keepends=True)
        pathlib.Path("products.csv").write_text("".join(rows[:9]))
        # A product has a name and a price, as in the example.
        self.api.body = '{"sku":%s,"name":"Sleeping bag","price":{"amount":236.80,"currency":"EUR"}}'
        self.api.lost = "no-such-sku"

    def run_block(self, text: str) -> subprocess.CompletedProcess:
        origin = self.api.url.partition("/products")[0]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SKUFETCH_BINARY": skufetch.find_binary()}
        command = [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-c",
            text.replace("https://api.example.com", origin),
        ]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def test_every_example_runs(self) -> None:
        blocks = BLOCK.findall(PAGE)
        self.assertGreater(len(blocks), 10)
        count = 0
        for needs, text in blocks:
            if needs and importlib.util.find_spec(needs) is None:
                continue
            with self.subTest(text):
                for old in pathlib.Path().glob("out.*"):
                    old.unlink()
                ended = self.run_block(text)
                self.assertEqual(ended.returncode, 0, ended.stderr)
                count += 1
        self.assertGreater(count, 8)
        tokens = {request["headers"].get("authorization") for request in self.api.seen}
        self.assertIn("Bearer s3cret", tokens)

    def test_the_page_names_what_the_module_has_and_no_more(self) -> None:
        named = set(re.findall(r"skufetch\.(\w+)", PAGE)) - {"skufetch"}
        self.assertLessEqual(named, set(skufetch.__all__))
        exceptions = {name for name in skufetch.__all__ if name[0].isupper() and name not in ("Row", "Run", "Failure")}
        for name in exceptions | {"Failure", "Row", "fetch", "read", "rows", "find_binary"}:
            self.assertRegex(PAGE, rf"\b{name}\b")
        titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
        headings = {title.lower().replace(",", "").replace(" ", "-") for title in titles}
        self.assertEqual(set(re.findall(r"\]\(#([\w-]+)\)", PAGE)), headings)
        for link in re.findall(r"\]\((\w+\.md)", PAGE):
            self.assertTrue((ROOT / "docs" / link).exists(), link)

    def test_the_name_of_each_option_on_the_page_is_one(self) -> None:
        from skufetch._binary import options_of

        own = {
            "errors",
            "env",
            "fieldnames",
            "raw",
            "parse_float",
            "loads",
            "config",
            "binary",
            "headers",
            "output",
            "key",
            "path",
            "shards",
        }
        known = {name.replace("-", "_") for name in options_of(skufetch.find_binary())} | own | {"stream"}
        # What the examples pass to other functions than fetch.
        other = {"dtype", "infer_schema", "level", "newline", "on", "left_on", "right_on", "max_workers", "timeout"}
        other |= {"params", "data", "json", "verify", "proxies", "meta"}
        named = set(re.findall(r"(?<![?&\w])([a-z_]+)=(?![=])", PAGE)) - {"needs"}
        self.assertLessEqual(named - other, known)


if __name__ == "__main__":
    unittest.main()
