"""What the tests of remote clients share: a namespace with shmqd and a bridge,
that can be killed, and a proxy that cuts connections."""
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(os.environ.get(
    "SHMQ_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ["SHMQ_BIN_DIR"])
PACKAGE = ROOT / "bridge" / "python"
PATIENCE = 60  # seconds for what has to come, however slow the machine is


def need_zmq():
    """pyzmq may be known to the system's python3 only."""
    try:
        import zmq  # noqa: F401
    except ImportError:
        system = "/usr/bin/python3"
        if os.path.exists(system) and not os.environ.get("SHMQ_SYSTEM_PYTHON"):
            os.environ["SHMQ_SYSTEM_PYTHON"] = "yes"
            os.execv(system, [system] + sys.argv)
        print("skipped: no pyzmq (package python3-zmq)")
        sys.exit(77)
    if not (BIN / "shmq-bridge").exists():
        print("skipped: no shmq-bridge was built")
        sys.exit(77)
    sys.path.insert(0, str(PACKAGE))


def log_lines(limit):
    """Lines of real log files, without those that hold no byte."""
    folders = [ROOT / "tests" / "data" / "logs"]
    if os.environ.get("SHMQ_REAL_LOGS"):
        folders.insert(0, pathlib.Path(os.environ["SHMQ_REAL_LOGS"]))
    lines = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and len(lines) < limit:
                lines += path.read_bytes()[:1 << 20].split(b"\n")
    lines = [line for line in lines if line]
    while len(lines) < limit:
        lines += lines
    return lines[:limit]


class World:
    """A namespace of its own, its daemons and folder."""

    def __init__(self, durable=False):
        self.namespace = f"far-{os.getpid()}-{random.randrange(10 ** 6)}"
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.env = dict(os.environ, SHMQ_NAMESPACE=self.namespace)
        self.env.pop("SHMQ_REMOTE", None)
        self.router = f"ipc://{self.dir}/router"
        self.feed = f"ipc://{self.dir}/feed"
        self.children = []
        self.bridge = self.shmqd = None
        self.durable = durable
        self.bridge_args = []
        if durable:
            self.start_shmqd()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for path in pathlib.Path("/dev/shm").glob(f"shmq.{self.namespace}.*"):
            path.unlink()
        shutil.rmtree(self.dir, ignore_errors=True)

    def spawn(self, *command, **options):
        child = subprocess.Popen([str(word) for word in command],
                                 env=self.env, **options)
        self.children.append(child)
        return child

    def shmq(self, *args, status=0, **options):
        done = subprocess.run([str(BIN / "shmq"), *map(str, args)],
                              env=self.env, capture_output=True, timeout=2 * PATIENCE,
                              **options)
        if done.returncode != status:
            raise AssertionError(f"shmq {args}: {done.returncode}, not "
                                 f"{status}: {done.stderr.decode()}")
        return done.stdout

    def start_shmqd(self):
        self.shmqd = self.spawn(
            BIN / "shmqd", "--data-dir", self.dir / "data", "--min-free", "1M",
            "--segment-size", "4M", "--log-level", "warning",
            stdin=subprocess.DEVNULL)
        socket_path = pathlib.Path(f"/dev/shm/shmq.{self.namespace}.s")
        until(socket_path.exists, "shmqd serves")

    def start_bridge(self):
        path = self.dir / "router"
        path.unlink(missing_ok=True)
        self.bridge = self.spawn(
            BIN / "shmq-bridge", "--router", self.router, "--pub", self.feed,
            "--pull", "none", "--log-level", "warning", *self.bridge_args,
            stdin=subprocess.DEVNULL)
        until(path.exists, "the bridge serves")

    def kill_bridge(self):
        self.bridge.send_signal(signal.SIGKILL)
        self.bridge.wait()
        self.children.remove(self.bridge)


def until(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


class Proxy:
    """Stands before the bridge and cuts connections when told."""

    def __init__(self, path, target):
        self.path, self.target = str(path), str(target)
        self.endpoint = f"ipc://{path}"
        self.cuts = 0
        self.answers = 0  # connections on which the bridge said something
        self._cut = threading.Event()
        self._ended = False
        self._hold = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut_answers(self):
        """From here on the bridge's answers are held back; the connection is
        cut when one came."""
        self._hold = True

    def close(self):
        self._ended = True
        self._listener.close()
        self._thread.join(5)

    def _run(self):
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            bridge = socket.socket(socket.AF_UNIX)
            try:
                bridge.connect(self.target)
                self._carry(client, bridge)
            except OSError:
                pass
            finally:
                client.close()
                bridge.close()

    def _carry(self, client, bridge):
        other = {client: bridge, bridge: client}
        while not self._ended:
            ready, _, _ = select.select([client, bridge], [], [], 0.2)
            for one in ready:
                data = one.recv(1 << 16)
                if not data:
                    return
                if one is bridge and self._hold:
                    self._hold = False  # the answer is lost
                    self.cuts += 1
                    return
                other[one].sendall(data)
