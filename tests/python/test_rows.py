"""What may be given as rows, and that each value is asked for as the text that it stands for."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import io
import pathlib
import sqlite3
import tracemalloc
import unittest
import uuid

from support import Case, skufetch


@dataclasses.dataclass
class Product:
    sku: str
    lang: str


Named = collections.namedtuple("Named", "sku lang")


class Rows(Case):
    def test_skus_are_text_with_their_zeros_spaces_quotes_and_slashes(self) -> None:
        skus = ["0004711", "a b", 'x"y"', "A/B", "ü,;", "=1", "'1", "1.23E+12", "\\", 'a\\"']
        self.assertEqual(self.keys(skus), skus)
        self.assertEqual(self.api.skus(), sorted(skus))

    def test_the_first_rows_never_look_like_another_dialect(self) -> None:
        for skus in (["a;b", "c;d", "e;f"], ["'a'", "'b'"], ['\\"', 'b\\"'], ["a|b"], ['"']):
            with self.subTest(skus):
                self.assertEqual(self.keys(skus, body_as="text"), list(dict.fromkeys(skus)))

    def test_numbers_are_written_without_a_fraction_that_was_not_there(self) -> None:
        skus = [4711, 4712.0, decimal.Decimal("4713"), decimal.Decimal("1E+3"), 2**60, 1.5]
        self.assertEqual(self.keys(skus), ["4711", "4712", "4713", "1000", str(2**60), "1.5"])
        one = uuid.UUID(int=1)
        self.assertEqual(self.keys([one]), [str(one)])

    def test_what_may_not_be_the_sku_that_was_meant_is_refused_with_its_row(self) -> None:
        with self.assertRaisesRegex(ValueError, "row 1 .*column 'sku'.*lost digits"):
            self.keys([1, float(2**60)])
        for wrong in (True, b"1", ["1"], {"a": 1}.items(), object()):
            with self.subTest(wrong), self.assertRaisesRegex(TypeError, "row 1 .*is no SKU"):
                self.keys(["1", wrong])
        with self.assertRaisesRegex(ValueError, "surrogate"):
            self.keys(["\ud800"])
        self.assertEqual(self.api.seen, [])

    def test_a_missing_sku_fails_and_is_not_lost(self) -> None:
        run = self.fetch(["1", None, float("nan"), "", "2"], errors="ignore", min_success=0)
        self.assertEqual([key for key, _ in run], ["1", "2"])
        self.assertEqual([failure.key for failure in run.failures], [None, None, None])
        self.assertEqual([failure.line for failure in run.failures], [3, 4, 5])

    def test_columns_of_dicts_named_tuples_and_data_classes_stand_in_the_url(self) -> None:
        url = self.api.url + "?lang={lang}"
        for rows in (
            [{"sku": "1", "lang": "de"}, {"lang": "fr", "sku": 2}],
            [Named("1", "de"), Named(2, "fr")],
            [Product("1", "de"), Product("2", "fr")],
        ):
            with self.subTest(type(rows[0])):
                self.api.seen.clear()
                self.assertEqual(self.keys(rows, url=url), ["1", "2"])
                self.assertEqual(sorted(one["query"] for one in self.api.seen), ["lang=de", "lang=fr"])

    def test_tuples_need_names_and_a_database_is_read_in_the_thread_of_the_caller(self) -> None:
        with self.assertRaisesRegex(TypeError, "fieldnames"):
            self.keys([("1", "de")])
        base = sqlite3.connect(":memory:")
        base.execute("create table products (sku, lang)")
        base.executemany("insert into products values (?, ?)", [("01", "de"), ("02", "fr")])
        cursor = base.execute("select sku, lang from products")
        names = [column[0] for column in cursor.description]
        self.assertEqual(self.keys(cursor, fieldnames=names), ["01", "02"])
        base.row_factory = sqlite3.Row
        self.assertEqual(self.keys(base.execute("select * from products")), ["01", "02"])
        with self.assertRaisesRegex(ValueError, "row 1 .*2 values"):
            self.keys([("1", "de"), ("2",)], fieldnames=names)

    def test_rows_of_one_kind_are_told_apart_from_others(self) -> None:
        with self.assertRaisesRegex(ValueError, "row 1 .*'lang'.*first row lacks"):
            self.keys([{"sku": 1}, {"sku": 2, "lang": "de"}])
        self.assertEqual(self.keys([{"sku": 1}, {"sku": 2, "lang": "de"}], fieldnames=["sku", "lang"]), ["1", "2"])
        with self.assertRaisesRegex(TypeError, "row 1 .*first one a dict"):
            self.keys([{"sku": 1}, "2"])
        for wrong in ({"sku": ["1"]}, b"1", 4711, None):
            with self.subTest(wrong), self.assertRaisesRegex(TypeError, "rows are"):
                self.fetch(wrong)

    def test_other_cells_are_written_as_json_and_iso_8601_write_them(self) -> None:
        row = {
            "sku": 1,
            "flag": True,
            "day": datetime.date(2026, 11, 28),
            "when": datetime.datetime(2026, 11, 28, 2, 0),
            "list": ["a", "b"],
            "none": None,
            "price": 10.0,
        }
        url = self.api.url + "?flag={flag}&day={day}&when={when}&list={list}&price={price}"
        self.keys([row], url=url)
        self.assertEqual(
            self.api.seen[0]["query"],
            "flag=true&day=2026-11-28&when=2026-11-28T02%3A00%3A00&list=%5B%22a%22%2C%22b%22%5D&price=10",
        )

    def test_the_key_column_has_the_name_that_is_given(self) -> None:
        self.assertEqual(self.keys(["1", "2"], key="ean", url=self.api.url.replace("{sku}", "{ean}")), ["1", "2"])
        self.assertEqual(self.keys([{"ean": "1", "sku": "x"}], key="ean"), ["1"])
        with self.assertRaisesRegex(skufetch.InputError, "ean"):
            self.keys([{"mpn": "1", "lang": "x"}], key="ean")

    def test_a_path_an_open_file_and_bytes_in_memory_are_read_as_files(self) -> None:
        csv = "sku;lang\n0001;de\n0002;fr\n"
        pathlib.Path("products.csv").write_text(csv)
        pathlib.Path("-k.csv").write_text(csv)
        for rows in (
            "products.csv",
            pathlib.Path("products.csv"),
            "-k.csv",
            io.BytesIO(csv.encode()),
            io.StringIO(csv),
        ):
            with self.subTest(rows):
                self.assertEqual(self.keys(rows), ["0001", "0002"])
        with open("products.csv", "rb") as file:
            self.assertEqual(self.keys(file, delimiter=";"), ["0001", "0002"])
        with self.assertRaisesRegex(skufetch.InputMissing, "4711"):
            self.keys("4711")

    def test_no_rows_give_no_answers(self) -> None:
        run = self.fetch(iter(()))
        self.assertEqual((list(run), run.exit_code, run.failures), ([], 0, []))
        with self.assertRaises(skufetch.InputError):
            list(self.fetch([], output="out.json"))

    def test_a_generator_is_read_as_the_command_takes_it(self) -> None:
        total, state = 200_000, {"made": 0}

        def skus():
            for number in range(total):
                state["made"] = number
                yield f"{number:012}"

        tracemalloc.start()
        try:
            run = self.fetch(skus(), limit=50, concurrency=4)
            self.assertEqual(len(dict(run)), 50)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(state["made"], total - 1, "the rest is not asked for")
        self.assertLess(peak, 4 << 20, f"{peak} bytes at most at once")


if __name__ == "__main__":
    unittest.main()
