"""The good Python program: aiohttp on uvloop, orjson, so many workers on one iterator, one dictionary at the end.

aiohttp_loop.py BASE SKUS CONCURRENCY OUTPUT [CA_FILE]
"""
import asyncio, ssl, sys

import aiohttp, orjson, uvloop


async def fetch(base, skus, concurrency, trust):
    found = {}
    remaining = iter(skus)
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=trust)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def worker():
            for sku in remaining:
                async with session.get(base + sku) as answer:
                    answer.raise_for_status()
                    found[sku] = orjson.loads(await answer.read())

        await asyncio.gather(*(worker() for _ in range(concurrency)))
    return found


def main():
    base, skus, concurrency, output, authority = sys.argv[1:6]
    with open(skus) as lines:
        skus = lines.read().split()
    trust = ssl.create_default_context(cafile=authority) if authority else True
    found = uvloop.run(fetch(base, skus, int(concurrency), trust))
    with open(output, "wb") as out:
        out.write(orjson.dumps(found))
    print(len(found), "answers")


main()
