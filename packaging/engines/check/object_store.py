"""Runs with inputs and outputs in a real object store (SeaweedFS, and moto), which are killed, stopped and interfered with."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from api import Api
from processes import Processes, wait_for

BUCKET = "shop"
KEYS = 4_000
CONCURRENCY = 16
#: Bytes of an answer: an output of so many keys is uploaded in three parts.
BODY = 5_000
ACCESS = {"AWS_ACCESS_KEY_ID": "KEYID", "AWS_SECRET_ACCESS_KEY": "SECRETKEY", "AWS_REGION": "us-east-1"}


class Proxy:
    """Passes bytes on to a server, and holds a connection whose next bytes contain `held`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.held: bytes | None = None
        #: What is sent in the place of what.
        self.replaced: list[tuple[bytes, bytes]] = []
        self.is_held = threading.Event()
        self.released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def hold(self, text: bytes | None) -> None:
        self.released.set()
        self.is_held, self.released, self.held = threading.Event(), threading.Event(), text

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                if is_request and self.held is not None and self.held in chunk:
                    released = self.released
                    self.is_held.set()
                    released.wait()
                if is_request:
                    for old, new in self.replaced:
                        chunk = chunk.replace(old, new)
                target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Store:
    """A running server, and a client of it that is not ours."""

    def __init__(self, name: str, port: int) -> None:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        self.name = name
        self.proxy = Proxy(port)
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
            region_name=ACCESS["AWS_REGION"],
            config=Config(retries={"max_attempts": 3}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def get(self, key: str) -> bytes | None:
        try:
            content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return content

    def keys(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def open_uploads(self, prefix: str) -> int:
        found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return len(found.get("Uploads") or [])


class Case:
    """One scenario: an API, a folder of objects, and machines, each of which is a folder for journals."""

    def __init__(self, store: Store, name: str, started: Processes) -> None:
        self.store, self.name, self.started = store, name, started
        self.api = Api()
        self.api.delay = lambda _: 0.01
        self.api.padding = BODY
        self.folder = started.folder / f"{store.name}-{name}"
        self.folder.mkdir()
        self.rows = [f"{n * 7919 % 100_003:06},thing {n}" for n in range(KEYS)]
        self.put_input(self.rows)
        self.runs = 0
        self.url = self.api.url

    def put_input(self, rows: list[str]) -> None:
        self.store.put(f"{self.name}/products.csv", ("sku,name\n" + "\n".join(rows) + "\n").encode())

    @property
    def output(self) -> bytes | None:
        return self.store.get(f"{self.name}/out.json")

    def start(self, *more: str, machine: str = "one", command: str = "", input: str = "", output: str = "") -> subprocess.Popen[bytes]:
        binary, address = os.environ["SKUFETCH_BINARY"], f"s3://{BUCKET}/{self.name}"
        words = [binary, command] if command else [binary, input or f"{address}/products.csv", "-u", self.url]
        words += [] if command else ["-c", str(CONCURRENCY)]
        words += ["-o", output or f"{address}/out.json", "--journal-dir", str(self.folder / machine), *more]
        self.runs += 1
        self.log = f"{self.store.name}-{self.name}-{self.runs}"
        return self.started.start(self.log, words, AWS_ENDPOINT_URL=self.store.proxy.url, **ACCESS)

    def run(self, code: int, *more: str, machine: str = "one", command: str = "", input: str = "") -> str:
        found = self.start(*more, machine=machine, command=command, input=input).wait(200)
        said = self.started.log(self.log)
        if found != code:
            raise AssertionError(f"exit {found} in place of {code}: {said}")
        return said

    def wait_for_requests(self, count: int) -> None:
        wait_for(f"{count} requests", lambda: self.api.count() >= count, 120)

    def expect(self, what: str, holds: object) -> None:
        if not holds:
            raise AssertionError(f"{what}: {self.started.log(self.log)}")

    def compare(self, rows: list[str] | None = None) -> None:
        """The object is what one process leaves on a disk."""
        local = self.folder / "local"
        local.mkdir(exist_ok=True)
        (local / "products.csv").write_text("sku,name\n" + "\n".join(rows or self.rows) + "\n")
        words = [os.environ["SKUFETCH_BINARY"], "products.csv", "-u", self.api.url, "-q", "-o", "out.json", "-c", "64"]
        subprocess.run([*words, "--fresh"], check=True, timeout=120, cwd=local)
        self.expect("the object is not what one process leaves", self.output == (local / "out.json").read_bytes())
        self.expect("an upload was left", self.store.open_uploads(f"{self.name}/") == 0)


Line = tuple[str, int, int, int]


def line(case: Case, what: str, keys: int, allowed: int) -> Line:
    """Asserts the number of requests, and gives the line of the table."""
    count = case.api.count()
    case.expect(f"{count} requests for {keys} keys", keys <= count <= keys + allowed)
    case.compare()
    case.api.close()
    found = (f"{case.store.name}: {what}", keys, count, count - keys)
    print(_shown(found), flush=True)
    return found


def _shown(found: Line) -> str:
    return f"| object store | {found[0]} | {found[1]:,} | {found[2]:,} | {found[3]} |"


def plain(case: Case) -> Line:
    case.run(0)
    before = case.api.count()
    names = [key.rpartition("/")[2] for key in case.store.keys(f"{case.name}/")]
    case.expect(f"{names}", sorted(names) == ["out.json", "out.json.lock", "out.json.state", "products.csv"])
    # Another machine, which has neither state nor copy, asks for what is older alone.
    case.run(0, "--merge", "--max-age", "1h", machine="two")
    case.expect("young values were asked for again", case.api.count() == before)
    return line(case, "nothing; then a run with `--merge --max-age` on another machine", KEYS, 0)


def api_down(case: Case) -> Line:
    case.run(0)
    before, count = case.output, case.api.count()
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        case.url = f"http://127.0.0.1:{dead.getsockname()[1]}/{{sku}}"
        case.run(69)
    case.expect("the old object is another one", case.output == before and case.api.count() == count)
    return line(case, "the API is down: exit 69, the old object stays", KEYS, 0)


def kill_in_requests(case: Case) -> Line:
    first = case.start()
    case.wait_for_requests(KEYS // 2)
    first.kill()
    first.wait()
    case.run(0)
    return line(case, "`kill -9` while answers come; run again at once", KEYS, 2 * CONCURRENCY)


def _held(case: Case, text: bytes) -> subprocess.Popen[bytes]:
    """A run whose upload is held at this request, over an old object."""
    case.store.put(f"{case.name}/out.json", b"{\n\"old\":1\n}\n")
    case.store.proxy.hold(text)
    run = case.start("--guard", "off")
    wait_for("the upload", case.store.proxy.is_held.is_set, 120)
    case.expect("the old object is another one", case.output == b"{\n\"old\":1\n}\n")
    return run


def kill_in_upload(case: Case) -> Line:
    run = _held(case, b"partNumber=2")
    run.kill()
    run.wait()
    case.store.proxy.hold(None)
    case.expect("the old object is another one", case.output == b"{\n\"old\":1\n}\n")
    before = case.api.count()
    case.run(0, "--guard", "off")
    case.expect("an answer was asked for again", case.api.count() == before)
    return line(case, "`kill -9` in the middle of the upload; run again", KEYS, 0)


def kill_before_completion(case: Case) -> Line:
    run = _held(case, b"POST /shop/kill-before-completion/out.json?uploadId=")
    run.kill()
    run.wait()
    case.store.proxy.hold(None)
    before = case.api.count()
    case.run(0, "--guard", "off")
    case.expect("an answer was asked for again", case.api.count() == before)
    return line(case, "`kill -9` before the last request of the upload; run again", KEYS, 0)


def kill_after_completion(case: Case) -> Line:
    """The object is the new one, and nothing on this machine says so."""
    case.store.proxy.hold(b'"published":[')
    run = case.start("--changes", f"s3://{BUCKET}/{case.name}/changes.jsonl")
    wait_for("the upload", case.store.proxy.is_held.is_set, 120)
    new = case.output
    case.expect("the object is not there", new is not None)
    run.kill()
    run.wait()
    case.store.proxy.hold(None)
    before = case.api.count()
    case.run(0, "--changes", f"s3://{BUCKET}/{case.name}/changes.jsonl")
    case.expect("an answer was asked for again", case.api.count() == before)
    changes = case.store.get(f"{case.name}/changes.jsonl") or b""
    case.expect("the changes are lost", changes.count(b'"added"') == KEYS and case.output == new)
    return line(case, "`kill -9` after the last request of the upload, with `--changes`; run again", KEYS, 0)


def term_in_upload(case: Case) -> Line:
    run = _held(case, b"partNumber=2")
    run.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    case.store.proxy.hold(None)
    case.expect("SIGTERM does not end it with 143", run.wait(30) == 143)
    case.expect("the old object is another one", case.output == b"{\n\"old\":1\n}\n")
    before = case.api.count()
    case.run(0, "--guard", "off")
    case.expect("an answer was asked for again", case.api.count() == before)
    return line(case, "SIGTERM in the middle of the upload; run again", KEYS, 0)


def input_replaced(case: Case) -> Line:
    case.store.put(f"{case.name}/out.json", b"{\n\"old\":1\n}\n")
    run = case.start("--guard", "off")
    case.wait_for_requests(KEYS // 4)
    case.rows = [*case.rows[:-100], *[f"N{n:05},new {n}" for n in range(100)]]
    case.put_input(case.rows)
    case.expect("exit 65", run.wait(120) == 65)
    case.expect("the old object is another one", case.output == b"{\n\"old\":1\n}\n")
    case.run(0, "--guard", "off")
    return line(case, "the input is replaced: exit 65; run again, with 100 new keys", KEYS + 100, 2 * CONCURRENCY)


def two_at_once(case: Case) -> Line:
    first = case.start()
    case.wait_for_requests(KEYS // 4)
    for machine in ("one", "two"):
        began = time.monotonic()
        said = case.run(75, machine=machine)
        case.expect("the second does not say who", "another run is writing this output" in said)
        case.expect("the second waited", time.monotonic() - began < 5)
    case.expect("the first", first.wait(120) == 0)
    return line(case, "a second run on this machine and on another: exit 75 at once", KEYS, 0)


def lost_lock(case: Case) -> Line:
    case.store.put(f"{case.name}/out.json", b"{\n\"old\":1\n}\n")
    run = case.start("--guard", "off")
    case.wait_for_requests(KEYS // 4)
    key = f"{case.name}/out.json.lock"
    lock = json.loads(case.store.get(key) or b"")
    case.store.put(key, json.dumps({**lock, "run": "another", "folder": "another"}).encode())
    case.expect("exit 75", run.wait(120) == 75)
    case.expect("the old object is another one", case.output == b"{\n\"old\":1\n}\n")
    case.run(75, "--guard", "off")
    # The other one is dead, and its lease is over.
    case.store.put(key, json.dumps({**lock, "run": "another", "folder": "another", "lease_seconds": 0}).encode())
    before = case.api.count()
    case.run(0, "--guard", "off")
    case.expect("an answer was asked for again", case.api.count() == before)
    return line(case, "the lock is taken by another: exit 75; run again after its lease", KEYS, 0)


def parts(case: Case) -> Line:
    shards = 4

    def shard(n: int) -> tuple[str, ...]:
        return ("--shard", f"{n}/{shards}", "--run-id", "monday")

    running = [case.start(*shard(n), machine=f"m{n}") for n in range(shards)]
    case.wait_for_requests(KEYS // 4)
    running[1].kill()
    for n, one in enumerate(running):
        code = one.wait(120)
        case.expect(f"shard {n} ended with {code}", n == 1 or code == 0)
    said = case.run(65, "--run-id", "monday", command="merge", machine="merge")
    case.expect("the missing shard is not named", "1" in said and "missing" in said)
    case.run(0, *shard(1), machine="m1")
    before = case.api.count()
    # Another machine finds its part complete.
    case.run(0, *shard(2), machine="other")
    case.expect("a complete part was asked for again", case.api.count() == before)
    case.run(0, "--run-id", "monday", command="merge", machine="merge")
    return line(case, "shards, one of them killed and run again; merge", KEYS, 2 * CONCURRENCY)


def no_conditions(case: Case) -> None:
    """A server that ignores conditions is found out, and nothing is written to it."""
    case.store.proxy.replaced = [(b"if-none-match", b"x-not-matched"), (b"if-match", b"x-ignore")]
    said = case.run(73)
    case.store.proxy.replaced = []
    case.expect("the reason is not named", "ignores conditions" in said)
    case.expect("a request was sent", case.api.count() == 0 and case.store.keys(f"{case.name}/") == [f"{case.name}/products.csv"])
    case.api.close()


def refused(case: Case) -> None:
    """What cannot be used ends before the first request, with what is wrong."""
    missing = case.start(input=f"s3://{BUCKET}/absent.csv")
    case.expect("no such input: 66", missing.wait(60) == 66)
    # SeaweedFS makes the bucket of an object that is written.
    if case.store.name != "SeaweedFS":
        nowhere = case.start(output="s3://no-such-bucket-here/out.json")
        case.expect("no such bucket: 73", nowhere.wait(60) == 73)
    case.expect("a request was sent", case.api.count() == 0)
    case.api.close()


def _wait_for_server(port: int) -> None:
    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    wait_for("the server", answers, 60)


def _seaweedfs(started: Processes, ports: list[int]) -> Store:
    folder = started.folder / "seaweedfs"
    folder.mkdir()
    credentials = {"accessKey": ACCESS["AWS_ACCESS_KEY_ID"], "secretKey": ACCESS["AWS_SECRET_ACCESS_KEY"]}
    user = {"name": "check", "credentials": [credentials], "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [user]}))
    # Of what it serves beside, nothing is wanted.
    names = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc"]
    names += ["volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
    words = [str(pathlib.Path(sys.executable).with_name("weed")), "server", f"-dir={folder}", "-ip=127.0.0.1"]
    words += ["-ip.bind=127.0.0.1", "-s3", f"-s3.config={folder / 's3.json'}", "-volume.max=100"]
    words += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    words += ["-master.volumeSizeLimitMB=64", *[f"-{name}={port}" for name, port in zip(names, ports)]]
    started.start("seaweedfs", words)
    _wait_for_server(ports[0])
    # A volume server registers a moment later.
    time.sleep(3)
    return Store("SeaweedFS", ports[0])


def _moto(started: Processes, port: int) -> Store:
    words = [str(pathlib.Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    started.start("moto", words)
    _wait_for_server(port)
    return Store("moto", port)


def object_store(started: Processes, ports: list[int]) -> Iterator[Line]:
    """Every scenario against SeaweedFS, and those that need no parts of an upload against moto as well."""
    moto, seaweedfs = _moto(started, ports[0]), _seaweedfs(started, ports[1:])
    counted = [plain, api_down, kill_in_requests, kill_in_upload, kill_before_completion]
    counted += [kill_after_completion, term_in_upload]
    counted += [input_replaced, two_at_once, lost_lock, parts]
    only = os.environ.get("CHECK_ONLY", "").split()
    for store in (seaweedfs, moto):
        for scenario in counted:
            name = scenario.__name__.replace("_", "-")
            if not only or name in only:
                yield scenario(Case(store, name, started))
        if not only or "refused" in only:
            refused(Case(store, "refused", started))
    # moto checks no signature, so that headers can be taken away from requests.
    if not only or "no-conditions" in only:
        no_conditions(Case(moto, "no-conditions", started))
