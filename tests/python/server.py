"""An API on loopback for the tests: every product is there, but for what its address asks for."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        api = self.server.api
        path, _, query = self.path.partition("?")
        sku = urllib.parse.unquote(path.rpartition("/")[2])
        length = int(self.headers.get("content-length") or 0)
        sent = self.rfile.read(length).decode()
        with api.lock:
            api.seen.append({"sku": sku, "query": query, "headers": dict(self.headers), "body": sent})
        if api.delay:
            time.sleep(api.delay)
        status, body = 200, api.body.replace("%s", json.dumps(sku))
        if sku.startswith(api.lost):
            status, body = 404, '{"error":"no such product"}'
        if sku.startswith("huge"):
            body = "9" * 5000
        if api.status:
            status, body = api.status, "{}"
        answer = body.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        with api.lock:
            api.answered += 1

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        # A client that hangs up is no fault here.
        pass


class Api:
    """The running API. `seen` has each request, `delay` holds back each answer, `status` replaces each status.

    SKUs that begin with `lost` are not found; those that begin with "huge" have a number that Python refuses.
    """

    def __init__(self) -> None:
        self.seen: list[dict] = []
        self.answered = 0
        self.delay = 0.0
        self.status = 0
        self.body = '{"sku":%s,"price":1.10,"id":9007199254740993}'
        self.lost = "lost"
        self.lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/products/{{sku}}"

    def skus(self) -> list[str]:
        with self.lock:
            return sorted(request["sku"] for request in self.seen)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
