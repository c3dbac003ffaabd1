"""httpx with aiometer: 16 at once, and `max_per_second` where a third argument names it. A refused request is tried
again up to 4 times, after Retry-After or an exponential back-off, outside of aiometer's pace, as its users do."""
import asyncio, functools, random, sys

import aiometer, httpx

WORKERS, RETRIES = 16, 4


async def fetched(client, url):
    for attempt in range(RETRIES + 1):
        answer = await client.get(url)
        if answer.status_code == 200:
            return True
        await asyncio.sleep(max(float(answer.headers.get("Retry-After", 0)), random.uniform(0, 0.5 * 2 ** attempt)))
    return False


async def main(base, count, rate=None):
    async with httpx.AsyncClient(timeout=30) as client:
        jobs = [functools.partial(fetched, client, f"{base}S{number}") for number in range(count)]
        done = await aiometer.run_all(jobs, max_at_once=WORKERS, max_per_second=rate)
        print(sum(done))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:])))
