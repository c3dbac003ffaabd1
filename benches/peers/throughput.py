"""Scenarios that ask what a SKU costs: the server answers at once, and everyone runs in turns."""
from statistics import median

from .programs import AGAIN, BARE, CHANGES, COMMANDS, EVERYONE, OVER_OLD, RATED, SKU, Task, check
from .servers import Nginx, product
from .table import ratio, section
from .workbench import Workbench, say

KB = 1000


def in_turns(bench, task, names, runs, warm_up=True):
    """Everyone once, then everyone again: what slows the machine for a while slows all of them."""
    commands = {name: COMMANDS[name](bench, task) for name in names}
    commands = {name: command for name, command in commands.items() if command}
    seen = {name: [] for name in commands}
    # Bounded, and far beyond what a busy machine takes.
    limit = max(600, task.count / 1000)
    for turn in range(-1 if warm_up else 0, runs):
        for name, command in commands.items():
            say(f"  {'warm-up' if turn < 0 else f'run {turn + 1}'}: {name}")
            use = bench.run(command, limit, keep=name in OVER_OLD)
            check(name, bench, task, use)
            if turn >= 0:
                seen[name].append(use)
    return seen


def rows(seen, count):
    """Medians, and ratios pair by pair; of resident memory the worst, as a peak is a promise."""
    for name, uses in seen.items():
        wall = median(u.wall for u in uses)
        yield [name, f"{median(u.cpu for u in uses) / count * 1e6:.1f}",
               f"{ratio(uses, seen[BARE], lambda u: u.cpu):.2f}" if BARE in seen else "",
               f"{count / wall:,.0f}", f"{wall:.2f}",
               f"{ratio(uses, seen[BARE], lambda u: u.wall):.2f}" if BARE in seen else "", f"{max(u.rss for u in uses):.1f}"]


HEAD = ["", "µs of processor a SKU", "× bare", "SKUs/s", "wall s", "× bare", "RSS MiB"]


def measure(asked, name, told, *, count, body, names=EVERYONE, runs=None, warm_up=True, most=1.15, rss=None, server=None):
    """Sets nginx up, runs everyone in turns, prints the table."""
    count, runs = asked.count(count), asked.turns(runs)
    names = [n for n in names if asked.wants(n)]
    with Workbench() as bench:
        answer = product(body)
        bench.room_for(count * (len(answer) + 60) * 3)
        bench.skus(count)
        nginx = Nginx(bench, answer, **(server or {}))
        how = server or {}
        task = Task(nginx.base, nginx.host, count, asked.concurrency, nginx.authority, how.get("gzipped", False),
                    how.get("tls") == "h2", len(answer))
        seen = in_turns(bench, task, names, runs, warm_up)
    told = f"{told} {count:,} SKUs of {size(len(answer))}, {asked.concurrency} in flight; medians of {runs} runs in turns" \
           f"{', after one that is not counted' if warm_up else ''}."
    targets = []
    for ours in (SKU, RATED):
        if most and BARE in seen and ours in seen:
            times = ratio(seen[ours], seen[BARE], lambda u: u.cpu)
            targets.append((f"{ours} takes {times:.2f} × the processor time of the bare reqwest loop, at most {most:.2f} × asked", round(times, 2) <= most))
        if rss and ours in seen:
            peak = max(u.rss for u in seen[ours])
            targets.append((f"{ours} stays at {peak:.1f} MiB, under {rss} MiB asked", peak < rss))
    section(name, told, HEAD, list(rows(seen, count)), targets)


def size(length):
    return f"{length / KB:g} KB" if length >= KB else f"{length} bytes"


def instant(asked):
    """plain HTTP/1.1, 1.2 KB, answers at once"""
    measure(asked, "instant", "Plain HTTP/1.1, answers at once.", count=20_000, body=1200, most=0.90)


def tls_h1(asked):
    """TLS with HTTP/1.1"""
    measure(asked, "tls-h1", "TLS with HTTP/1.1, answers at once.", count=20_000, body=1200, most=1.00, server={"tls": "h1"})


def tls_h2(asked):
    """TLS with HTTP/2"""
    measure(asked, "tls-h2", "TLS with HTTP/2, answers at once.", count=20_000, body=1200, most=1.00, server={"tls": "h2"})


def gzipped(asked):
    """bodies that come compressed"""
    measure(asked, "gzip", "Plain HTTP/1.1, bodies sent gzipped (level 6, compressed beforehand) and decoded by everyone.",
            count=20_000, body=1200, most=1.05, server={"gzipped": True})


def large(asked):
    """bodies of 100 KB"""
    measure(asked, "large", "Plain HTTP/1.1, bodies of 100 KB.", count=2_000, body=100 * KB, most=4)


def again(asked):
    """the same run over the output of the last one, where nothing changed"""
    for name, body, count in [("again", 1200, 20_000), ("again, 100 KB", 100 * KB, 2_000)]:
        measure(asked, name, "Plain HTTP/1.1: a run without an old output, then the same over it. Every answer is then a 304 "
                "without a body, and the old value is kept.", count=count, body=body, most=None, names=[BARE, SKU, AGAIN, CHANGES])


def million(asked):
    """1,000,000 SKUs of 1.2 KB"""
    measure(asked, "million", "Plain HTTP/1.1, answers at once.", count=1_000_000, body=1200, names=[BARE, SKU, RATED], runs=1,
            warm_up=False, rss=150)


def ten_million(asked):
    """10,000,000 SKUs with short bodies; takes minutes, only when named"""
    measure(asked, "ten-million", "Plain HTTP/1.1, answers at once, short bodies.", count=10_000_000, body=20, names=[SKU],
            runs=1, warm_up=False, rss=200)
