"""Options, secrets, failures and exit codes of `fetch`."""

from __future__ import annotations

import datetime
import decimal
import fcntl
import functools
import json
import logging
import os
import pathlib
import socket
import subprocess
import sys
import time
import unittest
from unittest import mock

from support import ROOT, Case, skufetch


class Options(Case):
    def test_an_option_that_is_not_there_is_named_with_the_nearest_before_anything_runs(self) -> None:
        for name, words in (
            ("concurency", "did you mean concurrency"),
            ("nul_on", "did you mean null_on"),
            ("header_s", "did you mean headers"),
            ("max_workers", "skufetch --help lists"),
            ("quiet", "logger"),
            ("progress", "logger"),
            ("dry_run", "--dry-run"),
        ):
            with self.subTest(name), self.assertRaisesRegex(TypeError, f"{name}.*{words}"):
                self.fetch(["1"], **{name: "1"})

    def test_a_value_of_the_wrong_type_is_refused_before_anything_runs(self) -> None:
        for options in (
            {"rate": True},
            {"insecure": "yes"},
            {"headers": ["A: b"]},
            {"headers": {"A": None}},
            {"body": {"sku": "{sku}"}},
            {"delimiter": ";"},
            {"merge": True},
            {"format": "json"},
            {"raw": True, "parse_float": decimal.Decimal},
        ):
            with self.subTest(options), self.assertRaises(TypeError):
                self.fetch(["1"], **options)
        for options in ({"headers": {"A": "b\nC: d"}}, {"header": "A: b\r\nC: d"}, {"errors": "skip"}):
            with self.subTest(options), self.assertRaises(ValueError):
                self.fetch(["1"], **options)
        self.assertEqual(self.api.seen, [])

    def test_a_value_that_the_command_refuses_is_a_usage_error_in_its_words(self) -> None:
        for options, words in (
            ({"rate": "200"}, "200/s"),
            ({"rate": "-5/s"}, "-5/s"),
            ({"timeout": -1}, "-1s"),
            ({"url": None}, "url"),
        ):
            with self.subTest(options), self.assertRaisesRegex(skufetch.UsageError, words) as raised:
                list(self.fetch(["1"], **options))
            self.assertEqual(raised.exception.exit_code, 2)

    def test_options_arrive_as_python_writes_them(self) -> None:
        run = self.fetch(
            ["1"],
            url=self.api.url + "?t=${TOKEN}",
            headers={"X-A": "1", "X-Sku": "{sku}"},
            header=["X-B: 2"],
            method="POST",
            body=pathlib.PurePath("text").name + " {sku}",
            body_escape="none",
            timeout=2.5,
            connect_timeout=datetime.timedelta(seconds=3),
            concurrency=3,
            rate="100/s",
            null_on=[404, 410],
            retry_on="429",
            fresh=True,
            insecure=False,
            env={"TOKEN": "s3cret"},
        )
        self.assertEqual(list(run)[0][0], "1")
        seen = self.api.seen[0]
        self.assertEqual((seen["query"], seen["body"]), ("t=s3cret", "text 1"))
        headers = {name.lower(): value for name, value in seen["headers"].items()}
        self.assertEqual((headers["x-a"], headers["x-sku"], headers["x-b"]), ("1", "1", "2"))
        words = run._child.words
        for word in ("--timeout=2500ms", "--connect-timeout=3s", "--null-on=404,410", "--fresh", "--concurrency=3"):
            self.assertIn(word, words)

    def test_every_option_of_the_command_is_understood(self) -> None:
        from skufetch._binary import find_binary, options_of

        options = options_of(find_binary())
        shown = subprocess.run([find_binary(), "--help"], capture_output=True, check=True).stdout.decode()
        indented = {word for line in shown.splitlines() if line.lstrip().startswith("-") for word in line.split()}
        long = {word.rstrip(".")[2:] for word in indented if word.startswith("--")}
        self.assertGreater(len(options), 40)
        self.assertLessEqual(set(options), long)
        self.assertEqual(options["timeout"].value, "TIME")
        self.assertIsNone(options["merge"].value)
        self.assertTrue(options["verbose"].counted)
        settings = (ROOT / "config.toml").read_text().splitlines()
        keys = {line.lstrip("# ").split(" = ")[0] for line in settings if " = " in line}
        self.assertLessEqual({key for key in keys if key.replace("-", "").isalpha()}, set(options))

    def test_a_config_file_is_read_only_where_it_is_named(self) -> None:
        pathlib.Path("config.toml").write_text('this is the config of "another" program\n')
        self.assertEqual(self.keys(["1"]), ["1"])
        pathlib.Path("job.toml").write_text(f'[request]\nurl = "{self.api.url}?from=file"\n')
        self.assertEqual(self.keys(["1"], url=None, config="job.toml"), ["1"])
        self.assertEqual(self.api.seen[-1]["query"], "from=file")
        with self.assertRaises(skufetch.ConfigError):
            self.keys(["1"], config="config.toml")

    def test_the_form_of_files_that_a_config_gives_is_not_that_of_rows(self) -> None:
        pathlib.Path("job.toml").write_text('[input]\ndelimiter = ";"\nno-headers = true\n')
        self.assertEqual(self.keys([{"sku": "1;2", "lang": "de"}], config="job.toml"), ["1;2"])
        pathlib.Path("products.csv").write_text("1;de\n2;fr\n")
        self.assertEqual(self.keys("products.csv", config="job.toml", key="#1"), ["1", "2"])
        with mock.patch.dict(os.environ, {"SKUFETCH_NO_HEADERS": "true", "SKUFETCH_DELIMITER": "tab"}):
            self.assertEqual(self.keys(["1", "2"]), ["1", "2"])

    def test_false_overrules_a_variable(self) -> None:
        with mock.patch.dict(os.environ, {"SKUFETCH_DEMO": "true"}):
            self.assertEqual(self.keys(["1"], demo=False), ["1"])
        self.assertEqual(self.api.skus(), ["1"])


