"""However the caller stops, the command stops once, drains, and is waited for."""

from __future__ import annotations

import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

from support import Case, skufetch


class Stops(Case):
    def endless(self, after: int):
        """Rows that stop coming, when so many answers were given, with what `stop` does."""
        for number in range(20):
            yield f"{number}"
        while self.api.answered < after:
            time.sleep(0.01)
        self.stop()
        while True:
            yield f"{time.monotonic_ns()}"

    def stop(self) -> None:
        raise AssertionError

    def test_an_exception_of_the_rows_is_the_one_that_is_seen(self) -> None:
        def stop() -> None:
            raise LookupError("no more")

        self.stop = stop
        run = self.fetch(self.endless(3), concurrency=2)
        with self.assertRaisesRegex(LookupError, "no more"):
            next(run)
        self.assert_gone(run._child.process)
        self.assertEqual(list(run), [], "a run that was stopped gives nothing more")

    def test_control_c_reaches_the_command_once_and_what_is_in_flight_is_answered(self) -> None:
        self.api.delay = 0.4
        program = (
            "import sys, skufetch\n"
            "def rows():\n"
            "    for number in range(10_000): yield str(number)\n"
            "run = skufetch.fetch(rows(), url=sys.argv[1], output='out.json', concurrency=4)\n"
            "try: print('runs', flush=True); run.wait()\n"
            "except KeyboardInterrupt: print(run._child.process.returncode, flush=True); raise\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        # A group of its own: the signal goes to all of it, as that of a terminal.
        python = subprocess.Popen(
            [sys.executable, "-c", program, self.api.url],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # A test that was started in the background ignores it, and so would the program.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert python.stdout
        self.assertEqual(python.stdout.readline(), b"runs\n")
        while not self.api.seen:
            time.sleep(0.01)
        os.killpg(python.pid, signal.SIGINT)
        out, err = python.communicate(timeout=120)
        self.assertEqual(out.decode().strip(), "130", err.decode())
        self.assertIn(b"KeyboardInterrupt", err)
        self.assertEqual(len(self.api.seen), self.api.answered, "nothing was cut off")
        self.assertTrue(pathlib.Path("out.json.journal").stat().st_size > 100)

    def test_closing_the_run_or_leaving_its_block_stops_the_command(self) -> None:
        many = [f"{number}" for number in range(800)]
        with self.fetch(many) as run:
            next(run)
            process = run._child.process
        self.assert_gone(process)
        run = self.fetch(many)
        next(run)
        run.close()
        self.assert_gone(run._child.process)
        run.close()
        self.assertEqual(list(run), [])

    def test_leaving_the_loop_stops_the_command(self) -> None:
        many = [f"{number}" for number in range(800)]
        held = []
        run = self.fetch(many)
        held.append(run._child)
        for _ in run:
            break
        del run
        gc.collect()
        self.assert_gone(held[0].process)

        def loop() -> None:
            run = self.fetch(many)
            held.append(run._child)
            for _ in run:
                raise LookupError

        with self.assertRaises(LookupError):
            loop()
        gc.collect()
        self.assert_gone(held[1].process)

    def test_nothing_is_started_that_nobody_asks_for(self) -> None:
        run = self.fetch(["1"])
        run.close()
        self.assertIsNone(run._child.process)
        self.assertEqual(self.api.seen, [])

    def test_the_end_of_python_ends_the_command(self) -> None:
        program = (
            "import sys, skufetch\n"
            "run = skufetch.fetch((str(number) for number in range(800)), url=sys.argv[1])\n"
            "next(run)\n"
            "print(run._child.process.pid, flush=True)\n"
            "raise LookupError\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", program, self.api.url]
        ended = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
        with self.assertRaises(ProcessLookupError):
            os.kill(int(ended.stdout), 0)

    @unittest.skipUnless(sys.platform == "linux", "/proc tells the processes")
    def test_without_python_the_command_ends_too(self) -> None:
        self.api.delay = 0.05
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number):
                self.api.seen.clear()
                program = (
                    "import sys, skufetch\n"
                    "rows = (str(number) for number in range(100_000))\n"
                    "dict(skufetch.fetch(rows, url=sys.argv[1], concurrency=2))\n"
                )
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                python = subprocess.Popen([sys.executable, "-c", program, self.api.url], env=environment)
                while not self.api.seen:
                    time.sleep(0.01)
                children = pathlib.Path(f"/proc/{python.pid}/task/{python.pid}/children").read_text().split()
                self.assertEqual(len(children), 1)
                python.send_signal(number)
                python.wait()
                # A process that nobody waits for stays in the table, as one that has ended.
                stat = pathlib.Path(f"/proc/{children[0]}/stat")
                until = time.monotonic() + 30
                while time.monotonic() < until and stat.exists() and stat.read_text().rsplit(")")[1].split()[0] != "Z":
                    time.sleep(0.05)
                self.assertLess(time.monotonic(), until, "the command goes on without a reader")

    def test_a_thread_may_run_it(self) -> None:
        found: dict = {}
        thread = threading.Thread(target=lambda: found.update(self.fetch(["1", "2"])))
        thread.start()
        thread.join()
        self.assertEqual(list(found), ["1", "2"])

    def test_a_command_that_is_killed_is_told_as_that(self) -> None:
        self.api.delay = 0.05
        run = self.fetch(self.endless(3), concurrency=1)
        self.stop = lambda: run._child.process.kill()
        with self.assertRaises(skufetch.Stopped) as raised:
            next(run)
        self.assertEqual(raised.exception.exit_code, -signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
