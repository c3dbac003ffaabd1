"""Frames of pandas, polars and pyarrow, as rows and as the result. What is not installed is skipped."""

from __future__ import annotations

import datetime
import importlib.util
import os
import unittest

from support import Case, skufetch


def needs(name: str):
    """Skips where the library is not there; with SKUFETCH_FRAMES=1 it has to be."""
    is_there = importlib.util.find_spec(name) is not None
    return unittest.skipUnless(is_there or os.environ.get("SKUFETCH_FRAMES") == "1", f"there is no {name}")


class Frames(Case):
    def asked(self, frame: object, **options: object) -> list[str]:
        self.api.seen.clear()
        run = self.fetch(frame, url=self.api.url + "?lang={lang}", concurrency=1, errors="ignore", **options)
        keys = [key for key, _ in run]
        return [f"{key} {request['query']}" for key, request in zip(keys, self.api.seen)]

    @needs("pandas")
    def test_pandas_rows(self) -> None:
        import pandas

        text = pandas.DataFrame({"sku": ["0001", "0002"], "lang": ["de", None]})
        self.assertEqual(self.asked(text), ["0001 lang=de"], "an empty value is refused, and not None or nan")
        whole = pandas.DataFrame({"sku": [4711, 4712], "lang": ["de", "fr"]})
        self.assertEqual(self.asked(whole), ["4711 lang=de", "4712 lang=fr"])
        # A missing number makes the column one of floats.
        missing = pandas.DataFrame({"sku": [4711, None, 4713], "lang": ["de", "fr", "it"]})
        self.assertEqual(str(missing["sku"].dtype), "float64")
        self.assertEqual(self.asked(missing), ["4711 lang=de", "4713 lang=it"])
        for kind in ("Int64", "string", "category", "str", object):
            with self.subTest(kind):
                typed = pandas.DataFrame({"sku": [1, 2], "lang": ["de", "fr"]}).astype({"sku": kind})
                self.assertEqual(self.asked(typed), ["1 lang=de", "2 lang=fr"])
        dates = pandas.DataFrame({"sku": ["1"], "lang": pandas.to_datetime(["2026-11-28"])})
        self.assertEqual(self.asked(dates), ["1 lang=2026-11-28T00%3A00%3A00"])
        self.assertEqual(self.asked(text.set_index("sku"), key="sku"), ["0001 lang=de"])
        with self.assertRaisesRegex(ValueError, "lost digits"):
            self.asked(pandas.DataFrame({"sku": [2.0**60], "lang": ["de"]}))
        with self.assertRaisesRegex(ValueError, "same name"):
            self.asked(pandas.DataFrame([["1", "2"]], columns=["sku", "sku"]))
        self.assertEqual(self.keys(text["sku"]), ["0001", "0002"])
        self.assertEqual(self.keys(whole["sku"].to_numpy()), ["4711", "4712"])
        self.assertEqual(self.keys(pandas.DataFrame({"sku": []})), [])

    @needs("pandas")
    def test_pandas_result(self) -> None:
        import pandas

        frame = self.fetch(["0001", "0002"]).to_pandas()
        self.assertEqual(list(frame.columns), ["sku", "price", "id"])
        self.assertEqual((frame.index.name, list(frame.index)), ("key", ["0001", "0002"]))
        products = pandas.DataFrame({"sku": ["0002", "0001"], "stock": [2, 1]})
        prices = self.fetch(products, select=".price").to_pandas()
        joined = products.join(prices, on="sku")
        self.assertEqual(list(joined["body"]), [1.1, 1.1])
        failed = self.fetch(["1", "lost2"], errors="return").to_pandas()
        self.assertEqual(failed.loc["lost2", "_status"], 404)
        with self.assertRaises(skufetch.FailedKeys) as raised:
            self.fetch(["1", "lost2"]).to_pandas()
        self.assertEqual(list(raised.exception.answers), ["1"])
        self.assertEqual(len(self.fetch([]).to_pandas()), 0)

    @needs("polars")
    def test_polars_rows_and_result(self) -> None:
        import polars

        frame = polars.DataFrame({"sku": ["0001", "0002"], "lang": ["de", "fr"]})
        self.assertEqual(self.asked(frame), ["0001 lang=de", "0002 lang=fr"])
        self.assertEqual(self.asked(frame.lazy()), ["0001 lang=de", "0002 lang=fr"])
        numbers = polars.DataFrame({"sku": [1, 2, None], "lang": [datetime.date(2026, 11, 28)] * 3})
        self.assertEqual(self.asked(numbers), ["1 lang=2026-11-28", "2 lang=2026-11-28"])
        self.assertEqual(self.keys(frame["sku"]), ["0001", "0002"])
        result = self.fetch(frame).to_polars()
        self.assertEqual((result.columns, result["key"].to_list()), (["key", "sku", "price", "id"], ["0001", "0002"]))
        self.assertEqual(frame.join(result, left_on="sku", right_on="key").height, 2)
        with self.assertRaisesRegex(ValueError, "'key'"):
            self.fetch(["1"], select="{key: .sku}").to_polars()
        self.assertEqual(self.fetch([]).to_polars().height, 0)

    @needs("pyarrow")
    def test_pyarrow_rows(self) -> None:
        import pyarrow

        table = pyarrow.table({"sku": ["0001", "0002"], "lang": ["de", "fr"]})
        self.assertEqual(self.asked(table), ["0001 lang=de", "0002 lang=fr"])
        self.assertEqual(self.asked(table.to_batches()[0]), ["0001 lang=de", "0002 lang=fr"])
        self.assertEqual(self.asked(table.to_reader()), ["0001 lang=de", "0002 lang=fr"])
        self.assertEqual(self.keys(table["sku"]), ["0001", "0002"])


if __name__ == "__main__":
    unittest.main()
