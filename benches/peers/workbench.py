"""A temporary folder, the programs under measurement, and processes that end with it."""
import os, resource, shutil, signal, socket, subprocess, sys, tempfile
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
SKUFETCH = os.environ.get("SKUFETCH", f"{TARGET}/release/skufetch")


@dataclass
class Use:
    """What one run took: processor seconds (user and system), wall seconds, peak resident MiB, its output."""

    cpu: float
    wall: float
    rss: float
    printed: str
    began_ns: int


def say(text):
    """To the person; standard output carries the tables alone."""
    print(text, file=sys.stderr, flush=True)


def build():
    """Each side on its own: built in one command, either would get the other's features."""
    if "SKUFETCH" not in os.environ:
        say("building skufetch (release) ...")
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "skufetch"], cwd=ROOT, check=True)
    say("building the yardsticks (release) ...")
    subprocess.run(["cargo", "build", "--release", "--quiet", "--package", "yardsticks"], cwd=ROOT, check=True)


def yardstick(name):
    return f"{TARGET}/release/{name}"


class Workbench:
    """The folder of a scenario. Whatever was started here has ended, and the folder is gone, after `with`."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="skufetch-compare-")
        # nginx drops to another user, who has to read the files it serves.
        os.chmod(self.folder, 0o755)
        self.closing = []
        return self

    def __exit__(self, *_):
        for close in reversed(self.closing):
            close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)
        return self.path(name)

    def skus(self, count):
        """The same list for everyone: as a CSV with a header, and as bare lines."""
        with open(self.path("skus.csv"), "w") as csv, open(self.path("skus.txt"), "w") as lines:
            csv.write("sku\n")
            for start in range(0, count, 100_000):
                block = "".join(f"{sku:08}\n" for sku in range(start, min(start + 100_000, count)))
                csv.write(block)
                lines.write(block)

    def room_for(self, size):
        free = shutil.disk_usage(self.folder).free
        if free < size:
            raise SystemExit(f"{self.folder} has {free >> 20} MiB free, {size >> 20} are needed: set TMPDIR")

    def clear_output(self):
        """An old output would turn the requests into conditional ones, and the answers into 304."""
        for name in os.listdir(self.folder):
            if name.startswith("out."):
                os.remove(self.path(name))

    def run(self, command, limit=900, keep=False):
        """Runs one program to its end, for at most `limit` seconds. `keep`: over the output of the run before."""
        if not keep:
            self.clear_output()
        with open(self.path("printed"), "w+") as out, open(self.path("complaints"), "w+") as errors:
            child = subprocess.Popen([yardstick("stopwatch"), self.path("took"), *command], stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=errors, cwd=self.folder, env=ENV, process_group=0)
            try:
                child.wait(limit)
            except BaseException as error:
                # The watch and what it runs: a group of its own.
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise SystemExit(f"{command[0]} did not end within {limit} s") from None
                raise
            out.seek(0)
            errors.seek(0)
            if child.returncode != 0:
                raise SystemExit(f"{command[0]} could not be run: {errors.read()[-2000:]}")
            with open(self.path("took")) as took:
                cpu, wall, rss, began, code = took.read().split()
            if code != "0":
                raise SystemExit(f"{command[0]} ended with {code}:\n{errors.read()[-2000:]}")
            return Use(float(cpu), float(wall), int(rss) / 1024, out.read(), int(began))


# Nothing of this shell decides a figure: no settings, no proxies. Descriptors for 1,000 connections.
ENV = {k: v for k, v in os.environ.items() if not k.startswith("SKUFETCH") and not k.lower().endswith("_proxy")}
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))
# A kill of this program is no reason to leave its servers behind.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
