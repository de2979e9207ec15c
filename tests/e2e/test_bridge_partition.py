#!/usr/bin/env python3
"""shmq-bridge behind a network that is cut and heals, with network namespaces:
no acknowledged record is lost, none comes twice but as a counted redelivery,
work goes on. Cuts of 5 s; --full: 60 s as well, and within two heartbeats (on a
machine that does nothing else).
Needs the right to make network namespaces (else skipped).
"""
import os
import struct
import subprocess
import sys
import threading
import time

from bridge_peer import *

CUTS = (5, 60) if FULL else (5,)
HEARTBEAT_S = 1.0
GOES_ON_S = 2 * HEARTBEAT_S if FULL else PATIENCE
HERE, THERE = "10.213.77.1", "10.213.77.2"


def ip(*args):
    return subprocess.run(["ip", *args], capture_output=True, check=False)


class Wire:
    """A pair of interfaces, the far one in a namespace of its own."""

    def __init__(self):
        self.name = f"shmqbr{os.getpid() % 100000}"
        self.here, self.there = f"vh{os.getpid() % 100000}", \
            f"vt{os.getpid() % 100000}"
        steps = (("netns", "add", self.name),
                 ("link", "add", self.here, "type", "veth", "peer", "name",
                  self.there, "netns", self.name),
                 ("addr", "add", HERE + "/24", "dev", self.here),
                 ("-n", self.name, "addr", "add", THERE + "/24", "dev",
                  self.there),
                 ("link", "set", self.here, "up"),
                 ("-n", self.name, "link", "set", self.there, "up"))
        for step in steps:
            try:
                done = ip(*step)
            except FileNotFoundError:
                print("no ip command (iproute2): skipped")
                sys.exit(77)
            if done.returncode:
                self.close()
                print(f"no network namespaces here: {done.stderr}: skipped")
                sys.exit(77)

    def cut(self):
        # Packets vanish; no end is told.
        subprocess.run(["ip", "-n", self.name, "link", "set", self.there,
                        "down"], check=True)

    def heal(self):
        subprocess.run(["ip", "-n", self.name, "link", "set", self.there,
                        "up"], check=True)

    def close(self):
        ip("netns", "del", self.name)


def remote(endpoint, keys, out_path, stop_path):
    """The far side: publishes numbers with a producer id and consumes them in
    a group, reconnecting as docs/wire.md says; writes what happened."""
    context = zmq.Context()
    out = open(out_path, "w")
    seq, settled, since = 0, 0, 0
    last_id = (0, 0)
    last_progress = time.monotonic()
    patience = 1.0

    def note(*what):
        out.write(" ".join(map(str, what)) + "\n")
        out.flush()
    while not os.path.exists(stop_path):
        p = Peer(context, endpoint, keys=keys)
        try:
            m = p.hello(session=last_id, lease_ms=3000, timeout=patience)
            if m.command != WELCOME:
                p.close()
                time.sleep(0.05)
                continue
            last_id = p.session
            s = p.attach("t", "g", prefetch=64, timeout=patience)
            if not isinstance(s, Stream):
                p.close()
                continue
            patience = 1.0
        except AssertionError:
            patience *= 1.5  # on a slow machine all takes longer
            p.close()
            continue
        heard = time.monotonic()
        corr = None
        while not os.path.exists(stop_path):
            if corr is None:
                corr = p.publish("t", [b"%d" % seq], 4711, seq, settled=settled,
                                 since=since)
            m = p.receive(0.1)
            if m is None:
                if time.monotonic() - heard > 3 * HEARTBEAT_S:
                    break
                p.send(PING, bytes(8), corr=0)
                continue
            heard = time.monotonic()
            if m.status == "UNKNOWN_SESSION":
                break
            if m.command == PUBACK and m.corr == corr:
                assert m.status == "OK", m.status
                a = Puback(m)
                note("acked", seq, a.base, int(a.dup),
                     f"{heard - last_progress:.3f}")
                last_progress = heard
                seq += 1
                settled, since, corr = seq, a.base, None
                time.sleep(0.005)
            elif m.command == DELIVER:
                got = m.records()
                s.credit(len(m.payload), len(got))
                for position, payload, attempt, redelivered, *_ in got:
                    note("got", payload.decode(), position, int(redelivered))
                p.send(ACK, struct.pack("<Q", s.generation),
                       ranges(*[(r[0], r[0] + 1) for r in got]), corr=0,
                       stream=s.id)
        p.close()
    context.destroy(0)