class Secrets(Case):
    @unittest.skipUnless(sys.platform == "linux", "/proc tells the processes")
    def test_they_stand_in_no_process_list_and_no_message(self) -> None:
        self.api.delay = 0.5
        self.api.status = 401
        secret = "s3cret-of-this-test"
        found: list[bytes] = []

        def rows():
            yield "1"
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    found.append((process / "cmdline").read_bytes())
                except OSError:
                    continue
            yield "2"

        with self.assertLogs("skufetch", logging.DEBUG) as logs:
            with self.assertRaises(skufetch.SkufetchError) as raised:
                self.fetch(
                    rows(),
                    url=self.api.url + f"?key={secret}",
                    headers={"X-Key": secret, "Authorization": "Bearer ${TOKEN}"},
                    env={"TOKEN": secret + "-2"},
                ).to_dict()
        self.assertTrue(found)
        self.assertNotIn(secret.encode(), b"".join(found))
        self.assertEqual(self.api.seen[0]["headers"]["authorization"], f"Bearer {secret}-2")
        self.assertNotIn(secret, str(raised.exception) + str(raised.exception.failures) + "".join(logs.output))


class Failures(Case):
    def test_raise_comes_after_every_answer(self) -> None:
        got = []
        with self.assertRaisesRegex(skufetch.FailedKeys, "2 rows failed, first lost1") as raised:
            # One at a time: answers come in any order else.
            for pair in self.fetch(["lost1", "2", "lost3", "4", "5"], concurrency=1):
                got.append(pair[0])
        error = raised.exception
        self.assertEqual((got, error.exit_code, error.answers), (["2", "4", "5"], 1, None))
        self.assertEqual(sorted(failure.key for failure in error.failures), ["lost1", "lost3"])
        first = next(failure for failure in error.failures if failure.key == "lost1")
        self.assertEqual((first.status, first.attempts, first.line, first.cause), (404, 1, 2, "not found"))
        self.assertEqual(error.summary["fetched"], 3)
        with self.assertRaises(skufetch.FailedKeys) as raised:
            self.fetch(["lost1", "2"]).to_dict()
        self.assertEqual(list(raised.exception.answers), ["2"])

    def test_return_gives_a_failure_in_its_place(self) -> None:
        found = dict(self.fetch(["1", "lost2", "3"], errors="return"))
        self.assertEqual(list(found), ["1", "lost2", "3"])
        self.assertIsInstance(found["lost2"], skufetch.Failure)
        self.assertEqual(found["lost2"].status, 404)

    def test_ignore_leaves_them_out_and_says_them_aside(self) -> None:
        run = self.fetch(["1", "lost2", "3"], errors="ignore")
        self.assertEqual((list(dict(run)), run.exit_code), (["1", "3"], 1))
        self.assertEqual([failure.key for failure in run.failures], ["lost2"])

    def test_a_status_can_be_an_answer(self) -> None:
        self.assertIsNone(dict(self.fetch(["1", "lost2"], null_on=404))["lost2"])

    def test_a_number_that_python_refuses_fails_its_key_alone(self) -> None:
        run = self.fetch(["1", "huge2", "3"], errors="return", select=".", loads=json.loads)
        found = dict(run)
        self.assertEqual(list(found), ["1", "huge2", "3"])
        self.assertRegex(found["huge2"].error, "cannot be read")
        with self.assertRaises(skufetch.FailedKeys):
            dict(self.fetch(["1", "huge2", "3"]))

    def test_records_and_the_digits_of_numbers(self) -> None:
        record = dict(self.fetch(["1"], shape="record"))["1"]
        self.assertEqual((record["status"], record["attempts"], record["body"]["sku"]), (200, 1, "1"))
        self.assertEqual(dict(self.fetch(["1"], parse_float=decimal.Decimal))["1"]["price"], decimal.Decimal("1.10"))
        raw = b'{"sku":"1","price":1.10,"id":9007199254740993}'
        self.assertEqual(dict(self.fetch(["1"], raw=True))["1"], raw)
        self.assertEqual(json.loads(dict(self.fetch(["1"], raw=True, shape="record"))["1"])["body"]["sku"], "1")
        texts = functools.partial(json.loads, parse_int=str)
        self.assertEqual(dict(self.fetch(["1"], loads=texts))["1"]["id"], "9007199254740993")


