"""Answers `/items?ids=A,B,...` with an array that has an item for each of the ids, in one process and at once.

    pack_server.py BYTES        prints HOST:PORT, and serves until its standard input ends
"""
import asyncio
import sys

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    filling = b""

    def connection_made(self, transport):
        self.transport, self.begun = transport, b""

    def data_received(self, data):
        *heads, self.begun = (self.begun + data).split(b"\r\n\r\n")
        for head in heads:
            target = head.split(b" ", 2)[1]
            ids = target.partition(b"ids=")[2].split(b",")
            body = b"[" + b",".join(b'{"sku":"%s","text":"%s"}' % (one, self.filling) for one in ids) + b"]"
            self.transport.write(HEAD % len(body) + body)


async def main():
    Connection.filling = b"x" * (int(sys.argv[1]) - len('{"sku":"00000000","text":""}'))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