def test_cut_and_healed():
    wire = Wire()
    try:
        with World(start=False) as w:
            made = subprocess.run([f"{BIN}/shmq", "keygen",
                                   f"{w.dir.name}/server"], check=False)
            subprocess.run([f"{BIN}/shmq", "keygen", f"{w.dir.name}/far"],
                           check=True)
            assert made.returncode == 0

            def key(name):
                with open(f"{w.dir.name}/{name}") as f:
                    return f.read().strip()
            with open(f"{w.dir.name}/access", "w") as f:
                f.write(f"key {key('far.pub')} far\n"
                        "allow far publish,consume *\n")
            endpoint = f"tcp://{HERE}:5993"
            w.bridge = Bridge(w.ns, w.dir.name, "--router", endpoint,
                              "--server-key-file", f"{w.dir.name}/server",
                              "--access", f"{w.dir.name}/access",
                              "--heartbeat", f"{HEARTBEAT_S}s")
            w.shmq("create", "t", "--capacity", "65536", "--arena", "8M")
            w.shmq("group", "create", "t", "g")
            w.shmq("group", "create", "t", "witness")
            stop, out = f"{w.dir.name}/stop", f"{w.dir.name}/out"
            far = subprocess.Popen(
                ["ip", "netns", "exec", wire.name, sys.executable,
                 os.path.abspath(__file__), "--remote", endpoint,
                 key("far.pub"), key("far"), key("server.pub"), out, stop])
            w.children.append(far)

            def acked():
                if not os.path.exists(out):
                    return 0
                with open(out) as f:
                    return sum(l.startswith("acked") for l in f)
            until(lambda: acked() > 50, what="work before the cut")
            for seconds in CUTS:
                wire.cut()
                time.sleep(0.2)
                before = acked()
                time.sleep(seconds)
                assert acked() <= before + 1, "the cut does not cut"
                wire.heal()
                begin = time.monotonic()
                until(lambda: acked() > before + 1, what="work after the cut")
                took = time.monotonic() - begin
                print(f"  cut {seconds} s: goes on after {took:.2f} s")
                # TCP itself may wait for a while before it tries again; a
                # client that opens a new connection need not.
                assert took <= GOES_ON_S, took
                goal = acked() + 50
                until(lambda: acked() > goal, what="more work after the cut")
            with open(stop, "w"):
                pass
            assert far.wait(PATIENCE) == 0
            lines = [l.split() for l in open(out)]
            sent = [int(l[1]) for l in lines if l[0] == "acked"]
            got = [(int(l[1]), int(l[3])) for l in lines if l[0] == "got"]
            assert sent == list(range(len(sent)))
            # In the topic: each acknowledged one once.
            witness = [int(x) for x in w.shmq(
                "sub", "t", "--group", "witness", "--exit-when-empty").split()]
            assert witness[:len(sent)] == sent and len(witness) <= len(sent) + 1
            assert len(set(witness)) == len(witness)
            # To the group: all, by the far side or still to come; what came
            # again says so.
            rest = w.shmq("sub", "t", "--group", "g", "--exit-when-empty")
            everything = {n for n, _ in got} | {int(x) for x in rest.split()}
            assert everything == set(witness), (len(everything), len(witness))
            seen = set()
            again = 0
            for number, redelivered in got:
                if number in seen:
                    assert redelivered, number
                    again += 1
                seen.add(number)
            print(f"  {len(sent)} acknowledged, {again} came again, flagged")
    finally:
        wire.close()


if __name__ == "__main__":
    if "--remote" in sys.argv:
        at = sys.argv.index("--remote")
        remote_end, public, secret, server, out_, stop_ = sys.argv[at + 1:at + 7]
        remote(remote_end, (public, secret, server), out_, stop_)
    else:
        run_all(globals())
