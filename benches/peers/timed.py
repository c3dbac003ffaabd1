"""Scenarios that ask when things happen: with answers that take their time, under a rate, and at the start."""
import os
import shlex
from statistics import median

from .programs import BARE, COMMANDS, SKU, Task, check, skufetch
from .servers import Clockwork
from .table import section
from .throughput import in_turns
from .workbench import SKUFETCH, Workbench, say

LATENCY = 0.1
# By so much a late timer may catch up; the promise says so.
GRACE = 0.010


def latency(asked):
    """answers after 100 ms, with 10, 100 and 1,000 in flight: wall against the ideal"""
    names = [n for n in (BARE, SKU) if asked.wants(n)]
    rows, targets = [], []
    for concurrency in (10, 100, 1000):
        turns = 20 if asked.quick else 100
        count, runs = concurrency * turns, asked.turns(3)
        ideal = turns * LATENCY
        with Workbench() as bench:
            bench.skus(count)
            server = Clockwork(bench, delay=round(LATENCY * 1000))
            task = Task(server.base, server.host, count, concurrency, body=1200)
            seen = in_turns(bench, task, names, runs, warm_up=False)
        for name, uses in seen.items():
            wall = median(u.wall for u in uses)
            rows.append([name, f"{concurrency:,}", f"{count:,}", f"{ideal:.2f}", f"{wall:.3f}", f"{ideal / wall:.1%}",
                         f"{median(u.cpu for u in uses) / count * 1e6:.1f}", f"{max(u.rss for u in uses):.1f}"])
            if name == SKU:
                # With 1,000 the bare loop, which stores nothing, does not reach 98 %.
                least = 0.97 if concurrency == 1000 else 0.98
                targets.append((f"{concurrency:,} in flight: {ideal / wall:.1%} of the ideal, at least {least:.0%} asked", ideal / wall >= least))
    section("latency", "Plain HTTP/1.1, 1.2 KB, each answer 100 ms after its request. The ideal is N × latency / concurrency; wall is "
            f"the whole process, from its start to its end. Medians of {runs} runs.",
            ["", "in flight", "SKUs", "ideal s", "wall s", "of the ideal", "µs of processor a SKU", "RSS MiB"], rows, targets)


def apart(asked):
    """head and body written apart, without TCP_NODELAY, with 1 and 8 in flight"""
    names = [n for n in (BARE, SKU) if asked.wants(n)]
    rows = []
    for concurrency in (1, 8):
        count, runs = asked.count(200 * concurrency), asked.turns(3)
        with Workbench() as bench:
            bench.skus(count)
            server = Clockwork(bench, apart=True)
            seen = in_turns(bench, Task(server.base, server.host, count, concurrency, body=1200), names, runs, warm_up=False)
        bare = seen.get(BARE)
        for name, uses in seen.items():
            wall = median(u.wall for u in uses)
            ratio = f"{median(u.wall / b.wall for u, b in zip(uses, bare)):.3f} ×" if bare else ""
            rows.append([name, str(concurrency), f"{count:,}", f"{wall:.3f}", f"{count / wall:,.0f}", ratio])
    section("apart", "Plain HTTP/1.1, 1.2 KB, answers at once, head and body in two writes without TCP_NODELAY: the server's system holds "
            "the body back until the head is acknowledged, and the client's delays that by 40 ms, unless it is told not to. Wall is the "
            f"whole process. Medians of {runs} runs.",
            ["", "in flight", "SKUs", "wall s", "SKUs a second", "of the bare loop's wall"], rows)


def rate(asked):
    """10, 100, 1,000 and 5,000 requests a second: achieved, the worst window, and the cost of waiting"""
    span = 2 if asked.quick else 10
    rows, targets = [], []
    for per_second in (10, 100, 1000, 5000):
        for concurrency in (64, 1000):
            count = per_second * span
            say(f"  {per_second}/s, {concurrency} in flight")
            use, times, waited = paced(per_second, concurrency, count)
            achieved = (len(times) - 1) / (times[-1] - times[0])
            over = excess(times, per_second, burst=1)
            rows.append([f"{per_second:,}/s", f"{concurrency:,}", f"{len(times):,}", f"{achieved:,.1f}", f"{achieved / per_second:.2%}",
                         f"{over:+.1f}", "?" if waited is None else f"{waited:.0f}", f"{use.cpu / count * 1e6:.1f}", f"{use.cpu:.3f}"])
            targets.append((f"{per_second:,}/s, {concurrency:,} in flight: {achieved / per_second:.2%} of the rate, 99 to 101 % asked",
                            0.99 <= achieved / per_second <= 1.01))
            targets.append((f"{per_second:,}/s, {concurrency:,} in flight: the fullest window is {over:+.1f} requests from its bound", over <= 0))
    section("rate", f"Plain HTTP/1.1, answers at once, `--rate` for {span} s, burst 1. Arrivals are those that the server noted. The bound of a "
            "window of T seconds is rate × (T + 10 ms) + burst; of all windows, the one that comes nearest to its bound, or goes furthest "
            "beyond it, is shown. What the server itself is late, on a busy machine, is in that figure too: beside it stands how long the "
            "server waited for a processor, over the whole run.",
            ["asked", "in flight", "arrived", "a second", "of the rate", "fullest window − bound", "server waited ms", "µs of processor a SKU", "processor s"],
            rows, targets)


