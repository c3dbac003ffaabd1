"""Scenarios of what no peer has: packs of SKUs, and the merge of what shards left."""
import os
import subprocess
import sys
from statistics import median

from .programs import Task, lines, skufetch
from .servers import Nginx, end, product
from .table import section
from .workbench import SKUFETCH, Workbench, say

GB = 1_000_000_000
# Of parts a second, by wall.
MERGED = 1.0


class PackServer:
    """Answers a request for many SKUs with an item for each."""

    def __init__(self, bench, item):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pack_server.py")
        self.server = subprocess.Popen([sys.executable, script, str(item)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.closing.append(self.end)
        self.host = self.server.stdout.readline().strip()

    def end(self):
        self.server.stdin.close()
        end(self.server, None)
        self.server.stdout.close()


def packs(asked):
    """SKUs asked for one by one, and in packs of 10 and 100"""
    rows, runs = [], asked.turns(5)
    for item in (100, 1200):
        count = asked.count(50_000)
        alone = None
        for pack in (1, 10, 100):
            with Workbench() as bench:
                bench.room_for(count * (item + 60) * 3)
                bench.skus(count)
                server = PackServer(bench, item)
                task = Task(f"http://{server.host}/items?ids=", server.host, count, asked.concurrency)
                command = skufetch(bench, task)
                if pack > 1:
                    command[command.index("--url") + 1] = task.base + "{items}"
                    command += ["--bulk", str(pack), "--bulk-key", ".sku"]
                uses = []
                for turn in range(runs):
                    say(f"  {item} bytes, {pack} in a pack, run {turn + 1}")
                    uses.append(bench.run(command))
                    whole(bench, count)
            cpu, wall = (median(getattr(u, what) for u in uses) for what in ("cpu", "wall"))
            alone = alone or cpu
            rows.append([f"{item} bytes, {pack} in a request", f"{count / wall:,.0f}", f"{cpu / count * 1e6:.1f}", f"{cpu / alone:.2f}",
                         f"{cpu / (count / pack) * 1e6:.1f}", f"{max(u.rss for u in uses):.1f}"])
    section("packs", f"Plain HTTP/1.1: {count:,} SKUs, one in each request, and in packs with `--bulk`; {asked.concurrency} requests in "
            f"flight. The server is one process of Python and bounds the SKUs a second. Medians of {runs} runs.",
            ["", "SKUs/s", "µs of processor a SKU", "× one by one", "µs of processor a request", "RSS MiB"], rows)


def merge(asked):
    """the parts of four shards into one output"""
    shards, count, runs = 4, asked.count(200_000), asked.turns(5)
    rows, targets = [], []
    with Workbench() as bench:
        answer = product(1200)
        bench.room_for(count * (len(answer) + 150) * 4)
        bench.skus(count)
        nginx = Nginx(bench, answer)
        task = Task(nginx.base, nginx.host, count, asked.concurrency)
        for shard in range(shards):
            say(f"  shard {shard + 1} of {shards}")
            bench.run(skufetch(bench, task, "--shard", f"{shard}/{shards}", "--run-id", "bench"), keep=True)
        folder = bench.path("out.json.parts/bench")
        parts = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
        uses = []
        for turn in range(runs):
            say(f"  merge {turn + 1}")
            for name in os.listdir(bench.folder):
                if name.startswith("out.json") and os.path.isfile(bench.path(name)):
                    os.remove(bench.path(name))
            command = [SKUFETCH, "merge", "-o", bench.path("out.json"), "--run-id", "bench", "--config", os.devnull]
            uses.append(bench.run(command, keep=True))
            whole(bench, count)
    wall, cpu = median(u.wall for u in uses), median(u.cpu for u in uses)
    rows.append([f"{shards} parts, {parts / GB:.2f} GB", f"{wall:.2f}", f"{parts / GB / wall:.2f}", f"{cpu:.2f}",
                 f"{cpu / count * 1e6:.2f}", f"{max(u.rss for u in uses):.1f}"])
    if not asked.quick:
        targets.append((f"{parts / GB / wall:.2f} GB of parts a second, at least {MERGED:g} asked", parts / GB / wall >= MERGED))
    section("merge", f"`skufetch merge` of {count:,} SKUs of 1.2 KB, which {shards} shards left: read, checked, put in the order of the "
            f"input, written and synced. Medians of {runs} runs.",
            ["", "wall s", "GB of parts/s", "processor s", "µs of processor a SKU", "RSS MiB"], rows, targets)


def whole(bench, count):
    """A run that left something out has not been measured."""
    with open(bench.path("out.json"), "rb") as out:
        found = lines(out)
    if found != count + 2:
        raise SystemExit(f"{found} lines instead of {count + 2}")
