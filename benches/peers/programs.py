"""The programs that are compared, as command lines: one list of SKUs, one base address, so many in flight."""
import os, shutil, subprocess, sys
from dataclasses import dataclass

from .workbench import SKUFETCH, TARGET, say, yardstick

BARE = "bare reqwest loop"
HYPER = "bare hyper loop"
CURL = "curl -Z"
AIOHTTP = "aiohttp"
SKU = "skufetch"
RATED = "skufetch --rate 1000000/s"
AGAIN = "skufetch again"
CHANGES = "skufetch again --changes"
EVERYONE = [BARE, HYPER, CURL, AIOHTTP, SKU, RATED]
# These run over the output of the run before.
OVER_OLD = {AGAIN, CHANGES}

# curl 7.88 caps --parallel-max there, in silence.
CURL_MOST = 300


@dataclass
class Task:
    """What everyone is asked to do."""

    base: str
    host: str
    count: int
    concurrency: int
    authority: str = None
    gzipped: bool = False
    multiplexed: bool = False
    body: int = 0


def bare(bench, task):
    options = (["--ca", task.authority] if task.authority else []) + (["--gzip"] if task.gzipped else [])
    return [yardstick("bare"), *options, task.base, bench.path("skus.txt"), str(task.concurrency)]


def hyper(bench, task):
    if task.authority or task.gzipped:
        return None
    return [yardstick("bare-hyper"), task.host, "/products/", bench.path("skus.txt"), str(task.concurrency)]


def curl(bench, task):
    if not shutil.which("curl"):
        say("curl is not installed: left out")
        return None
    if task.concurrency > CURL_MOST:
        return None
    # A URL and its output for each SKU: a shell would hand over a list like this one.
    with open(bench.path("skus.curl"), "w") as config, open(bench.path("skus.txt")) as skus:
        config.writelines(f'url = "{task.base}{sku.strip()}"\noutput = "/dev/null"\n' for sku in skus)
    options = (["--cacert", task.authority] if task.authority else []) + (["--compressed"] if task.gzipped else [])
    return ["curl", "-q", "-Z", "--parallel-max", str(task.concurrency), "-sS", "-f", *options,
            "--config", bench.path("skus.curl")]


def aiohttp(bench, task):
    python = venv()
    if not python or task.multiplexed:
        return None
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "aiohttp_loop.py")
    return [python, script, task.base, bench.path("skus.txt"), str(task.concurrency), bench.path("out.aiohttp"),
            task.authority or ""]


def skufetch(bench, task, *options):
    """With its defaults: journal, checks, events, timeouts, plain progress."""
    trust = ["--ca-cert", task.authority] if task.authority else []
    return [SKUFETCH, bench.path("skus.csv"), "--url", task.base + "{sku}", "-o", bench.path("out.json"),
            "--concurrency", str(task.concurrency), "--config", os.devnull, *trust, *options]


def rated(bench, task):
    """The rate limiter on, at a rate that never binds."""
    return skufetch(bench, task, "--rate", "1000000/s")


def changes(bench, task):
    """With the file of changes, for which old and new bodies are compared."""
    return skufetch(bench, task, "--changes", bench.path("out.changes"))


COMMANDS = {BARE: bare, HYPER: hyper, CURL: curl, AIOHTTP: aiohttp, SKU: skufetch, RATED: rated,
            AGAIN: skufetch, CHANGES: changes}


def check(name, bench, task, use):
    """A program that left something out has not been measured, but caught."""
    came = None
    if name in (BARE, HYPER):
        came, wanted = int(use.printed.split()[0]), task.count * task.body
    elif name == AIOHTTP:
        came, wanted = int(use.printed.split()[0]), task.count
    elif name in (SKU, RATED, *OVER_OLD):
        with open(bench.path("out.json"), "rb") as out:
            came, wanted = lines(out), task.count + 2
    if came is not None and came != wanted:
        raise SystemExit(f"{name}: {came} instead of {wanted}")


def lines(file):
    return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


_venv = []


def venv():
    """A Python with aiohttp, uvloop and orjson, made once beside the build; None where that cannot be."""
    if not _venv:
        python = f"{TARGET}/peers-venv/bin/python"
        _venv.append(python if equipped(python) else None)
    return _venv[0]


def equipped(python):
    packages = ["aiohttp", "uvloop", "orjson"]
    if works([python, "-c", "import aiohttp, uvloop, orjson"]):
        return True
    say("making a Python environment with aiohttp, uvloop and orjson ...")
    folder = os.path.dirname(os.path.dirname(python))
    if works([sys.executable, "-m", "venv", "--clear", folder]) and works(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]):
        return True
    say("aiohttp is left out: python3 -m venv, or pip install, did not work (apt-get install python3-venv?)")
    return False


def works(command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def versions():
    """What stood beside skufetch, for the table's foot."""
    known = []
    for command in (["nginx", "-v"], ["curl", "--version"]):
        if shutil.which(command[0]):
            seen = subprocess.run(command, capture_output=True, text=True)
            known.append((seen.stdout + seen.stderr).splitlines()[0].split(" (")[0].replace("nginx version: nginx/", "nginx "))
    if _venv and _venv[0]:
        program = "import aiohttp, uvloop, orjson, platform as p; print(f'Python {p.python_version()}, aiohttp " \
                  "{aiohttp.__version__}, uvloop {uvloop.__version__}, orjson {orjson.__version__}')"
        known.append(subprocess.run([_venv[0], "-c", program], capture_output=True, text=True).stdout.strip())
    return ", ".join(known)