def paced(per_second, concurrency, count):
    """One run under a rate; gives what it took, the seconds at which requests reached the server, and how long
    that waited for a processor."""
    with Workbench() as bench:
        bench.skus(count)
        server = Clockwork(bench)
        task = Task(server.base, server.host, count, concurrency)
        use = bench.run(skufetch(bench, task, "--rate", f"{per_second}/s"), limit=count / per_second * 3 + 60)
        check(SKU, bench, task, use)
        waited = server.waited()
        _, requests = server.arrivals()
        return use, [time_ns / 1e9 for time_ns in requests], waited


def excess(times, per_second, burst):
    """Over all windows [times[i], times[j]]: the most that one holds beyond its bound. One pass: for each end, the best begin so far."""
    worst, best_begin = float("-inf"), float("-inf")
    for place, time in enumerate(times):
        best_begin = max(best_begin, per_second * time - place)
        worst = max(worst, place + 1 - per_second * time + best_begin)
    return worst - per_second * GRACE - burst


def start(asked):
    """from the start of the process to the first request on the wire, for 6,000 rows; size of the binary"""
    count, runs = asked.skus or 6_000, asked.turns(15)
    seen = {name: [] for name in (BARE, SKU) if asked.wants(name)}
    for turn in range(-1, runs):
        for name in seen:
            say(f"  {'warm-up' if turn < 0 else f'run {turn + 1}'}: {name}")
            with Workbench() as bench:
                bench.skus(count)
                server = Clockwork(bench)
                task = Task(server.base, server.host, count, asked.concurrency, body=1200)
                use = bench.run(COMMANDS[name](bench, task))
                check(name, bench, task, use)
                accepted, requests = server.arrivals()
                if turn >= 0:
                    seen[name].append(((accepted[0] - use.began_ns) / 1e6, (requests[0] - use.began_ns) / 1e6))
    rows = [[name, f"{median(t[0] for t in times):.1f}", f"{median(t[1] for t in times):.1f}", f"{max(t[1] for t in times):.1f}"]
            for name, times in seen.items()]
    targets = []
    if SKU in seen:
        first, size = median(t[1] for t in seen[SKU]), os.path.getsize(SKUFETCH) / 1e6
        targets = [(f"the first request is there after {first:.1f} ms, under 30 ms asked", first < 30),
                   (f"the binary has {size:.1f} MB, under 15 MB asked", size < 15)]
    section("start", f"From just before the process is made to what the server sees of it, for a CSV of {count:,} rows; "
            f"{runs} runs.", ["", "connection ms", "first request ms (median)", "(worst)"], rows, targets)


def first_request(asked):
    """from the start of the process to the first request on the wire, for 10,000,000 rows"""
    count, runs = asked.count(10_000_000), asked.turns(5)
    seen = []
    with Workbench() as bench:
        bench.skus(count)
        for turn in range(runs):
            say(f"  run {turn + 1}")
            server = Clockwork(bench, delay=1000)
            task = Task(server.base, server.host, count, 8, body=1200)
            # All rows are checked before the first is asked for; the run itself is of no interest here.
            stopped = shlex.join(skufetch(bench, task, "--fresh", "--max-time", "5s")) + "; [ $? -eq 75 ]"
            use = bench.run(["sh", "-c", stopped])
            _, requests = server.arrivals()
            seen.append((requests[0] - use.began_ns) / 1e9)
    first = median(seen)
    targets = [] if asked.quick else [(f"the first request is there after {first:.2f} s, under 1.5 s asked", first < 1.5)]
    section("first-request", f"From just before the process is made to the first request that the server sees, for a CSV of "
            f"{count:,} rows of 9 bytes, which are all read and checked before; {runs} runs.",
            ["", "first request s (median)", "(worst)"], [[SKU, f"{first:.2f}", f"{max(seen):.2f}"]], targets)