class ExitCodes(Case):
    def test_each_has_its_exception_and_the_message_of_the_command(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/{{sku}}"
            with self.assertRaisesRegex(skufetch.Unavailable, "refused") as raised:
                dict(self.fetch(["1"], url=nobody, retries=0))
            self.assertEqual(raised.exception.exit_code, 69)
        pathlib.Path("empty.csv").write_text("sku\n")
        with self.assertRaises(skufetch.InputError):
            dict(self.fetch("empty.csv"))
        with self.assertRaises(skufetch.InputMissing):
            dict(self.fetch("nothing.csv"))
        with self.assertRaisesRegex(skufetch.InputError, "ean"):
            dict(self.fetch(["1"], url=self.api.url.replace("sku", "ean")))
        with self.assertRaises(skufetch.CannotWrite):
            self.fetch(["1"], output="there/is/no/folder/out.json").wait()
        self.api.status = 403
        with self.assertRaises(skufetch.CredentialsRefused) as raised:
            dict(self.fetch([str(number) for number in range(30)]))
        self.assertIn("403", str(raised.exception))
        self.api.status = 0
        self.api.delay = 0.05
        with self.assertRaises(skufetch.TryLater):
            dict(self.fetch([str(number) for number in range(2000)], max_time=0.3, concurrency=1))

    def test_the_guard_holds_back_what_is_much_worse(self) -> None:
        skus = [str(number) for number in range(30)]
        self.assertEqual(self.fetch(skus, output="out.json").wait()["fetched"], 30)
        with self.assertRaises(skufetch.HeldBack):
            self.fetch(skus[:5], output="out.json").wait()
        self.assertEqual(len(dict(skufetch.read("out.json"))), 30)

    def test_codes_and_signals_map_to_kinds(self) -> None:
        from skufetch._errors import error_of

        for code, kind in (
            (1, skufetch.FailedKeys),
            (2, skufetch.UsageError),
            (65, skufetch.InputError),
            (66, skufetch.InputMissing),
            (69, skufetch.Unavailable),
            (73, skufetch.CannotWrite),
            (74, skufetch.SystemTrouble),
            (75, skufetch.TryLater),
            (76, skufetch.HeldBack),
            (77, skufetch.CredentialsRefused),
            (78, skufetch.ConfigError),
            (130, skufetch.Stopped),
            (143, skufetch.Stopped),
            (-9, skufetch.Stopped),
            (101, skufetch.SkufetchError),
        ):
            error = error_of(code, None, None)
            self.assertEqual((type(error), error.exit_code), (kind, code))

    def test_the_readme_lists_the_same_codes(self) -> None:
        from skufetch._errors import _BY_CODE

        rows = [line.split("|")[1].strip() for line in (ROOT / "README.md").read_text().splitlines() if line[:1] == "|"]
        self.assertEqual({int(row) for row in rows if row.isdigit()} - {0}, set(_BY_CODE))
        page = (ROOT / "docs" / "python.md").read_text()
        for code, kind in _BY_CODE.items():
            self.assertIn(f"| {code} | `{kind.__name__}` |", page)


class Files(Case):
    def test_an_output_is_written_then_read_and_failures_are_told(self) -> None:
        run = self.fetch(["1", "lost2", "3"], output="out.json", errors="return")
        found = dict(run)
        self.assertEqual((list(found), found["lost2"].status), (["1", "3", "lost2"], 404))
        self.assertEqual(list(dict(skufetch.read("out.json"))), ["1", "3"])
        self.assertTrue(pathlib.Path("out.failed.csv").exists())
        with self.assertRaises(skufetch.FailedKeys):
            self.fetch(["1", "lost2"], output="out.json").wait()
        self.assertEqual(self.fetch(["1", "lost2"], output="out.json", errors="ignore").wait()["failed"], 1)
        with self.assertRaisesRegex(TypeError, "output"):
            self.fetch(["1"]).wait()

    def test_a_run_that_was_stopped_goes_on_where_it_was(self) -> None:
        self.api.delay = 0.01
        skus = [f"{number:03}" for number in range(200)]
        run = self.fetch(skus, output="out.json", concurrency=2)

        def stopping():
            yield from skus[:150]
            while self.api.answered < 20:
                time.sleep(0.01)
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.fetch(stopping(), output="out.json", concurrency=2).wait()
        self.assertTrue(pathlib.Path("out.json.journal").exists())
        self.assertFalse(pathlib.Path("out.json").exists())
        self.assertEqual(list(dict(run)), skus)
        self.assertGreaterEqual(run.summary["recovered"], 20)

    def test_rows_that_end_with_the_death_of_python_are_never_published(self) -> None:
        # The rows come by a pipe, which a killed process closes: that must not look like the end of the rows.
        program = (
            "import os, signal, sys, time, skufetch\n"
            "def rows():\n"
            "    yield from map(str, range(60))\n"
            "    while not os.path.exists('out.json.journal'): time.sleep(0.01)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "skufetch.fetch(rows(), url=sys.argv[1], output='out.json').wait()\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program, self.api.url], env=environment, check=False)
        with open("out.json.lock", "rb") as lock:
            # Free when the command that was left has ended.
            fcntl.flock(lock, fcntl.LOCK_EX)
        self.assertFalse(pathlib.Path("out.json").exists())


