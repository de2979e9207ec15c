#!/usr/bin/env python3
"""Every verb of the remote clients, end to end, by the C client, both Python
clients (blocking and asyncio) and the command, over ipc without keys and over TCP with CURVE:
levels of publishing and of reading, acknowledging, giving back now and later,
committing, seeking, the live feed; keys that are wrong."""
import contextlib
import os
import signal
import subprocess
import sys
import time

from bridge_keys import *

import remote_support
from remote_support import PACKAGE, ROOT

C = [os.path.join(os.environ["SHMQ_TEST_BIN_DIR"], "remote_driver")]
PYTHON = [sys.executable, str(ROOT / "tests/e2e/remote/driver.py"), str(PACKAGE)]
ASYNCIO = [sys.executable, str(ROOT / "tests/e2e/remote/driver_aio.py"),
           str(PACKAGE)]
CLIENTS = {"C": C, "Python": PYTHON, "asyncio": ASYNCIO}
if not os.path.exists(C[0]):
    print("no C client was built: skipped")
    sys.exit(77)
SHMQD = os.access(f"{BIN}/shmqd", os.X_OK)
checks = 0


class Driver:
    """A client program that does what it is told."""

    def __init__(self, client, *args):
        self.process = subprocess.Popen(
            CLIENTS[client] + list(args), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        if kind is not None:
            self.process.kill()
        status = self.process.wait(PATIENCE)
        assert kind is not None or status == 0, status

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer, (words, "the client has ended")
        return answer

    def gets(self, want, *words):
        global checks
        checks += 1
        got = self.do(*words)
        assert got == want, f"{words}: {got}, not {want}"

    def record(self, name, timeout_ms=60000):
        """(position, attempt, redelivered, text)"""
        got = self.do("recv", name, timeout_ms)
        assert not got.startswith("!"), (name, got)
        position, attempt, again, text = got.split(" ", 3)
        return int(position), int(attempt), again == "1", text


def start_shmqd(w):
    path = f"{w.dir.name}/shmqd.log"
    daemon = subprocess.Popen(
        [f"{BIN}/shmqd", "--namespace", w.ns, "--data-dir",
         f"{w.dir.name}/data"], stderr=open(path, "ab"))
    w.children.append(daemon)
    until(lambda: b" serves " in open(path, "rb").read(), what="shmqd")
    return daemon


@contextlib.contextmanager
def world(curve):
    """A bridge; w.far: how to come to it; w.flags: the same for the command."""
    w = secured("--pub", "tcp://0.0.0.0:*",
                rules=("alice publish,consume,admin *", "bob consume none")) \
        if curve else World()
    with w:
        w.daemon = start_shmqd(w) if SHMQD else None
        w.far = [w.bridge.router]
        w.flags = ["--remote", w.bridge.router]
        if curve:
            w.far += [w.keys.server[0], w.keys.alice[1]]
            w.flags += ["--server-key", f"{w.dir.name}/server.key.pub",
                        "--key-file", f"{w.dir.name}/alice.key"]
        yield w


def groups(d):
    """A shared group: given back at once, later, and acknowledged."""
    d.gets("ok", "create", "t", 0)
    d.gets("! TOPIC_EXISTS", "create", "t", 0)
    d.gets("! NO_SUCH_TOPIC", "open", "x", "none", "g", 0, "default", "earliest")
    at = [int(d.do("pub", "t", "published", 0, f"line {i}").split()[0])
          for i in range(4)]
    assert at == sorted(set(at))
    d.gets("ok", "open", "m", "t", "g", 1, "published", "earliest")
    assert d.record("m") == (at[0], 0, False, "line 0")
    assert d.record("m") == (at[1], 0, False, "line 1")
    d.gets("ok", "nack", "m", at[0], 0)
    got = [d.record("m") for _ in range(3)]
    assert sorted(got) == [(at[0], 1, True, "line 0"),
                           (at[2], 0, False, "line 2"),
                           (at[3], 0, False, "line 3")], got
    begin = time.monotonic()
    d.gets("ok", "nack", "m", at[2], 400)
    d.gets("0", "drained", "m")
    assert d.record("m") == (at[2], 1, True, "line 2")
    assert time.monotonic() - begin > 0.35, "a delayed record came too soon"
    d.gets("! TIMEOUT", "recv", "m", 100)
    for position in (at[3], at[0], at[2], at[1]):
        d.gets("ok", "ack", "m", position)
    d.gets("1", "drained", "m")
    d.gets("! GROUP_EXISTS", "open", "n", "t", "g", 2, "default", "earliest")
    d.gets("! INVALID", "seek", "m", "earliest")
    d.gets("ok", "close", "m")
    return at


def exclusive(d, at):
    """An exclusive group: seek, nack, commit; who is busy."""
    d.gets("ok", "open", "e", "t", "e", 2, "default", "earliest")
    assert [d.record("e")[0] for _ in range(4)] == at
    d.gets("ok", "seek", "e", at[2])
    assert d.record("e")[0] == at[2]
    d.gets("ok", "seek", "e", "earliest")
    assert [d.record("e")[0] for _ in range(3)] == at[:3]
    d.gets("! GROUP_BUSY", "open", "f", "t", "e", 2, "default", "earliest")
    d.gets("ok", "nack", "e", at[1], 0)
    again = d.record("e")
    assert again[0] <= at[1] and again[2], again
    floor = int(d.do("commit", "e", at[1] + 1, "published"))
    assert floor >= again[0], (floor, again)
    d.gets("! COMMIT_BEYOND_END", "commit", "e", 1 << 50, "published")
    d.gets("ok", "close", "e")


def readers(d, at):
    """Without a group, and the live feed."""
    d.gets("ok", "open", "r", "t", "-", 0, "published", at[1])
    assert [d.record("r")[0] for _ in range(3)] == at[1:]
    d.gets("ok", "seek", "r", at[3])
    assert d.record("r")[0] == at[3]
    d.gets("ok", "live", "l", "t", "earliest")
    assert [d.record("l")[3] for _ in range(4)] == [
        f"line {i}" for i in range(4)]
    d.gets("! TIMEOUT", "recv", "r", 50)
    new = d.do("pub", "t", "published", 0, "live and well").split()[0]
    for name in "lr":
        assert d.record(name)[::3] == (int(new), "live and well")
    d.gets("ok", "close", "l")
    d.gets("ok", "close", "r")


def levels(w, d):
    """While shmqd stands still, what is published can be read as published,
    and not as durable."""
    d.gets("ok", "create", "d", 2)
    first = d.do("pub", "d", "durable", 0, "one")
    assert first.split()[1] == "3", first
    d.gets("ok", "open", "p", "d", "now", 1, "published", "earliest")
    d.gets("ok", "open", "s", "d", "safe", 1, "durable", "earliest")
    d.gets("ok", "open", "o", "d", "by-default", 1, "default", "earliest")
    d.gets("ok", "open", "q", "d", "-", 0, "durable", "earliest")
    for name in "psoq":
        assert d.record(name)[3] == "one"
    w.daemon.send_signal(signal.SIGSTOP)
    try:
        position, level = d.do("pub", "d", "published", 0, "two").split()
        assert level == "1", level
        assert d.record("p")[3] == "two"
        for name in "soq":
            d.gets("! TIMEOUT", "recv", name, 150)
        d.gets("! TIMEOUT_LEVEL", "pub", "d", "durable", 200, "three")
        d.gets("ok", "ack", "p", first.split()[0])
        d.gets("ok", "ack", "p", position)
    finally:
        w.daemon.send_signal(signal.SIGCONT)
    for name in "soq":
        assert d.record(name)[3] == "two"
        assert d.record(name)[3] == "three"
    floor = int(d.do("commit", "s", int(position) + 1, "durable"))
    assert floor > int(position)
    for name in "psoq":
        d.gets("ok", "close", name)
    return floor


def in_a_world(curve):
    for client in CLIENTS:
        if curve and client == "asyncio":
            continue  # the sockets are those of the blocking one
        with world(curve) as w, Driver(client, *w.far) as d:
            d.gets("ok", "connect")
            at = groups(d)
            exclusive(d, at)
            readers(d, at)
            if SHMQD:
                floor = levels(w, d)
                # What was committed as durable outlives everything.
                w.daemon.kill()
                w.daemon.wait()
                w.daemon = start_shmqd(w)
                d.gets("ok", "open", "s", "d", "safe", 1, "durable", "earliest")
                assert d.record("s")[0] >= floor
                d.gets("ok", "close", "s")
            command(w)


def command(w):
    """The command on the same way."""
    def far(*args, data=None):
        return must(shmq(w.ns, *args, *w.flags, data=data))
    far("pub", "c", data=b"a\nb\nc\n")
    assert far("sub", "c", "--group", "k", "--from", "earliest",
               "--exit-when-empty") == b"a\nb\nc\n"
    assert b"c\n" in far("ls")
    for args in (("stat", "c", "--json"), ("groups", "c", "--json")):
        near = must(shmq(w.ns, *args))
        assert far(*args) == near, args
    if SHMQD:
        far("pub", "d", "--wait", "durable", data=b"by the command\n")
        tail = far("sub", "d", "--from", "earliest", "--exit-when-empty")
        assert tail.endswith(b"by the command\n"), tail


def test_without_keys():
    in_a_world(False)


def test_with_keys():
    in_a_world(True)


def test_wrong_keys():
    with world(True) as w:
        k = w.keys
        w.shmq("create", "t")
        wrong = {
            "a key nobody knows": [k.server[0], k.stranger[1]],
            "a wrong server key": [k.bob[0], k.alice[1]],
            "no key": [],
        }
        for client in CLIENTS:
            for what, keys in wrong.items():
                with Driver(client, w.bridge.router, *keys) as d:
                    got = d.do("connect")
                    assert got.startswith("! "), (client, what, got)
                    print(f"  {client}, {what}: {got[2:]}")
            # Let in, and allowed nothing.
            with Driver(client, w.bridge.router, k.server[0], k.bob[1]) as d:
                d.gets("ok", "connect")
                d.gets("! FORBIDDEN", "open", "x", "t", "g", 1, "default",
                       "earliest")
                d.gets("! FORBIDDEN", "pub", "t", "published", 0, "x")
                d.gets("! FORBIDDEN", "create", "n", 0)
        for flags in (["--server-key", k.server[0]],
                      ["--server-key", k.bob[0], "--key-file",
                       f"{w.dir.name}/alice.key"]):
            begin = time.monotonic()
            done = shmq(w.ns, "ls", "--remote", w.bridge.router, *flags)
            assert done.returncode in (6, 9) and done.stderr, \
                (flags, done.returncode, done.stderr)
            assert time.monotonic() - begin < PATIENCE
            print(f"  shmq {' '.join(flags[:1])}: {done.returncode}, "
                  f"{done.stderr.decode().strip()}")
        done = shmq(w.ns, "sub", "t", "--remote", w.bridge.router,
                    "--server-key", k.server[0], "--key-file",
                    f"{w.dir.name}/bob.key", "--exit-when-empty")
        assert done.returncode == 6, (done.returncode, done.stderr)


if __name__ == "__main__":
    run_all(globals())
    print(f"{checks} answers as expected")
