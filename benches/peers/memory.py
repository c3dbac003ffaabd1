"""What is resident at most: small runs, and bodies of 1 MB."""
from .programs import BARE, SKU, Task, check, COMMANDS
from .servers import Nginx, product
from .table import section
from .workbench import Workbench, say

MB = 1_000_000


def memory(asked):
    """peak resident memory: 6,000 SKUs; bodies of 1 MB with 8, 64 and 256 in flight"""
    cases = [(asked.count(6_000), 1200, 64)]
    # Never fewer than are in flight, or the bound is not seen.
    cases += [(asked.skus or 1_000, MB, concurrency) for concurrency in (8, 64, 256)]
    rows, peaks = [], {}
    for count, body, concurrency in cases:
        with Workbench() as bench:
            answer = product(body)
            bench.room_for(count * body * 4)
            bench.skus(count)
            nginx = Nginx(bench, answer)
            task = Task(nginx.base, nginx.host, count, concurrency, body=len(answer))
            row = [f"{count:,} of {'1 MB' if body == MB else '1.2 KB'}", f"{concurrency}"]
            for name in (BARE, SKU):
                say(f"  {row[0]}, {concurrency} in flight: {name}")
                uses = []
                for _ in range(asked.turns(3)):
                    uses.append(bench.run(COMMANDS[name](bench, task)))
                    check(name, bench, task, uses[-1])
                peaks[name, body, concurrency] = max(u.rss for u in uses)
                row.append(f"{peaks[name, body, concurrency]:.1f}")
            rows.append(row)
    small, at_64, at_256 = peaks[SKU, 1200, 64], peaks[SKU, MB, 64], peaks[SKU, MB, 256]
    section("memory", f"Plain HTTP/1.1, answers at once; the highest peak of {asked.turns(3)} runs, in MiB. Of a body that is longer than "
            "48 KiB, what follows claims its room before it is read on, 8 MiB for all together.",
            ["SKUs", "in flight", BARE, SKU], rows,
            [(f"{cases[0][0]:,} SKUs: {small:.1f} MiB, under 30 MiB asked", small < 30),
             (f"bodies of 1 MB: {at_64:.1f} MiB at 64 in flight, {at_256:.1f} at 256; half a MiB for each more asked at most", at_256 - at_64 <= 192 / 2)])
