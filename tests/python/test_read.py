"""`read`: every form that the command writes, in little memory, and no part taken for the whole."""

from __future__ import annotations

import csv
import decimal
import gzip
import importlib.util
import pathlib
import tracemalloc
import unittest

from support import Case, skufetch


class Read(Case):
    def test_every_form_gives_what_was_fetched(self) -> None:
        skus = ["0001", 'a"b\\', "ü", ',"status":', "}"]
        for output, options in (
            ("out.json", {}),
            ("out.jsonl", {"format": "jsonl"}),
            ("odd.name", {"format": "jsonl"}),
            ("out.json.gz", {}),
            ("out.jsonl.gz", {}),
        ):
            with self.subTest(output):
                written = dict(self.fetch(skus, output=output, **options))
                self.assertEqual(list(written), skus)
                self.assertEqual(written, dict(skufetch.read(output)))
                self.assertEqual(written["0001"], {"sku": "0001", "price": 1.1, "id": 9007199254740993})
                self.assertEqual(next(skufetch.read(output, raw=True))[1][:12], b'{"sku":"0001')
                exact = dict(skufetch.read(pathlib.Path(output), parse_float=decimal.Decimal))
                self.assertEqual(str(exact["0001"]["price"]), "1.10")

    def test_a_table_is_read_by_what_reads_tables(self) -> None:
        skus = ["0001", 'a"b\\', "ü"]
        run = self.fetch(skus, output="out.csv", columns=["Price=.price", "Id=.id"], csv_bom=True)
        self.assertEqual(run.wait()["fetched"], 3)
        with open("out.csv", newline="", encoding="utf-8-sig") as table:
            rows = list(csv.reader(table))
        self.assertEqual(rows[0], ["sku", "Price", "Id"])
        self.assertEqual(rows[1:], [[sku, "1.10", "9007199254740993"] for sku in skus])
        with self.assertRaisesRegex(ValueError, "out.csv is a table: csv.DictReader"):
            dict(skufetch.read("out.csv"))
        with self.assertRaisesRegex(TypeError, "columns needs an output file"):
            self.fetch(skus, columns="a=.a")

    def test_records_are_given_whole(self) -> None:
        for output, options in (("out.json", {}), ("out.jsonl", {"format": "jsonl"})):
            self.fetch(["1", "lost2"], output=output, shape="record", errors="ignore", **options).wait()
            found = dict(skufetch.read(output))
            self.assertEqual(list(found["1"]), ["status", "fetched_at", "attempts", "body"])
            self.assertEqual((found["lost2"]["status"], "error" in found["lost2"]), (404, True))

    def test_compressed_files_are_known_by_their_bytes(self) -> None:
        plain = b'{\n"1":{"a":1},\n"2":null\n}\n'
        pathlib.Path("gzipped").write_bytes(gzip.compress(plain))
        self.assertEqual(dict(skufetch.read("gzipped")), {"1": {"a": 1}, "2": None})
        pathlib.Path("cut").write_bytes(gzip.compress(plain)[:-9])
        with self.assertRaisesRegex(ValueError, "cut"):
            dict(skufetch.read("cut"))
        if importlib.util.find_spec("zstandard"):
            import zstandard

            pathlib.Path("zstd").write_bytes(zstandard.compress(plain) + zstandard.compress(b""))
            self.assertEqual(dict(skufetch.read("zstd")), {"1": {"a": 1}, "2": None})

    def test_what_is_cut_short_or_foreign_is_an_error_with_its_line(self) -> None:
        for text, words in (
            ("", "line 0: the file is cut short"),
            ("{\n", "line 1: the file is cut short"),
            ('{\n"1":1,\n"2":2\n', "line 3: the file is cut short"),
            ('{\n"1":1,\n"2":', "line 3: the file is cut short"),
            ('{\n"1":1\n}\nx\n', "line 4: something follows"),
            ('{"key":"1","body":1}\n{"key":"2","bo', "line 2: the file is cut short"),
            ('{"1": 1}\n', "line 1: neither"),
            ('{\n  "1": {\n', "line 2: not a line"),
            ("sku,name\n", "line 1: neither"),
            ('{\n"1":{"a":}\n}\n', "line 2: "),
        ):
            pathlib.Path("out.json").write_text(text)
            with self.subTest(text), self.assertRaisesRegex(ValueError, f"^out.json, {words}"):
                dict(skufetch.read("out.json"))
        with self.assertRaises(FileNotFoundError):
            next(skufetch.read("nothing.json"))
        pathlib.Path("none.jsonl").write_text("")
        pathlib.Path("none.json").write_text("{\n}\n")
        self.assertEqual((dict(skufetch.read("none.jsonl")), dict(skufetch.read("none.json"))), ({}, {}))

    def test_a_large_file_is_read_in_little_memory(self) -> None:
        body = '{"text":"' + "x" * 1000 + '"}'
        with open("out.json", "w") as file:
            file.write("{\n")
            for number in range(20_000):
                file.write(f'"{number}":{body},\n')
            file.write('"last":1\n}\n')
        tracemalloc.start()
        try:
            count = sum(1 for _ in skufetch.read("out.json"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(count, 20_001)
        self.assertLess(peak, 1 << 20, "20 MB are read in less than 1 MiB")


if __name__ == "__main__":
    unittest.main()
