"""What the e2e tests of shmqd share: a namespace and a data directory of their
own, daemons that are started and killed, waiting for events. Needs SHMQ_BIN_DIR,
the folder of the programs. Without shmqd in it the test is skipped (77)."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = os.environ["SHMQ_BIN_DIR"]
SHMQ = os.path.join(BIN, "shmq")
SHMQD = os.path.join(BIN, "shmqd")
PATIENCE = 120  # seconds for what has to come, however slow the machine is

if not os.path.exists(SHMQD):
    print("skipped: this build has no shmqd")
    sys.exit(77)

checks = 0


def check(what, *more):
    global checks
    checks += 1
    assert what, more


def eventually(what, why, patience=PATIENCE):
    """Waits until what() is true; returns its value."""
    end = time.monotonic() + patience
    while True:
        value = what()
        if value:
            check(True)
            return value
        if time.monotonic() > end:
            raise AssertionError("never came true: " + why)
        time.sleep(0.002)


class Place:
    """A namespace, a data directory, and the processes started in them; all of
    it is gone at the end of the `with`."""

    def __init__(self, name, data_dir=None):
        self.namespace = "%s-%d" % (name, os.getpid())
        self.work = tempfile.mkdtemp(
            prefix="shmq-e2e-", dir=os.environ.get("SHMQ_TEST_DISK"))
        self.dir = data_dir or os.path.join(self.work, "data")
        self.log = os.path.join(self.work, "shmqd.log")
        self.children = []
        self.env = dict(os.environ, SHMQ_NAMESPACE=self.namespace)
        for name in ("SHMQ_DATA_DIR", "SHMQ_CONFIG"):
            self.env.pop(name, None)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        if kind is not None:
            self.tell_log()
        self.empty_shm()
        shutil.rmtree(self.work, ignore_errors=True)

    def tell_log(self, lines=40):
        if not os.path.exists(self.log):
            return
        print("the daemon's last lines:")
        with open(self.log, errors="replace") as log:
            print("".join(log.readlines()[-lines:]))

    def empty_shm(self):
        """What a reboot does to /dev/shm."""
        for name in os.listdir("/dev/shm"):
            if name.startswith("shmq.%s." % self.namespace):
                os.unlink("/dev/shm/" + name)

    def start(self, *args, wait=True, env=None, wrapper=()):
        """Starts a shmqd; returns when it answers."""
        log = open(self.log, "ab")
        child = subprocess.Popen(
            [*wrapper, SHMQD, "--data-dir", self.dir, *args],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=dict(self.env, **(env or {})))
        log.close()
        self.children.append(child)
        if wait:
            eventually(lambda: self.answers() or child.poll() is not None,
                       "shmqd answers")
            assert child.poll() is None, "shmqd ended: %d" % child.returncode
        return child

    def answers(self):
        """Whether a daemon listens."""
        try:
            with socket.socket(
                    socket.AF_UNIX, socket.SOCK_SEQPACKET) as asker:
                asker.connect("/dev/shm/shmq.%s.s" % self.namespace)
            return True
        except OSError:
            return False

    def run_daemon(self, *args, env=None, status=0, wrapper=()):
        """Runs a shmqd that has to end by itself; returns its stderr."""
        done = subprocess.run(
            [*wrapper, SHMQD, *args], env=dict(self.env, **(env or {})),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=PATIENCE)
        check(done.returncode == status, args, done)
        return done.stderr.decode()

    def stop(self, child, status=0):
        child.send_signal(signal.SIGTERM)
        check(child.wait(PATIENCE) == status, child.returncode, status)

    def shmq(self, *args, stdin=b"", status=0):
        """Runs the command; returns its stdout."""
        done = subprocess.run(
            [SHMQ, *args], input=stdin, env=self.env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=PATIENCE)
        check(done.returncode == status, args, done.returncode, done.stderr)
        self.said = done.stderr.decode(errors="replace")
        return done.stdout

    def begin(self, *args, stdin=subprocess.DEVNULL, stdout=None):
        """Starts the command and lets it run."""
        child = subprocess.Popen(
            [SHMQ, *args], stdin=stdin, env=self.env,
            stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE)
        self.children.append(child)
        return child

    def stat(self, topic):
        return json.loads(self.shmq("stat", topic, "--json"))

    def logged(self, text, times=1):
        with open(self.log, errors="replace") as log:
            return log.read().count(text) >= times


def done():
    print("%d checks" % checks)
