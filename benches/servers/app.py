"""The API of benches/connections behind Python servers: an answer takes 4 ms."""
import asyncio, sys, time


def body(path):
    return b'{"sku":"%s"}' % path.rsplit("/", 1)[-1].encode()


def wsgi(environ, start_response):
    time.sleep(0.004)
    answer = body(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(0.01)
    answer = body(scope["path"])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def http_server(port, protocol):
    from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol
        # Head and body in one packet: otherwise each answer waits 40 ms for a delayed acknowledgement.
        wbufsize = -1

        def do_GET(self):
            time.sleep(0.004)
            answer = body(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()

        def log_message(self, *_):
            pass

    # HTTPServer serves one connection to its end; with threads there is no limit.
    kind = HTTPServer if protocol == "HTTP/1.1" else ThreadingHTTPServer
    kind(("127.0.0.1", port), Handler).serve_forever()


def wsgiref(port):
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    make_server("127.0.0.1", port, wsgi, handler_class=Handler).serve_forever()


def main(kind, port):
    if kind == "http.server":
        http_server(port, "HTTP/1.0")
    elif kind == "http.server, one thread":
        http_server(port, "HTTP/1.1")
    elif kind == "wsgiref":
        wsgiref(port)
    elif kind == "waitress":
        import waitress

        waitress.serve(wsgi, host="127.0.0.1", port=port)
    elif kind == "cheroot":
        from cheroot.wsgi import Server

        Server(("127.0.0.1", port), wsgi).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
