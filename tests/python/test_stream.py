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
