"""A run in many processes on one folder, scheduled here by the test itself: what every engine does with path=."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time
import unittest

from support import Case, skufetch

from skufetch import _input, _shards
from skufetch._engine import call_of

ROWS = [(f"{number:04}", "de" if number % 2 else "fr", number) for number in range(120)]


class Shards(Case):
    def call(self, **options: object):
        mine = {
            "url": self.api.url,
            "key": None,
            "path": self.folder / "run",
            "run_id": None,
            "shards": 4,
            "errors": "return",
            "env": None,
            "config": None,
            "binary": None,
        }
        own = {name: options.pop(name) for name in list(options) if name in mine}
        header = options.pop("header", ["sku", "lang", "stock"])
        return call_of(header, **{**mine, **own}, options=options)

    def run_all(self, rows=ROWS, **options: object) -> dict[str, object]:
        """Runs every shard, two at a time, and gives what the output holds."""
        call = self.call(**options)
        at = [call.header.index(name) for name in call.columns]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            job = call.run(
                ([row[n] for n in at] for row in rows),
                lambda job: pool.map(lambda number: _shards.run_shard(job, number), range(job.shards)),
            )
        return dict(skufetch.read(job.output))

    def test_each_sku_is_asked_for_once_and_the_same_call_asks_for_nothing(self) -> None:
        url = f"{self.api.url}?lang={{lang}}"
        found = self.run_all(url=url)
        self.assertEqual(list(found), [row[0] for row in ROWS])
        self.assertEqual(found["0001"]["body"]["sku"], "0001")
        self.assertEqual(self.api.skus(), sorted(found))
        self.assertEqual({one["query"] for one in self.api.seen}, {"lang=de", "lang=fr"})
        # The column that no template names is not written.
        written = (self.folder / "run/input/run.csv").read_text().splitlines()
        self.assertEqual(written[:2], ['"sku","lang"', '"0000","fr"'])
        with self.assertLogs("skufetch", "WARNING") as logs:
            self.assertEqual(self.run_all(ROWS[::-1], url=url, shards=None), found)
        self.assertIn("run run is complete", logs.output[0])
        self.assertEqual(len(self.api.seen), len(ROWS))
        self.run_all(url=url, run_id="tuesday")
        self.assertEqual(len(self.api.seen), 2 * len(ROWS))

    def test_other_rows_are_asked_for(self) -> None:
        self.run_all()
        with self.assertLogs("skufetch", "WARNING") as logs:
            found = self.run_all([*ROWS, ("new", "de", 1)])
        self.assertIn("the rows differ", logs.output[0])
        self.assertEqual(len(found), 121)

    def test_a_second_attempt_of_a_shard_waits_and_asks_for_nothing(self) -> None:
        self.api.delay = 0.02
        call = self.call(concurrency=2)

        def schedule(job):
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                return list(pool.map(lambda number: _shards.run_shard(job, number % job.shards), range(2 * job.shards)))

        job = call.run(([row[0]] for row in ROWS), schedule)
        self.assertEqual(len(dict(skufetch.read(job.output))), len(ROWS))
        self.assertEqual(self.api.skus(), [row[0] for row in ROWS])

    def test_an_attempt_that_is_killed_stops_its_command_which_loses_nothing(self) -> None:
        self.api.delay = 0.05
        job = _shards.prepare(
            ["sku"],
            ([row[0]] for row in ROWS),
            path=self.folder / "run",
            run_id="monday",
            shards=1,
            given={"url": self.api.url, "concurrency": 2},
            env={"API_TOKEN": "s3cret"},
            config=None,
            binary=None,
        )
        pathlib.Path("job").write_bytes(pickle.dumps(job))
        program = "import pickle, skufetch._shards as s; s.run_shard(pickle.load(open('job', 'rb')), 0)"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        python = subprocess.Popen([sys.executable, "-c", program], env=environment)
        while len(self.api.seen) < 10:
            time.sleep(0.01)
        self.assertEqual(python.poll(), None)
        python.send_signal(signal.SIGKILL)
        python.wait()
        asked = len(self.api.seen)
        # It drains, and then holds no lock any more.
        self.assertEqual(_shards.run_shard(job, 0), _shards.Outcome(0, 0))
        self.assertLess(asked, len(ROWS))
        self.assertEqual(self.api.skus(), [row[0] for row in ROWS])

    def test_an_exception_in_the_driver_stops_the_shards_wherever_they_are(self) -> None:
        self.api.delay = 0.1
        ended: list[object] = []

        def schedule(job):
            thread = threading.Thread(target=lambda: ended.append(_shards.run_shard(job, 0)))
            thread.start()
            self.addCleanup(thread.join)
            while len(self.api.seen) < 4:
                time.sleep(0.01)
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.call(concurrency=2, shards=1).run(([row[0]] for row in ROWS), schedule)
        while not ended:
            time.sleep(0.05)
        self.assertTrue(ended[0].is_stopped)
        self.assertLess(len(self.api.seen), len(ROWS))
        found = self.run_all(concurrency=2, shards=1)
        self.assertEqual((len(found), len(self.api.seen)), (len(ROWS), len(ROWS)))

    def test_a_task_of_a_dead_driver_does_not_stop_the_next_one(self) -> None:
        jobs = []

        def schedule(job):
            jobs.append(job)
            if len(jobs) == 1:
                raise KeyboardInterrupt
            # What is left of the first attempt finds out that something is wrong.
            _shards.stop(jobs[0])
            return [_shards.run_shard(job, number) for number in range(job.shards)]

        with self.assertRaises(KeyboardInterrupt):
            self.call().run(([row[0]] for row in ROWS), schedule)
        self.assertEqual(len(list(pathlib.Path("run/input").glob("*.stop"))), 1)
        self.assertTrue(_shards.run_shard(jobs[0], 0).is_stopped)
        self.call().run(([row[0]] for row in ROWS), schedule)
        self.run_all()
        self.assertEqual(list(pathlib.Path("run/input").glob("*.stop")), [])
        self.assertEqual(len(self.api.seen), len(ROWS))

    def test_what_a_person_must_mend_stops_all_shards_and_is_raised(self) -> None:
        self.api.status = 401
        with self.assertRaisesRegex(skufetch.CredentialsRefused, "shard ./4: the API refuses"):
            self.run_all(concurrency=1)
        self.api.status = 0
        with self.assertRaisesRegex(skufetch.UsageError, "shard 0/4"):
            self.run_all(rate="fast")
        # Both have stopped their run, and the next call takes it up.
        self.assertEqual(len(self.run_all()), len(ROWS))
        with self.assertRaises(skufetch.InputError):
            self.run_all([])

    def test_failed_skus_are_rows_or_an_exception(self) -> None:
        rows = [*ROWS[:5], ("lost-1", "de", 1), (None, "de", 1)]
        found = self.run_all(rows)
        self.assertEqual((found["lost-1"]["status"], len(found)), (404, 6))
        with self.assertRaisesRegex(skufetch.FailedKeys, "2 rows failed, first lost-1") as raised:
            self.run_all(rows, errors="raise")
        self.assertEqual([failure.key for failure in raised.exception.failures], ["lost-1"])
        self.assertIn("lost-1", (self.folder / "run/out.failed.csv").read_text())
        self.assertEqual(len(self.api.seen), 6)

    def test_no_secret_is_in_a_file_or_on_a_command_line(self) -> None:
        call = self.call(headers={"Authorization": "Bearer ${TOKEN}", "X-Key": "plain-secret"}, env={"TOKEN": "s3cret"})
        job = call.run(([row[0]] for row in ROWS), lambda job: [_shards.run_shard(job, n) for n in range(4)])
        self.assertNotIn("secret", " ".join(job.words))
        self.assertNotIn("s3cret", repr(job))
        self.assertEqual({one["headers"]["authorization"] for one in self.api.seen}, {"Bearer s3cret"})
        for file in pathlib.Path("run").rglob("*"):
            if file.is_file():
                self.assertNotRegex(file.read_text(), "s3cret|plain-secret", file)

    def test_options_that_have_no_meaning_are_refused(self) -> None:
        for name, value, words in (
            ("output", "out.json", "path="),
            ("fresh", True, "another run_id"),
            ("stream", True, "without path="),
            ("report", "r.json", "file of one process"),
        ):
            with self.subTest(name), self.assertRaisesRegex(TypeError, words):
                self.run_all(**{name: value})
        with self.assertRaisesRegex(TypeError, "did you mean rate"):
            self.run_all(rat="5/s")
        with self.assertRaisesRegex(ValueError, "begun with 4 shards"):
            self.run_all()
            self.run_all(shards=5)
        for value in (0, True, "4"):
            with self.assertRaisesRegex(ValueError, "whole number"):
                self.run_all(shards=value)
        for value in ("", "..", "a/b", "x" * 65):
            with self.assertRaisesRegex(ValueError, "run_id"):
                self.run_all(run_id=value)
        with self.assertRaisesRegex(ValueError, "s3://"):
            self.run_all(path="s3://bucket/run")
        with self.assertRaisesRegex(skufetch.InputError, "the column 'id'"):
            self.run_all(key="id")
        with self.assertRaisesRegex(ValueError, "errors is one of"):
            self.run_all(errors="no")
        with self.assertRaisesRegex(TypeError, "need path="):
            self.call(path=None).stream()
        with self.assertRaisesRegex(ValueError, "needs path="):
            self.call(path=None, shards=None, errors="raise").stream()
        with self.assertLogs("skufetch", "WARNING") as logs:
            self.run_all(run_id="rate", rate="1000/s")
        self.assertIn("rate_store", logs.output[0])

    def test_every_worker_must_see_the_folder(self) -> None:
        def schedule(job):
            os.unlink(job.input)
            return [_shards.run_shard(job, number) for number in range(4)]

        with self.assertRaisesRegex(skufetch.InputMissing, "folder that the driver and all workers share"):
            self.call().run(([row[0]] for row in ROWS), schedule)

    def test_many_lines_are_sorted_in_files(self) -> None:
        before = _input._SORTED_AT_ONCE, _input._LINES
        self.addCleanup(lambda: (setattr(_input, "_SORTED_AT_ONCE", before[0]), setattr(_input, "_LINES", before[1])))
        _input._SORTED_AT_ONCE, _input._LINES = 7, 3
        for count in (1, 6, 7, 8, 14, 100):
            lines = [f"{number * 37 % 101:03}\n" for number in range(count)]
            self.assertEqual(list(_input._sorted(iter(lines))), sorted(lines))

    def test_a_range_of_the_output_begins_and_ends_with_a_line(self) -> None:
        self.run_all(shards=1)
        path = str(self.folder / "run" / "out.jsonl")
        whole = [entry.key for entry in _shards.entries_of(path, (0, None))]
        for size in (1, 7, 150, 151, 1 << 20):
            found = [entry.key for part in _shards.ranges_of(path, size) for entry in _shards.entries_of(path, part)]
            self.assertEqual(found, whole)
        pathlib.Path("bad").write_text("{}\n")
        with self.assertRaisesRegex(ValueError, "bad: not a line"):
            list(_shards.entries_of("bad", (0, None)))

    def test_the_columns_that_templates_name(self) -> None:
        header = ["id", "SKU", "Lang", "x y", "stock"]
        for options, columns in (
            ({}, ["SKU"]),
            ({"url": self.api.url + "?l={lang}"}, ["SKU", "Lang"]),
            ({"headers": {"X": "{x y}"}}, ["SKU", "x y"]),
            ({"body": '{"s":"{stock}"}'}, ["SKU", "stock"]),
            ({"select": "$row.lang"}, header),
            ({"url": self.api.url + "?l={#3}"}, header),
            ({"url": None}, header),
            ({"key": "#2"}, header),
            ({"body": "@body.json"}, header),
            ({"config": "job.toml"}, header),
        ):
            with self.subTest(options):
                self.assertEqual(self.call(header=header, **options).columns, columns)

    def test_a_damaged_record_of_the_run_is_named(self) -> None:
        self.run_all()
        (self.folder / "run/input/run.json").write_text("{")
        with self.assertRaisesRegex(skufetch.InputError, "run.json is damaged"):
            self.run_all()
        (self.folder / "run/input/run.json").write_text(json.dumps({"shards": 4}))
        self.assertEqual(len(self.run_all()), len(ROWS))
        self.assertEqual(len(self.api.seen), len(ROWS))


if __name__ == "__main__":
    unittest.main()
