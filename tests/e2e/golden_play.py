"""Plays sessions of the wire protocol against a bridge of its own: recorded ones
(replay), or the recorder's (golden_record.py)."""
import json
import os
import signal

from bridge_peer import *
from golden_support import match, namespace_of, fill, Mismatch, NAMESPACE_BYTES

PATIENCE_MS = 60000
SIGNALS = {"TERM": signal.SIGTERM, "HUP": signal.SIGHUP}


class Stage(World):
    """The bridge, shmqd when it is needed, and the peers, by name. All names
    that are seen on the wire have the same length in each run."""

    def __init__(self, with_shmqd=False):
        super().__init__(start=False)
        self.ns = namespace_of(os.getpid() * 100 + World.count)
        self.sockets = {}
        if with_shmqd:
            self.start_shmqd()
        home = os.getcwd()
        os.chdir(self.dir.name)  # ipc://router: no path of this run
        try:
            self.bridge = Bridge(self.ns, self.dir.name,
                                 "--router", "ipc://router", "--pub",
                                 "ipc://pub", "--pull", "ipc://pull")
        finally:
            os.chdir(home)

    def start_shmqd(self):
        path = f"{self.dir.name}/shmqd.log"
        log = open(path, "ab")
        daemon = subprocess.Popen(
            [f"{BIN}/shmqd", "--namespace", self.ns, "--data-dir",
             f"{self.dir.name}/data", "--io", "pwritev2"], stderr=log)
        self.children.append(daemon)
        until(lambda: b" serves " in open(path, "rb").read(), what="shmqd")

    def socket(self, who):
        if who not in self.sockets:
            kind = {"sub": zmq.SUB, "push": zmq.PUSH}.get(who, zmq.DEALER)
            port = {"sub": "pub", "push": "pull"}.get(who, "router")
            s = self.sockets[who] = self.context.socket(kind)
            s.setsockopt(zmq.LINGER, 1000)
            if who == "sub":
                for prefix in (b"\0W", b"t\0", b"\0HBt\0"):
                    s.setsockopt(zmq.SUBSCRIBE, prefix)
            s.connect(f"ipc://{self.dir.name}/{port}")
        return self.sockets[who]

    def act(self, command):
        """What happens on the bridge's host."""
        if command in SIGNALS:
            self.bridge.process.send_signal(SIGNALS[command])
            return
        words, _, given = command.partition(" < ")
        self.shmq(*words.split(),
                  data=json.loads(given).encode() if given else None)

    def send(self, who, parts):
        self.socket(who).send_multipart(parts)

    def receive(self, who):
        s = self.socket(who)
        return s.recv_multipart() if s.poll(PATIENCE_MS) else None


def receive_as(stage, step, known):
    """The recorded message. Heartbeats of the feed come when they come."""
    while True:
        got = stage.receive(step.who)
        if got is None:
            raise Mismatch("nothing comes")
        beats = step.who == "sub" and got[0].startswith(b"\0HB")
        if beats and "heartbeat=1" not in step.rest:
            continue
        try:
            match(step.parts, got, known)
            return
        except Mismatch:
            if not beats:
                raise


def replay(steps, with_shmqd):
    """Plays a session; Mismatch at the first byte that is another one."""
    with Stage(with_shmqd) as stage:
        known = {"namespace": stage.ns.encode()}
        for step in steps:
            try:
                if step.kind == "!":
                    stage.act(step.rest)
                elif step.kind == ">":
                    stage.send(step.who, fill(
                        step.parts, lambda name, size: known[name]))
                else:
                    receive_as(stage, step, known)
            except Mismatch as e:
                raise Mismatch(f"line {step.line}: {e}") from None
