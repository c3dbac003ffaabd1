"""Kills workers and drivers of real engines in the middle of a run, and counts the requests. packaging/check-engines."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import object_store
from api import Api
from processes import Processes, command_of, folder_of, kill, name_of, processes, send, tree_of, wait_for

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
KEYS = 4_000
SHARDS = 8
#: In each shard.
CONCURRENCY = 8


@dataclasses.dataclass
class Result:
    """A line of the table."""

    engine: str
    happened: str
    requests: int
    #: Requests that may be sent twice.
    allowed: int
    keys: int = KEYS

    def line(self) -> str:
        return f"| {self.engine} | {self.happened} | {self.keys:,} | {self.requests:,} | {self.requests - self.keys} |"


class Case:
    """One run of an engine: its API, its folder, and what becomes of it."""

    def __init__(self, engine: str, name: str, started: Processes) -> None:
        self.engine = engine
        self.api = Api()
        self.started = started
        self.name = name
        self.folder = started.folder / name
        self.folder.mkdir()
        self.output = self.folder / "run" / "out.jsonl"
        #: The input in the order of the output.
        self.ordered = self.folder / "run" / "input" / "run.csv"
        #: Where Spark logs what it does.
        self.events = self.folder / "events"
        self.rows = self.folder / "products.csv"
        # Not in the order in which the input will be.
        self.keys = [f"{n * 7919 % 100_003:06}" for n in range(KEYS)]
        self.rows.write_text("sku,name\n" + "".join(f"{key},thing {n}\n" for n, key in enumerate(self.keys)))

    def driver(self, address: str, **environment: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, str(HERE / "driver.py"), self.engine, address, str(self.rows), str(self.folder / "run")]
        words += [self.api.url, str(CONCURRENCY), str(SHARDS)]
        return self.started.start(f"{self.engine}-{self.name}", words, **environment)

    def wait_for_requests(self, count: int, driver: subprocess.Popen[bytes]) -> None:
        def holds() -> bool:
            if driver.poll() is not None:
                raise RuntimeError(f"the driver ended with {driver.returncode} after {self.api.count()} requests")
            return self.api.count() >= count

        wait_for(f"{count} requests", holds, 300)

    def keys_of(self, shard: int) -> int:
        """How many keys a shard has."""
        return sum(zlib.crc32(key.encode()) % SHARDS == shard for key in self.keys)

    def requests_of(self, shard: int) -> int:
        """How many requests were sent for the keys of a shard."""
        with self.api.lock:
            return sum(n for key, n in self.api.requests.items() if zlib.crc32(key.encode()) % SHARDS == shard)

    def end(self, driver: subprocess.Popen[bytes]) -> None:
        code = driver.wait(400)
        if code != 0:
            raise RuntimeError(f"the driver ended with {code}")
        said = self.started.log(f"{self.engine}-{self.name}").splitlines()
        # Ray and Spark print lines of their own around it.
        if str(KEYS) not in said:
            raise RuntimeError("the frame has another number of rows")

    def result(self, happened: str, processes_killed: int, refused: int = 0) -> Result:
        """Asserts what is promised, and gives the line of the table."""
        # Those in flight, and for each of them one answer that came in the last milliseconds and was not yet written.
        found = Result(self.engine, happened, self.api.count(), processes_killed * 2 * CONCURRENCY + refused)
        if len(self.api.requests) != KEYS:
            raise AssertionError(f"{len(self.api.requests)} of {KEYS} keys were asked for")
        if not KEYS + refused <= found.requests <= KEYS + found.allowed:
            raise AssertionError(f"{found.requests} requests for {KEYS} keys, and {found.allowed} may be sent twice")
        self.compare()
        print(found.line(), flush=True)
        self.api.close()
        return found

    def compare(self) -> None:
        """The output is that of one process, but for times and numbers of attempts."""
        one = self.folder / "one.jsonl"
        words = [os.environ["SKUFETCH_BINARY"], str(self.ordered), "-u", self.api.url, "-q"]
        subprocess.run([*words, "-o", str(one), "--shape", "record", "-c", "64"], check=True, timeout=120)
        if _comparable(one) != _comparable(self.output):
            raise AssertionError("the output is not that of one process")


def _comparable(path: pathlib.Path) -> list[str]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [json.dumps({**line, "fetched_at": None, "attempts": None}) for line in lines]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def shard_processes(among: list[int]) -> list[int]:
    """The processes of the command that run a shard."""
    name = os.path.basename(os.environ["SKUFETCH_BINARY"])
    return [pid for pid in among if "--shard" in command_of(pid) and name_of(pid) in (name[:15], "skufetch")]


def busy_worker(roots: Callable[[], list[int]]) -> list[int]:
    """The processes of a worker that is at a shard, the worker first."""
    found: list[int] = []

    def holds() -> bool:
        for root in roots():
            tree = tree_of(root)
            if shard_processes(tree):
                found[:] = tree
                return True
        return False

    wait_for("a worker at work", holds)
    return found


def kills(case: Case, start: Callable[[], subprocess.Popen[bytes]], roots: Callable[[], list[int]]) -> list[Result]:
    """Kills two workers with all of their processes, one after the other."""
    driver = start()
    lost = 0
    for count in (KEYS // 4, KEYS // 2):
        case.wait_for_requests(count, driver)
        tree = busy_worker(roots)
        lost += len(shard_processes(tree))
        kill(tree)
    case.end(driver)
    return [case.result("two workers with all of their processes, `kill -9`", lost)]


def kills_alone(
    case: Case, start: Callable[[], subprocess.Popen[bytes]], roots: Callable[[], list[int]]
) -> list[Result]:
    """Kills the process of a worker alone. Its command is stopped by its guard, drains, and loses nothing."""
    driver = start()
    case.wait_for_requests(KEYS // 3, driver)
    kill(busy_worker(roots)[:1])
    case.end(driver)
    return [case.result("the process of a worker alone, `kill -9`", 0)]


def kills_driver(
    case: Case, start: Callable[[], subprocess.Popen[bytes]], killed_too: Callable[[], list[int]] = list
) -> list[Result]:
    """Kills the driver, and runs it again. The engine may kill the command of each worker in turn."""
    driver = start()
    case.wait_for_requests(KEYS // 3, driver)
    lost = len(shard_processes(killed_too()))
    kill(tree_of(driver.pid))
    driver.wait()
    driver = start()
    case.end(driver)
    before = case.api.count()
    driver = start()
    case.end(driver)
    if case.api.count() != before:
        raise AssertionError(f"{case.api.count() - before} requests of a run that was complete")
    return [case.result("the driver, `kill -9`; run again, and again when all was there", lost)]


def interrupts(case: Case, start: Callable[[], subprocess.Popen[bytes]]) -> list[Result]:
    """Ctrl-C in the driver, and its rerun. All commands have to end, and lose nothing."""
    driver = start()
    case.wait_for_requests(KEYS // 3, driver)
    driver.send_signal(signal.SIGINT)
    if driver.wait(60) == 0:
        raise AssertionError("the driver ended well after Ctrl-C")
    mine = f"--output={case.output}"
    wait_for("the end of all shards", lambda: not [pid for pid in all_processes() if mine in command_of(pid)], 60)
    before = case.api.count()
    if before >= KEYS:
        raise AssertionError("all keys were asked for in spite of Ctrl-C")
    time.sleep(2)
    if case.api.count() != before:
        raise AssertionError("requests are still sent after Ctrl-C")
    case.end(start())
    return [case.result("Ctrl-C in the driver; run again", 0)]


# --- Spark ------------------------------------------------------------------------------------------------------------


def spark(started: Processes) -> Iterator[Result]:
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    port, *web = free_ports(6)
    settings = {"SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m", "SPARK_LOCAL_IP": "127.0.0.1"}
    spark_class = str(home / "bin" / "spark-class")
    master = f"spark://127.0.0.1:{port}"
    words = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port)]
    started.start("spark-master", [spark_class, *words, "--webui-port", str(web[0])], **settings)
    started.wait_for_line("spark-master", "I have been elected leader")
    workers = []
    for number in range(4):
        # Each is a host of its own: Spark makes no speculative attempt on the host of the first one.
        host = f"127.0.0.{number + 2}"
        words = ["org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "700m", "--host", host]
        words += ["--webui-port", str(web[number + 1]), "--work-dir", str(started.folder / f"work-{number}"), master]
        own = {**settings, "SPARK_LOCAL_IP": host}
        workers.append(started.start(f"spark-worker-{number}", [spark_class, *words], **own))
    for number in range(4):
        started.wait_for_line(f"spark-worker-{number}", "Successfully registered with master", 120)

    def executors() -> list[int]:
        return [
            pid
            for worker in workers
            for pid in tree_of(worker.pid)
            if "CoarseGrainedExecutorBackend" in command_of(pid) and pid != worker.pid
        ]

    def starter(case: Case, **environment: str) -> Callable[[], subprocess.Popen[bytes]]:
        case.events.mkdir()
        return lambda: case.driver(master, CHECK_EVENTS=str(case.events), **settings, **environment)

    case = Case("spark", "executors", started)
    yield from kills(case, starter(case), executors)
    case = Case("spark", "executor-alone", started)
    yield from kills_alone(case, starter(case), executors)
    case = Case("spark", "driver", started)
    yield from kills_driver(case, starter(case))
    case = Case("spark", "ctrl-c", started)
    yield from interrupts(case, starter(case))
    for still in Still:
        case = Case("spark", still.name.lower().replace("_", "-"), started)
        yield from speculates(case, starter(case, CHECK_SPECULATION="true"), executors, still)


class Still(enum.Enum):
    """What stands still, so that Spark makes a second attempt of a shard, and what becomes of it then."""

    ALL_GOES_ON = "a worker with all of its processes, `SIGSTOP` until a second attempt waits; goes on"
    ALL_IS_KILLED = "a worker with all of its processes, `SIGSTOP` until a second attempt waits; `kill -9`"
    WORKER_ALONE = "the process of a worker alone, `SIGSTOP` until all is there: a second attempt ended in its place"


def speculates(
    case: Case, start: Callable[[], subprocess.Popen[bytes]], roots: Callable[[], list[int]], still: Still
) -> list[Result]:
    """A worker stands still in the middle of a shard, and another one gets a second attempt of it."""
    driver = start()
    # No whole number of shards, however many workers have begun.
    case.wait_for_requests(KEYS // 4 + KEYS // SHARDS // 2, driver)
    at_work = [(number, tree) for tree in map(tree_of, roots()) if (number := shard_of(tree)) is not None]
    # The one that is nearest to the middle of its shard.
    shard, tree = min(at_work, key=lambda one: abs(case.keys_of(one[0]) - 2 * case.requests_of(one[0])))
    stopped = tree[:1] if still is Still.WORKER_ALONE else tree
    send(signal.SIGSTOP, stopped)
    if still is Still.WORKER_ALONE:
        # Spark cannot know the end of the first attempt, and the merge needs all shards.
        wait_for("the output", case.output.exists, 300)
        send(signal.SIGCONT, stopped)
    else:

        def second() -> list[int]:
            words = {f"--shard={shard}/{SHARDS}", f"--output={case.output}"}
            others = [pid for pid in shard_processes(all_processes()) if pid not in tree]
            return [pid for pid in others if words <= {*command_of(pid).split()}]

        wait_for("a second attempt", second, 300)
        before = case.requests_of(shard)
        # All other shards end meanwhile.
        wait_for("the other shards", lambda: case.api.count() == KEYS - case.keys_of(shard) + before, 300)
        time.sleep(1)
        if not second() or not 0 < case.requests_of(shard) == before < case.keys_of(shard):
            raise AssertionError(f"{before}, then {case.requests_of(shard)} of {case.keys_of(shard)} keys; {second()}")
        send(signal.SIGKILL if still is Still.ALL_IS_KILLED else signal.SIGCONT, stopped)
    case.end(driver)
    mine = f"--output={case.output}"
    wait_for("the end of all attempts", lambda: not [pid for pid in all_processes() if mine in command_of(pid)], 60)
    attempts = attempts_of(case.events, shard)
    if len({one["Host"] for one in attempts}) < 2 or not any(one["Speculative"] for one in attempts):
        raise AssertionError(f"no second attempt of shard {shard} on another host: {attempts}")
    return [case.result(still.value, 1 if still is Still.ALL_IS_KILLED else 0)]


def shard_of(tree: list[int]) -> int | None:
    """The shard that a worker is at."""
    numbers = [command_of(pid).partition("--shard=")[2].partition("/")[0] for pid in shard_processes(tree)]
    # One that has just ended has no command line.
    return next((int(number) for number in numbers if number), None)


def attempts_of(events: pathlib.Path, shard: int) -> list[dict[str, Any]]:
    """The attempts of a shard, as Spark's log of a driver has them."""
    (log,) = events.iterdir()
    found = [json.loads(line) for line in log.read_text().splitlines()]
    infos = [one["Stage Info"] for one in found if one["Event"] == "SparkListenerStageSubmitted"]
    # No other stage has as many tasks.
    (stage,) = {info["Stage ID"] for info in infos if info["Number of Tasks"] == SHARDS}
    tasks = [one for one in found if one["Event"] == "SparkListenerTaskStart" and one["Stage ID"] == stage]
    return [task["Task Info"] for task in tasks if task["Task Info"]["Index"] == shard]


