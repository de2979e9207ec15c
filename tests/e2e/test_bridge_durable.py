#!/usr/bin/env python3
"""shmq-bridge with shmqd: levels of publishing, commits, reading history, exactly
once across restarts, and a stopped bridge that holds up no durable topic."""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time

from bridge_peer import *

if not os.access(f"{BIN}/shmqd", os.X_OK):
    print("no shmqd: skipped")
    sys.exit(77)
PACE = os.path.join(os.environ["SHMQ_TEST_BIN_DIR"], "e2e_bridge_pace")


class Disk(World):
    def __init__(self, *options):
        super().__init__(start=False)
        self.options = options
        self.start_daemon()
        self.bridge = Bridge(self.ns, self.dir.name, *options)

    def start_daemon(self):
        self.daemon_log = open(f"{self.dir.name}/shmqd.log", "ab")
        self.daemon = subprocess.Popen(
            [f"{BIN}/shmqd", "--namespace", self.ns, "--data-dir",
             f"{self.dir.name}/data", "--io", "pwritev2"],
            stderr=self.daemon_log)
        self.children.append(self.daemon)

        def serves():
            assert self.daemon.poll() is None, \
                open(f"{self.dir.name}/shmqd.log").read()
            return b" serves " in open(f"{self.dir.name}/shmqd.log",
                                       "rb").read()
        until(serves, what="shmqd")

    def __exit__(self, *args):
        if args[0] is not None:
            print(open(f"{self.dir.name}/shmqd.log").read()[-2000:])
        super().__exit__(*args)


def test_levels_are_reached():
    with Disk() as w:
        p = w.peer()
        body = bytearray(72)
        body[8:12] = struct.pack("<I", 2)  # disk
        assert p.ask(CREATE, bytes(body), tlv(TOPIC, "d")).status == "OK"
        for level, reached in ((1, 1), (2, 2), (3, 3), (0, 3)):
            a = p.puback(p.publish("d", [b"%d" % level], level=level))
            assert a.status == "OK" and a.level >= reached, (level, vars(a))
        s = p.attach("d", "g")
        got = s.collect(4)
        assert [r[1] for r in got] == [b"1", b"2", b"3", b"0"]
        m = s.ask(COMMIT, struct.pack("<QB3xI", got[2][0] + 1, 3, 5000))
        assert m.status == "OK" and m.unpack("QB")[1] == 3, m
        m = p.ask(DESCRIBE, bytes(8), tlv(TOPIC, "d"))
        published, written, durable = struct.unpack_from("<3Q", m.fixed, 80)
        assert durable == published and written >= durable
        # Without shmqd: in the ring, but no further in time.
        w.daemon.kill()
        w.daemon.wait()
        a = p.puback(p.publish("d", [b"4"], 7, 0, level=3, timeout_ms=300))
        assert a.status == "TIMEOUT_LEVEL" and a.level == 1 and a.end, vars(a)
        m = s.ask(COMMIT, struct.pack("<QB3xI", got[3][0] + 1, 3, 300))
        assert m.status in ("TIMEOUT_LEVEL", "NO_DAEMON"), m
        w.start_daemon()
        a = p.puback(p.publish("d", [b"4"], 7, 0, level=3))
        assert a.status == "OK" and a.dup and a.level == 3, vars(a)
        assert [r[1] for r in s.collect(1)] == [b"4"]


def test_once_across_restarts_of_all():
    with Disk() as w:
        w.shmq("create", "d", "--durability", "disk", "--capacity", "64")
        want = []
        since = 0
        rng = random.Random(3)
        p = w.peer()
        for i in range(120):
            line = b"%d" % i
            want.append(line)
            corr = p.publish("d", [line], 99, i, settled=i, since=since,
                             level=3)
            how = rng.randrange(12)
            if how == 0:
                w.bridge.restart()  # perhaps before, perhaps after
            elif how == 1:
                p.puback(corr)  # the answer got lost
                w.bridge.restart()
            elif how == 2:
                w.daemon.kill()
                w.daemon.wait()
                w.start_daemon()
            if how < 2:
                p.close()
                p = w.peer()
                corr = p.publish("d", [line], 99, i, settled=i, since=since,
                                 level=3)
            a = p.puback(corr)
            assert a is not None and a.status == "OK", (i, a and vars(a))
            since = a.base
        got = w.shmq("sub", "d", "--group", "w", "--from", "earliest",
                     "--exit-when-empty").split()
        assert got == want, (len(got), len(want))
        # From the log: the ring is long over it.
        s = w.peer().attach("d", start=1, until=since + 1)
        records = []
        while (m := s.next()).command == DELIVER:
            records += [r[1] for r in m.records()]
        assert m.command == END and records == want


def test_a_stopped_bridge_holds_up_no_durable_topic():
    with Disk() as w:
        w.shmq("create", "d", "--durability", "disk", "--capacity", "256")
        p = w.peer()
        p.attach("d", "g", credit=2000, records=10)
        p.attach("d", credit=2000, records=10)
        s = w.sub(b"d\0")
        env = dict(os.environ, SHMQ_NAMESPACE=w.ns)
        rng = random.Random(11)
        for _ in range(4):
            pace = subprocess.Popen([PACE, "d", "200", "2000", "0.7"], env=env,
                                    stdout=subprocess.PIPE)
            time.sleep(rng.random() * 0.3)
            p.publish("d", [b"x"] * 10, corr=0)
            w.bridge.process.send_signal(signal.SIGSTOP)
            out = pace.communicate(timeout=3 * PATIENCE)[0]
            assert pace.returncode == 0
            # Five times the ring went through while the bridge stood; who had
            # to wait for it would wait for ever.
            p50, p99, worst, count, _ = map(int, out.split())
            assert count == 1400 and worst < PATIENCE * 1e9, out
            w.bridge.process.send_signal(signal.SIGCONT)
            assert p.ask(PING, bytes(8)).command in (PONG, ERROR)
        assert s


if __name__ == "__main__":
    run_all(globals())
