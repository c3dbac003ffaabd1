"""The servers: nginx, as an API would have it in front, and clockwork, which keeps its time."""
import gzip, os, shutil, signal, socket, subprocess, time

from .workbench import free_port, yardstick

CONF = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; open_file_cache max=1000; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  types {{ }} default_type application/json; {more}
  server {{
    listen 127.0.0.1:{port}{listen} backlog=8192; root {folder}/www;
    location / {{ try_files /product.json =404; }}
  }}
}}
"""


def require(program, package):
    if not shutil.which(program):
        raise SystemExit(f"{program} is not installed: apt-get install {package}")


def product(size):
    """A JSON product of exactly so many bytes, for the most part short members, as APIs have them."""
    if size < 200:
        text = '{"price":"' + "1" * (size - 12) + '"}'
        return text.encode()
    text = '{"sku":"00000001","name":"Widget, stainless, 12 mm","price":{"amount":12.50,"currency":"EUR"},"stock":['
    stock = []
    while len(text) + sum(map(len, stock)) < size - 400:
        stock.append(f'{{"warehouse":"W{len(stock) % 100:02}","quantity":{len(stock) * 7}}},')
    text += "".join(stock).rstrip(",") + '],"description":"'
    return (text + "x" * (size - len(text) - 2) + '"}').encode()


class Nginx:
    """Answers every path with one file, at once. `tls` is None, "h1" or "h2"."""

    def __init__(self, bench, body, tls=None, gzipped=False):
        require("nginx", "nginx-light")
        self.bench, self.body, self.authority = bench, body, None
        bench.write("www/product.json", body)
        more = ""
        if gzipped:
            bench.write("www/product.json.gz", gzip.compress(body, 6))
            more += "gzip_static on; "
        if tls:
            self.authority = certificates(bench)
            more += f"ssl_certificate {bench.path('server.pem')}; ssl_certificate_key {bench.path('server.key')}; "
        self.start(more, {None: "", "h1": " ssl", "h2": " ssl http2"}[tls])
        self.scheme = "https" if tls else "http"

    def start(self, more, listen):
        folder = self.bench.folder
        # Someone else may take the port between its choice and nginx: then another.
        for _ in range(5):
            port = free_port()
            conf = self.bench.write("nginx.conf", CONF.format(folder=folder, port=port, more=more, listen=listen))
            server = subprocess.Popen(["nginx", "-p", folder, "-c", conf], stderr=subprocess.DEVNULL)
            if answers(port, server):
                self.host = f"127.0.0.1:{port}"
                self.bench.closing.append(lambda: end(server, signal.SIGQUIT))
                return
            end(server, signal.SIGQUIT)
        with open(f"{folder}/error.log") as log:
            raise SystemExit("nginx did not start: " + log.read())

    @property
    def base(self):
        return f"{self.scheme}://{self.host}/products/"


class Clockwork:
    """Answers so many milliseconds after the request, and notes arrivals."""

    def __init__(self, bench, delay=0, body=1200, apart=False):
        self.log = bench.path("clockwork.log")
        self.server = subprocess.Popen(
            [yardstick("clockwork"), "--delay", str(delay), "--body", str(body), "--apart", "yes" if apart else "no",
             "--log", self.log],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.closing.append(self.end)
        try:
            # Where that is allowed: what is late at the server would be laid to the client's charge.
            os.setpriority(os.PRIO_PROCESS, self.server.pid, -10)
        except PermissionError:
            pass
        self.host = self.server.stdout.readline().strip()
        self.authority = None

    @property
    def base(self):
        return f"http://{self.host}/products/"

    def end(self):
        self.server.stdin.close()
        end(self.server, None)
        self.server.stdout.close()

    def waited(self):
        """Milliseconds that it was ready to run and was not let: what it noted late. None where the kernel does not say."""
        try:
            with open(f"/proc/{self.server.pid}/schedstat") as counts:
                return int(counts.read().split()[1]) / 1e6
        except (OSError, IndexError):
            return None

    def arrivals(self):
        """Ends the server; gives the nanoseconds of accepted connections and of requests."""
        self.end()
        seen = {"accept": [], "request": []}
        with open(self.log) as log:
            for line in log:
                event, time_ns = line.split()
                seen[event].append(int(time_ns))
        return seen["accept"], seen["request"]


def answers(port, server):
    for _ in range(200):
        if server.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def end(server, polite):
    if server.poll() is None and polite is not None:
        server.send_signal(polite)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def certificates(bench):
    """A certificate authority of this run alone, and a certificate for 127.0.0.1; gives the authority's file."""
    require("openssl", "openssl")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    authority, key = bench.path("ca.pem"), bench.path("ca.key")
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(new + ["-subj", "/CN=skufetch compare", "-keyout", key, "-out", authority,
                          "-addext", "keyUsage=critical,keyCertSign"], **quiet)
    subprocess.run(new + ["-subj", "/CN=127.0.0.1", "-CA", authority, "-CAkey", key,
                          "-keyout", bench.path("server.key"), "-out", bench.path("server.pem"),
                          "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                          "-addext", "extendedKeyUsage=serverAuth"], **quiet)
    return authority
