"""An API on loopback that counts the requests of each key."""

from __future__ import annotations

import collections
import http.server
import json
import threading
import time
import urllib.parse
import zlib
from typing import Callable


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are one packet.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        api = self.server.api  # type: ignore[attr-defined]
        key = urllib.parse.unquote(self.path.rpartition("/")[2])
        with api.lock:
            api.requests[key] += 1
            status = api.answer(key, api.requests.total())
        time.sleep(api.delay(key))
        answer = {"sku": key, "amount": zlib.crc32(key.encode()) % 10_000}
        body = json.dumps({**answer, "text": "x" * api.padding} if api.padding else answer).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "3600")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that is killed is no fault here.
        pass


class Api:
    """The running API. `requests` counts; `delay` gives the seconds of an answer, and `answer` its status."""

    def __init__(self) -> None:
        self.requests: collections.Counter[str] = collections.Counter()
        self.delay: Callable[[str], float] = lambda _: 0.03
        self.answer: Callable[[str, int], int] = lambda _key, _count: 200
        #: Bytes that each answer has beside its values.
        self.padding = 0
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/products/{{sku}}"

    def count(self) -> int:
        with self.lock:
            return self.requests.total()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
