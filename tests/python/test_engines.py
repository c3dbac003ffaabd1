"""`fetch` of Spark, Ray and Dask. What is not installed is skipped, but for the message that says so."""

from __future__ import annotations

import importlib.util
import os
import sys
import unittest
import unittest.mock
import warnings

from support import Case, skufetch

KEYS = [f"{number:04}" for number in range(40)]
COLUMNS = ["key", "status", "attempts", "fetched_at", "body", "error"]


def needs(name: str):
    """Skips where the engine is not there; with SKUFETCH_ENGINES=1 it has to be."""
    is_there = importlib.util.find_spec(name) is not None
    return unittest.skipUnless(is_there or os.environ.get("SKUFETCH_ENGINES") == "1", f"there is no {name}")


class Missing(Case):
    def test_the_message_says_what_to_install(self) -> None:
        for module, absent, package in (
            (skufetch.spark, ("pyspark", "pyspark.sql"), r"pyspark\[sql\]"),
            (skufetch.ray, ("ray",), r"ray\[data\]"),
            (skufetch.dask, ("dask", "dask.dataframe"), r"dask\[dataframe\]"),
        ):
            with self.subTest(package), unittest.mock.patch.dict(sys.modules, {name: None for name in absent}):
                with self.assertRaisesRegex(ModuleNotFoundError, f"pip install '{package}'"):
                    module.fetch(None, url=self.api.url)


class Engine(Case):
    """The same for each engine."""

    def check(self, fetch, frame: object, rows) -> None:
        """`rows` gives the rows of a frame as dicts."""
        url = f"{self.api.url}?lang={{lang}}"
        options = {"url": url, "headers": {"X": "${T}"}, "env": {"T": "s3cret"}, "concurrency": 4}
        found = rows(fetch(frame, path=self.folder / "run", shards=3, **options))
        self.assertEqual([row["key"] for row in found], [*KEYS, "lost"])
        self.assertEqual(list(found[0]), COLUMNS)
        self.assertEqual(found[0]["body"], '{"sku":"0000","price":1.10,"id":9007199254740993}')
        self.assertEqual((found[0]["status"], found[0]["attempts"]), (200, 1))
        self.assertEqual(found[-1]["status"], 404)
        self.assertIn("no such product", found[-1]["error"])
        self.assertEqual(self.api.skus(), [*KEYS, "lost"])
        self.assertEqual({one["headers"]["x"] for one in self.api.seen}, {"s3cret"})
        self.assertEqual({one["query"] for one in self.api.seen}, {"lang=de"})
        again = rows(fetch(frame, path=self.folder / "run", errors="ignore", **options))
        self.assertEqual(([row["key"] for row in again], len(self.api.seen)), (KEYS, 41))
        with self.assertRaises(skufetch.FailedKeys):
            fetch(frame, path=self.folder / "run", errors="raise", **options)
        with self.assertRaises(skufetch.InputError):
            fetch(frame, path=self.folder / "run", url=url, key="nothing")
        with self.assertRaises(TypeError):
            fetch([1, 2], url=url)
        self.api.status = 401
        with self.assertRaises(skufetch.CredentialsRefused):
            fetch(frame, path=self.folder / "refused", shards=2, **options)
        self.api.status = 0
        self.api.seen.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            lazy = fetch(frame, **options)
        said = [str(one.message) for one in caught if "without path=" in str(one.message)]
        self.assertEqual((len(said), len(self.api.seen)), (1, 0))
        self.assertEqual(sorted(row["key"] for row in rows(lazy)), [*KEYS, "lost"])
        self.assertEqual(len(self.api.seen), 41)
        rows(lazy)
        self.assertEqual(len(self.api.seen), 82)

    @needs("pyspark")
    def test_spark(self) -> None:
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.pyspark.python", sys.executable).config("spark.driver.memory", "512m")
        with unittest.mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join(sys.path)}):
            session = builder.getOrCreate()
        self.addCleanup(session.stop)
        data = [(key, "de", 1) for key in [*KEYS, "lost"]]
        frame = session.createDataFrame(data, "sku string, lang string, `a.b` int").repartition(3)
        self.check(skufetch.spark.fetch, frame, lambda found: [row.asDict() for row in found.collect()])

    @needs("dask")
    def test_dask(self) -> None:
        import dask.dataframe
        import pandas

        data = pandas.DataFrame({"sku": [*KEYS, "lost"], "lang": "de", "stock": 1})
        frame = dask.dataframe.from_pandas(data, npartitions=3)

        def rows(found) -> list[dict]:
            return found.compute().to_dict("records")

        self.check(skufetch.dask.fetch, frame, rows)

    @needs("ray")
    def test_ray(self) -> None:
        import ray

        variables = {"PYTHONPATH": os.pathsep.join(sys.path), "SKUFETCH_BINARY": skufetch.find_binary()}
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
        self.addCleanup(ray.shutdown)
        data = [{"sku": key, "lang": "de", "stock": 1} for key in [*KEYS, "lost"]]
        self.check(skufetch.ray.fetch, ray.data.from_items(data, override_num_blocks=3), lambda found: found.take_all())


if __name__ == "__main__":
    unittest.main()
