"""The server products of benches/connections, each with the setting that limits its connections."""
import os
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))

APACHE = """
ServerRoot /usr/lib/apache2
LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
Listen 127.0.0.1:{port}
User nobody
ServerName localhost
StartServers 16
MinSpareServers 1
MaxSpareServers 16
ServerLimit 16
MaxRequestWorkers 16
KeepAlive On
KeepAliveTimeout 5
ProxyPass / http://127.0.0.1:{backend}/
"""

HAPROXY = """
global
 maxconn 4000
defaults
 mode http
 timeout client 60s
 timeout server 60s
 timeout connect 5s
frontend api
 bind 127.0.0.1:{port}
 {limit}
 default_backend node
backend node
 server n 127.0.0.1:{backend}
"""

NGINX = """
daemon off; master_process off; error_log {folder}/nginx.log; pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
 access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
 uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
 limit_conn_zone $binary_remote_addr zone=a:1m;
 upstream node {{ server 127.0.0.1:{backend}; keepalive 64; }}
 server {{ listen 127.0.0.1:{port} {listen};
  location / {{ {location} proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""
OVER_TLS = "ssl http2; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; keepalive_requests 30"

SQUID = """
http_port 127.0.0.1:{port}
acl many maxconn 20
http_access deny many
http_access allow all
cache deny all
pid_filename {folder}/squid.pid
access_log none
cache_log {folder}/squid.log
coredump_dir {folder}
"""

PRIVOXY = """
listen-address 127.0.0.1:{port}
logdir {folder}
keep-alive-timeout 5
max-client-connections 20
"""


@dataclass
class Product:
    """A server: how it is started, and what limits it."""

    name: str
    setting: str
    # Words with {python}, {port}, {backend} and {folder} in them.
    command: list
    config: str = ""
    is_tls: bool = False
    # It passes requests on to the Node server: `server` by its configuration, `proxy` by --proxy.
    passes_on: str = ""
    names: dict = field(default_factory=dict)


def python(kind):
    return ["{python}", os.path.join(HERE, "app.py"), kind, "{port}"]


def node(kind):
    return ["node", os.path.join(HERE, "node.mjs"), kind, "{port}", "{folder}/cert.pem", "{folder}/key.pem"]


def nginx(setting, listen="", location="", is_tls=False):
    names = {"listen": listen, "location": location}
    return Product("nginx", setting, ["nginx", "-c", "{config}"], NGINX, is_tls, "server", names)


def haproxy(setting, limit):
    return Product("HAProxy", setting, ["haproxy", "-f", "{config}"], HAPROXY, False, "server", {"limit": limit})


PRODUCTS = [
    Product("Apache prefork", "16 workers", ["apache2", "-DFOREGROUND", "-f", "{config}"], APACHE, False, "server"),
    haproxy("refuses past 20", "tcp-request connection reject if { fe_conn gt 20 }"),
    haproxy("`maxconn 20`", "maxconn 20"),
    Product("Node", "`maxConnections` 20", node("max-20")),
    Product("Node, HTTP/2", "GOAWAY after 50 requests", node("goaway-50"), "", True),
    nginx("HTTP/2, `keepalive_requests 30`", OVER_TLS, "", True),
    nginx("`limit_conn 20`, 503", "", "limit_conn a 20;"),
    Product("squid", "`maxconn 20`", ["squid", "-N", "-f", "{config}"], SQUID, False, "proxy"),
    Product("privoxy", "20 connections", ["privoxy", "--no-daemon", "{config}"], PRIVOXY, False, "proxy"),
    Product("uvicorn", "`--limit-concurrency 20`",
            ["{python}", "-m", "uvicorn", "app:asgi", "--app-dir", HERE, "--port", "{port}",
             "--limit-concurrency", "20", "--log-level", "critical"]),
    Product("gunicorn gthread", "8 threads",
            ["{python}", "-m", "gunicorn", "-b", "127.0.0.1:{port}", "--chdir", HERE, "-k", "gthread", "--threads", "8",
             "--log-level", "critical", "app:wsgi"]),
    Product("waitress", "4 threads", python("waitress")),
    Product("cheroot", "10 threads", python("cheroot")),
    Product("http.server", "HTTP/1.0, threads", python("http.server")),
    Product("http.server", "HTTP/1.1, one thread", python("http.server, one thread")),
    Product("wsgiref", "one thread", python("wsgiref")),
    Product("WEBrick", "100 threads", ["ruby", os.path.join(HERE, "webrick.rb"), "{port}"]),
]
