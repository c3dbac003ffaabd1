"""Lines that come while rows are still given, from a stand-in that writes as `--stream` is laid down to."""

from __future__ import annotations

import pathlib
import sys
import time
import unittest

from support import Case, skufetch

COMMAND = r"""#!%s
import csv, json, sys
if "--help" in sys.argv:
    print("      --url <TEMPLATE>\n      --key <COLUMN>\n      --stream")
    sys.exit()
assert "--stream" in sys.argv and "--format=jsonl" in sys.argv, sys.argv
assert not [word for word in sys.argv if word.startswith("--shape")], sys.argv
seen = {}
rows = csv.reader(iter(sys.stdin.readline, ""))
next(rows)
for seq, (key,) in enumerate(rows):
    line = {"seq": seq, "key": key or None, "status": 200, "attempts": 1, "fetched_at": "2026-11-28T02:00:00Z"}
    if key in seen:
        line["same_as"] = seen[key]
    elif key == "later":
        line.update(status=None, attempts=0, fetched_at=None, deferred=True)
    elif key.startswith("lost"):
        line.update(status=404, error="not found")
        print(json.dumps({"event": "job_failed", "level": "warning", "message": "failed", "key": key, "line": seq + 2,
                          "detail": "not found", "cause": "not found", "status": 404, "attempts": 1}), file=sys.stderr)
    else:
        line["body"] = {"sku": key}
    seen.setdefault(key, seq)
    print(json.dumps(line, separators=(",", ":")), flush=True)
sys.exit(75 if "later" in seen else 0)
"""


class Stream(Case):
    def setUp(self) -> None:
        super().setUp()
        self.command = pathlib.Path("stand-in").absolute()
        self.command.write_text(COMMAND % sys.executable)
        self.command.chmod(0o755)

    def test_an_answer_comes_before_the_next_row_is_given(self) -> None:
        answered: list[str] = []

        def rows():
            for number in range(2000):
                if len(answered) > 5:
                    return
                time.sleep(0.005)
                yield str(number)
            self.fail("2000 rows were taken, and no answer was given")

        for key, body in skufetch.fetch(rows(), url="x", binary=self.command, stream=True):
            self.assertEqual(body, {"sku": key})
            answered.append(key)
        self.assertEqual(answered, [str(number) for number in range(len(answered))])

    def test_failed_repeated_and_deferred_rows(self) -> None:
        run = skufetch.fetch(["1", "lost", "1", "2"], url="x", binary=self.command, stream=True, errors="return")
        found = list(run)
        self.assertEqual([key for key, _ in found], ["1", "lost", "2"])
        self.assertEqual((found[1][1].status, found[1][1].error), (404, "not found"))
        with self.assertRaises(skufetch.FailedKeys):
            list(skufetch.fetch(["1", "lost"], url="x", binary=self.command, stream=True))
        with self.assertRaises(skufetch.TryLater):
            list(skufetch.fetch(["1", "later"], url="x", binary=self.command, stream=True))

    def test_rows_gives_what_became_of_each(self) -> None:
        keys = ["1", "lost", "1", "", "2"]
        found = {row.seq: row for row in skufetch.rows(keys, url=self.api.url, select="{sku}")}
        self.assertEqual(sorted(found), [0, 1, 2, 3, 4])
        self.assertEqual((found[0].key, found[0].status, found[0].body), ("1", 200, {"sku": "1"}))
        self.assertRegex(found[0].fetched_at, r"^20\d\d-.*Z$")
        self.assertEqual((found[1].status, found[1].body, found[1].attempts), (404, None, 1))
        self.assertIn("no such product", found[1].error)
        self.assertEqual((found[2].key, found[2].same_as, found[2].body), ("1", 0, None))
        self.assertIsNone(found[3].key)
        self.assertTrue(found[3].error)
        self.assertEqual(self.api.skus(), ["1", "2", "lost"])
        huge = list(skufetch.rows(["huge"], url=self.api.url))[0]
        self.assertIn("cannot be read", huge.error)
        self.assertEqual(len(list(skufetch.rows(["huge"], url=self.api.url, raw=True))[0].body), 5000)
        self.assertEqual(list(skufetch.rows([], url=self.api.url)), [])
        pairs = [("a", ""), ("b", "1")]
        skipped = list(skufetch.rows(pairs, fieldnames=["n", "sku"], url=self.api.url, empty_key="skip"))
        self.assertEqual({row.seq: row.skipped for row in skipped}, {0: True, 1: False})

    def test_rows_that_are_deferred_and_options_that_are_wrong(self) -> None:
        found = []
        with self.assertRaises(skufetch.TryLater):
            for row in skufetch.rows(["1", "later"], url="x", binary=self.command):
                found.append(row)
        self.assertEqual([(row.key, row.deferred) for row in found], [("1", False), ("later", True)])
        for name, value in (("output", "out.json"), ("merge", True), ("rat", "5/s"), ("delimiter", ";")):
            with self.subTest(name), self.assertRaises(TypeError):
                skufetch.rows(["1"], url=self.api.url, **{name: value})

    def test_a_closed_iterator_of_rows_stops_the_command(self) -> None:
        def endless():
            number = 0
            while True:
                yield str(number)
                number += 1

        run = skufetch.rows(endless(), url=self.api.url, concurrency=2)
        self.assertIsNotNone(next(run).body)
        run.close()
        before = len(self.api.seen)
        time.sleep(0.2)
        self.assertEqual(len(self.api.seen), before)

    def test_the_command_itself_writes_such_lines(self) -> None:
        answered: list[str] = []

        def rows():
            yield from ("SZ-62420-L", "0474655", "SZ-62420-L")
            deadline = time.monotonic() + 30
            while not answered and time.monotonic() < deadline:
                yield f"later-{len(answered)}"
                time.sleep(0.01)

        run = skufetch.fetch(rows(), demo=True, demo_failures=0, demo_latency="1ms", stream=True)
        answered.append(next(run)[0])
        answered.extend(key for key, _ in run)
        self.assertEqual(len(answered), len(set(answered)))
        self.assertLessEqual({"SZ-62420-L", "0474655"}, set(answered))
        self.assertEqual(run.exit_code, 0)


if __name__ == "__main__":
    unittest.main()