# --- Dask -------------------------------------------------------------------------------------------------------------


def dask(started: Processes) -> Iterator[Result]:
    (port,) = free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    dask_words = [sys.executable, "-m", "dask"]
    words = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    started.start("dask-scheduler", [*dask_words, *words])
    started.wait_for_line("dask-scheduler", "Scheduler at")
    nannies = []
    for number in range(4):
        words = ["worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(started.folder)]
        nannies.append(started.start(f"dask-worker-{number}", [*dask_words, *words, "--host", "127.0.0.1"]))
    for number in range(4):
        started.wait_for_line(f"dask-worker-{number}", "Registered to", 120)

    def workers() -> list[int]:
        # The nanny starts the worker again.
        return [
            pid
            for nanny in nannies
            for pid in tree_of(nanny.pid)
            if "multiprocessing" in command_of(pid) and "spawn_main" in command_of(pid)
        ]

    def starter(case: Case) -> Callable[[], subprocess.Popen[bytes]]:
        return lambda: case.driver(address)

    case = Case("dask", "workers", started)
    yield from kills(case, starter(case), workers)
    case = Case("dask", "worker-alone", started)
    yield from kills_alone(case, starter(case), workers)
    case = Case("dask", "driver", started)
    yield from kills_driver(case, starter(case))
    case = Case("dask", "ctrl-c", started)
    yield from interrupts(case, starter(case))


# --- Ray --------------------------------------------------------------------------------------------------------------


def ray(started: Processes) -> Iterator[Result]:
    (port,) = free_ports(1)
    ray_words = [str(pathlib.Path(sys.executable).parent / "ray")]
    settings = {"RAY_AUTH_MODE": "disabled", "RAY_DISABLE_IMPORT_WARNING": "1"}
    words = ["start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=4", "--block"]
    words += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={started.folder}/ray"]
    words += ["--object-store-memory=200000000"]
    head = started.start("ray-head", [*ray_words, *words], **settings)
    started.wait_for_line("ray-head", "Ray runtime started")

    def workers() -> list[int]:
        return [pid for pid in tree_of(head.pid) if command_of(pid).startswith("ray::")]

    def starter(case: Case) -> Callable[[], subprocess.Popen[bytes]]:
        return lambda: case.driver(f"127.0.0.1:{port}", **settings)

    case = Case("ray", "workers", started)
    yield from kills(case, starter(case), workers)
    case = Case("ray", "worker-alone", started)
    yield from kills_alone(case, starter(case), workers)
    # Ray ends what its workers have started by SIGKILL as soon as their driver is gone.
    case = Case("ray", "driver", started)
    yield from kills_driver(case, starter(case), lambda: tree_of(head.pid))
    # As above: Ray does not wait for the drain.
    case = Case("ray", "ctrl-c", started)
    yield from interrupts(case, starter(case))


# --- Slurm ------------------------------------------------------------------------------------------------------------

SLURM_CONF = """
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
RequeueExit=75
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4096 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def slurm(started: Processes) -> Iterator[Result]:
    folder, host = started.folder, socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(SLURM_CONF.format(host=host, folder=folder, ports=free_ports(2)))
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    # munged wants a folder that others cannot write to.
    folder.chmod(0o755)
    words = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    words += [f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    started.start("munge", words)
    wait_for("munged", (folder / "munge.socket").exists)
    settings = {"SLURM_CONF": str(conf)}
    started.start("slurmctld", ["slurmctld", "-D", "-f", str(conf)], **settings)
    started.start("slurmd", ["slurmd", "-D", "-f", str(conf)], **settings)
    environment = {**started.environment, **settings, "API_TOKEN": "secret", "SKUFETCH_CONCURRENCY": str(CONCURRENCY)}
    environment["SKUFETCH_FORMAT"], environment["SKUFETCH_SHAPE"] = "jsonl", "record"
    environment["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    (folder / "bin" / "skufetch").symlink_to(os.path.realpath(os.environ["SKUFETCH_BINARY"]))

    def said(*words: str) -> str:
        return subprocess.run(
            words, env=environment, cwd=case.folder, capture_output=True, text=True, check=False, timeout=60
        ).stdout.strip()

    case = Case("slurm", "array", started)
    wait_for("the node", lambda: said("sinfo", "--noheader", "--format=%T") == "idle")
    for name in ("slurm-array.sh", "slurm-merge.sh"):
        origin = case.api.url.partition("/products")[0]
        text = (HERE.parent / name).read_text().replace("https://api.example.com", origin)
        # The scripts write out.json: JSON lines can be compared without the times.
        (case.folder / name).write_text(text.replace("out.json", "out.jsonl"))
    # The API defers one shard, once: one request more, and the exit code 75.
    deferred: list[str] = []

    def answer(key: str, count: int) -> int:
        if not deferred and count > 3 * KEYS // 4:
            deferred.append(key)
            return 503
        return 200

    case.api.answer = answer
    job = said("sbatch", "--parsable", "slurm-array.sh", "monday")
    merge = said("sbatch", "--parsable", f"--dependency=afterany:{job}", "slurm-merge.sh", "monday")
    if not job or not merge:
        raise RuntimeError("sbatch refuses the scripts")
    wait_for("requests", lambda: case.api.count() >= KEYS // 4, 120)
    # What runs a step is no child of slurmd.
    mine = [pid for pid in shard_processes(all_processes()) if folder_of(pid) == str(case.folder)]
    if not mine:
        raise AssertionError("no shard is at work")
    kill(mine[:1])
    wait_for("requests", lambda: case.api.count() >= KEYS // 2, 240)
    running = said("squeue", "--noheader", "--states=running", "--format=%i", f"--jobs={job}").split()
    said("scontrol", "requeue", running[0])
    wait_for("the end", lambda: said("squeue", "--noheader") == "", 500)
    if not (case.folder / "out.jsonl").exists():
        raise AssertionError("the merge did not run, or left nothing")
    logs = [path.read_text(errors="replace") for path in case.folder.glob("catalogue-[0-9]*-*.log")]
    if len(deferred) != 1 or len(logs) != 16:
        raise AssertionError(f"{len(deferred)} requests were deferred, and there are {len(logs)} logs")
    case.output, case.ordered = case.folder / "out.jsonl", case.rows
    what = "a shard, `kill -9`; another requeued by `scontrol`; a third deferred by a 503 of the API (1 request)"
    yield case.result(what, 1, 1)


def stores(started: Processes) -> Iterator[Result]:
    """Inputs and outputs in object stores."""
    for what, keys, requests, _ in object_store.object_store(started, free_ports(9)):
        yield Result("object store", what, requests, 0, keys)


def all_processes() -> list[int]:
    return [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]


def main() -> int:
    # What was started ends with the check, also when `timeout` ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    engines = {"spark": spark, "ray": ray, "dask": dask, "slurm": slurm, "object-store": stores}
    results: list[Result] = []
    for name in sys.argv[1:]:
        environment = {
            "PYTHONPATH": str(ROOT / "packaging" / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYSPARK_PYTHON": sys.executable,
        }
        began = time.monotonic()
        # Sockets have short names: not below a long TMPDIR.
        with tempfile.TemporaryDirectory(prefix="skufetch-", ignore_cleanup_errors=True) as folder:
            with processes(pathlib.Path(folder), environment) as started:
                try:
                    results += engines[name](started)
                except BaseException as error:
                    print(f"{name}: {error}", file=sys.stderr)
                    for log in sorted(pathlib.Path(folder).glob("*.log")):
                        last = log.read_text(errors="replace").splitlines()[-40:]
                        print(f"--- {log.name}", *last, sep="\n", file=sys.stderr)
                    raise
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print("| engine | what happened | keys | requests | asked twice |\n|---|---|---|---|---|")
    print("\n".join(result.line() for result in results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
