"""One HTTP/1.1 server for all limiters: `/LIMITER/RUN/SKU`. Each run has a limiter of its own, and is counted.

As a program, `python3 -m limiters.server PORT` in benches/, it serves until it is ended.
"""
import asyncio, json, math, sys, threading, time
from dataclasses import dataclass, field

from .kinds import LIMITERS

REASONS = {200: "OK", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable", 508: "Loop Detected"}


@dataclass
class Run:
    """What one run asked for."""

    limiter: object
    law: object
    in_flight: int = 0
    requests: int = 0
    refused: int = 0
    served: set = field(default_factory=set)
    first: float = None
    last: float = None

    def begin(self, now):
        """Status and wait of a request that arrives."""
        self.requests += 1
        self.first = self.first or now
        if self.limiter.cap is not None:
            wait = 0.05 if self.in_flight >= self.limiter.cap else 0
        else:
            wait = self.law.admit(now)
        if wait:
            self.refused += 1
            return self.limiter.status, wait
        return 200, 0

    def end(self, sku):
        self.served.add(sku)
        self.last = time.time()


class Server:
    """Serves in a thread of its own until the process ends."""

    def __init__(self, port=0):
        self.known = {limiter.name: limiter for limiter in LIMITERS}
        self.runs = {}
        started = threading.Event()
        threading.Thread(target=self.serve, args=(port, started), daemon=True).start()
        started.wait(10)

    def serve(self, port, started):
        async def forever():
            server = await asyncio.start_server(self.connection, "127.0.0.1", port, backlog=1024)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await server.serve_forever()

        asyncio.run(forever())

    def url(self, limiter, run):
        return f"http://127.0.0.1:{self.port}/{limiter.name}/{run}/"

    def run(self, limiter, name):
        """What a run asked for so far."""
        return self.runs.setdefault((limiter.name, name), Run(limiter, limiter.law() if limiter.law else None))

    async def connection(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                writer.write(await self.answer(path))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            pass
        finally:
            writer.close()

    async def answer(self, path):
        limiter, _, rest = path.lstrip("/").partition("/")
        run, _, sku = rest.partition("/")
        if limiter not in self.known or not sku:
            return response(404, {}, b"{}")
        run = self.run(self.known[limiter], run)
        now = time.time()
        status, wait = run.begin(now)
        limiter = run.limiter
        headers = dict(limiter.headers)
        if limiter.has_fields:
            headers.update(run.law.fields(now))
        if status != 200:
            if limiter.retry_after:
                headers["Retry-After"] = max(1, math.ceil(wait))
            return response(status, headers, limiter.body)
        run.in_flight += 1
        try:
            await asyncio.sleep(limiter.latency)
        finally:
            run.in_flight -= 1
        run.end(sku)
        return response(200, headers, json.dumps({"sku": sku, "price": 9.9}).encode())


def response(status, headers, body):
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


if __name__ == "__main__":
    Server(int(sys.argv[1]))
    threading.Event().wait()