class Logging(Case):
    def test_messages_are_log_records_with_their_fields(self) -> None:
        with self.assertLogs("skufetch", logging.INFO) as logs:
            dict(self.fetch(["1", "1.23E+12"]))
        by_event = {record.event["event"]: record for record in logs.records}
        self.assertEqual(by_event["warned"].levelno, logging.WARNING)
        self.assertEqual(by_event["finished"].event["fetched"], 2)


class Binary(Case):
    def test_it_is_found_beside_the_module_by_the_variable_or_on_the_path(self) -> None:
        from skufetch import _binary

        real = skufetch.find_binary()
        with mock.patch.dict(os.environ, {"SKUFETCH_BINARY": str(self.folder / "nothing")}):
            with self.assertRaisesRegex(skufetch.BinaryNotFound, "SKUFETCH_BINARY"):
                self.fetch(["1"])
            self.assertEqual(self.keys(["1"], binary=real), ["1"])
        with self.assertRaisesRegex(skufetch.BinaryNotFound, "is not skufetch"):
            self.fetch(["1"], binary="/bin/ls")
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "skufetch").symlink_to(real)
        with mock.patch.dict(os.environ, {"SKUFETCH_BINARY": "", "PATH": str(bin_folder)}):
            with mock.patch.object(_binary, "_folders", lambda: iter([str(bin_folder)])):
                self.assertEqual(skufetch.find_binary(), str(bin_folder / "skufetch"))
            with mock.patch.object(_binary, "_folders", lambda: iter([str(self.folder)])):
                self.assertEqual(skufetch.find_binary(), str(bin_folder / "skufetch"))
        with mock.patch.dict(os.environ, {"SKUFETCH_BINARY": "", "PATH": str(self.folder)}):
            with mock.patch.object(_binary, "_folders", lambda: iter([str(self.folder)])):
                with self.assertRaisesRegex(skufetch.BinaryNotFound, "pip install"):
                    skufetch.find_binary()

    def test_the_module_is_the_command_too(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "skufetch", "--version"]
        shown = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        self.assertTrue(shown.startswith(b"skufetch "), shown)


if __name__ == "__main__":
    unittest.main()
