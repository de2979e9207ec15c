#!/usr/bin/env python3
"""shmq-bridge and peers that make use of every gap: names that are not theirs,
rights by a side door, places and time that belong to others, memory that nobody
can take from ZeroMQ. Each case was found by trying it, and did harm then."""
import os
import signal
import socket
import struct
import sys
import time

from bridge_disk import *
from bridge_keys import *

def reload(w, *rules, **keys):
    before = w.bridge.read_log().count(b"access list read")
    w.keys.allow(*rules, **keys)
    w.bridge.process.send_signal(signal.SIGHUP)
    until(lambda: w.bridge.read_log().count(b"access list read") > before)


def port_of(w):
    """Where the bridge's tcp endpoint for reliable clients is."""
    lines = w.bridge.read_log().decode().splitlines()
    line = [x for x in lines if "reliable" in x][-1]
    return int(line.split("endpoint=")[1].split(": ")[0].rsplit(":")[-1])


def total(w, topic):
    import json
    return json.loads(w.shmq("stat", topic, "--json"))["total"]["messages"]


# -- names ---------------------------------------------------------------------

def exactly(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        assert more, data
        data += more
    return data


def bare_frame(s):
    flags, size = exactly(s, 2)
    if flags & 2:
        size = int.from_bytes(bytes([size]) + exactly(s, 7), "big")
    return exactly(s, size)


def bare_null(port, properties):
    """A connection by ZMTP 3 without ZeroMQ, with properties of its own."""
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(PATIENCE)
    s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") +
              b"\0" + bytes(31))
    exactly(s, 64)
    body = b"\x05READY"
    for name, value in ((b"Socket-Type", b"DEALER"), *properties):
        body += bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    s.sendall(b"\x04" + bytes([len(body)]) + body)
    bare_frame(s)
    return s


def test_a_peer_cannot_name_itself_a_user():
    import tempfile
    with tempfile.NamedTemporaryFile("w") as access:
        access.write("key rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7 alice\n"
                     "allow alice publish,consume,admin secret\n")
        access.flush()
        with World("--access", access.name, "--router",
                   "tcp://127.0.0.1:*") as w:
            w.shmq("create", "secret")
            frames = (control(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0,
                                                 0), corr=1),
                      control(DESCRIBE, bytes(8), tlv(TOPIC, "secret"), 0, 2))
            s = bare_null(port_of(w), ((b"User-Id", b"alice"),))
            for f in frames:
                s.sendall(bytes([0, len(f)]) + f)
            answers = [bare_frame(s) for _ in frames]
            status = [STATUS[struct.unpack_from("<H", a, 6)[0]]
                      for a in answers]
            assert status == ["OK", "FORBIDDEN"], status
            s.close()


def test_a_key_that_is_removed_does_nothing_more():
    rules = ("alice publish,consume t", "* publish t")
    with secured(rules=rules) as w:
        w.shmq("create", "t")
        push = w.context.socket(zmq.PUSH)
        push.linger = 0
        push.curve_publickey, push.curve_secretkey = (
            x.encode() for x in w.keys.alice)
        push.curve_serverkey = w.keys.server[0].encode()
        push.connect(w.bridge.pull)
        push.send_multipart([b"t\0", b"before"])
        until(lambda: total(w, "t") == 1)
        p = w.peer(keys=w.keys.of(w.keys.alice))
        # The last key of all, too.
        reload(w, *rules, alice=False, bob=False)
        assert p.ask(PING, bytes(8)).status == "UNKNOWN_SESSION"
        assert p.hello().status == "UNAUTHENTICATED"
        push.send_multipart([b"t\0", b"after"])
        until(lambda: b"publishing to" in w.bridge.read_log())
        assert total(w, "t") == 1
        # Another key of his is no reason for this one to go on.
        with open(w.keys.access, "a") as f:
            f.write(f"key {w.keys.stranger[0]} alice\n")
        w.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: w.bridge.read_log().count(b"access list read") == 2)
        assert p.hello().status == "UNAUTHENTICATED"


def test_a_producer_id_is_its_users():
    with secured(rules=("alice publish,consume t",
                        "bob publish,consume t")) as w:
        w.shmq("create", "t")
        a = w.peer(keys=w.keys.of(w.keys.alice))
        b = w.peer(keys=w.keys.of(w.keys.bob))

        def publish(p, producer, sequence, payload, **more):
            return p.puback(p.publish("t", [payload], producer=producer,
                                      sequence=sequence, settled=sequence,
                                      since=0, **more))
        assert publish(a, 0xabc, 0, b"a0").status == "OK"
        m = b.attach("t", start=1).next()
        at = m.payload.find(struct.pack("<HH", 9, 24))
        seen = struct.unpack_from("<Q", m.payload, at + 4)[0]
        for forged in {0xabc, seen}:
            publish(b, forged, 1, b"bob's")
            publish(b, forged, 2, b"bob's", epoch=2)
        mine = publish(a, 0xabc, 1, b"a1")
        assert (mine.status, mine.dup) == ("OK", False), mine.status
        # After a restart, from what stands in the topic.
        w.bridge.restart()
        w.bridge.router = f"tcp://127.0.0.1:{port_of(w)}"
        a = w.peer(keys=w.keys.of(w.keys.alice))
        again = a.puback(a.publish("t", [b"a1"], producer=0xabc, sequence=1,
                                   settled=1, since=0))
        assert (again.status, again.dup) == ("OK", True), again.status


# -- rights --------------------------------------------------------------------

def test_dead_letters_take_the_rights_to_publish_them():
    with secured(rules=("bob publish,consume mine", "bob publish own",
                        "bob publish,admin made")) as w:
        for topic in ("mine", "payments", "own"):
            w.shmq("create", topic)
        p = w.peer(keys=w.keys.of(w.keys.bob))

        def attach(dead):
            return p.ask(ATTACH, struct.pack(
                "<IBBBBQQQIIQQII", 0, 1, 0, 1, 0, 0, NONE, 0, 2, 64, 1 << 20,
                100, 0, 0), tlv(TOPIC, "mine") + tlv(GROUP, "g" + dead) +
                tlv(DEAD_LETTER, dead)).status
        assert attach("payments") == "FORBIDDEN"
        assert attach("nowhere") == "FORBIDDEN"
        assert attach("own") == "OK"
        assert attach("made") == "OK"


def test_all_topics_are_for_those_who_may_have_system_topics():
    rules = ("alice consume *", "bob consume *", "bob consume @*")
    with secured(rules=rules) as w:
        w.shmq("create", "t")
        for prefix in (b"", b"\0", b"\0HB"):
            a = curve_sub(w, w.keys.alice, prefix)
            feed_next(a, b"\0W")
            until(lambda: w.bridge.read_log().count(b"alice") > 0)
            b = curve_sub(w, w.keys.bob, prefix)
            feed_next(b, b"\0W")
            fed(b, b"t")
            w.shmq("pub", "t", data=b"x\n")
            feed_next(b, b"t\0" if prefix == b"" else b"\0HBt\0")
            while a.poll(200):
                assert a.recv_multipart()[0].startswith(b"\0W")
            a.close(0)
            b.close(0)


# -- places --------------------------------------------------------------------

def test_refused_subscriptions_take_nobodys_place():
    with secured("--max-subscriptions", "8", rules=("alice consume t",)) as w:
        w.shmq("create", "t")
        b = curve_sub(w, w.keys.bob, *[b"n%d\0" % i for i in range(12)])
        feed_next(b, b"\0W")
        until(lambda: b"n11" in w.bridge.read_log())
        a = curve_sub(w, w.keys.alice)
        feed_next(a, b"\0W")
        a.setsockopt(zmq.SUBSCRIBE, b"t\0")
        a.setsockopt(zmq.SUBSCRIBE, b"\0HBt\0")
        feed_next(a, b"\0HBt\0")
        # Nor do ends of what was never begun take hers away.
        x = w.context.socket(zmq.XSUB)
        x.linger = 0
        x.curve_publickey, x.curve_secretkey = (
            k.encode() for k in w.keys.bob)
        x.curve_serverkey = w.keys.server[0].encode()
        x.connect(w.bridge.pub)
        for _ in range(4):
            x.send(b"\0t\0")
        x.send(b"\1last\0")
        until(lambda: b"last" in w.bridge.read_log())
        w.shmq("pub", "t", data=b"hello\n")
        feed_next(a, b"t\0")


def test_a_thousand_clients_find_a_place():
    with World("--max-user-sessions", "1024") as w:
        peers = [w.peer() for _ in range(150)]
        assert peers[0].max_credit == 8 << 20
        assert peers[-1].max_credit >= 64 << 10
    with secured(rules=("alice consume t", "bob consume t")) as w:
        hoard = [w.peer(keys=w.keys.of(w.keys.alice)) for _ in range(100)]
        assert hoard[-1].max_credit >= 64 << 10
        assert w.peer(keys=w.keys.of(w.keys.bob)).max_credit >= 4 << 20


def test_endpoints_are_bound_again_all_of_them():
    import tempfile
    with tempfile.NamedTemporaryFile("w") as access, World(start=False) as w:
        access.write("allow * publish,consume *\n")
        access.flush()
        second = f"ipc://{w.dir.name}/second"
        w.bridge = Bridge(w.ns, w.dir.name, "--access", access.name, "--pub",
                          f"tcp://127.0.0.1:*,{second}")
        with open(f"/proc/{w.bridge.process.pid}/net/tcp") as f:
            listening = [line.split()[1] for line in f
                         if line.split()[3] == "0A"]
        w.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: b"access list read" in w.bridge.read_log())
        w.sub(b"t\0", endpoint=second)

        def again():
            with open(f"/proc/{w.bridge.process.pid}/net/tcp") as f:
                now = [line.split()[1] for line in f
                       if line.split()[3] == "0A"]
            return set(listening) <= set(now)
        until(again, what="the first endpoint")


# -- time ----------------------------------------------------------------------

def test_ranges_are_counted_once_however_they_overlap():
    with World() as w:
        w.shmq("create", "t", "--arena", "16M", "--capacity", "4096")
        p = w.peer()
        held = 8 * 4096
        for _ in range(8):
            assert p.puback(p.publish("t", [b"x"] * 4096)).status == "OK"
        for kind in (1, 2):
            s = p.attach("t", f"g{kind}", kind=kind, start=1, prefetch=1024,
                         records=16384)
            got = s.collect(held)
            assert len(got) == held
            first, last = got[0][0], got[-1][0]
            # Each inside of the next, from the last to the first.
            odd = [(first + 1 + i % 7, last + 1) for i in range(4000)]
            done, stale = s.ack(*odd)
            assert (done, stale) == (held - 1, 0), (done, stale)
            done, stale = s.ack(*odd)
            assert (done, stale) == (0, 1), (done, stale)
            done, _, generation = s.nack(*[(0, NONE)] * 4000)
            assert done == 1
            s.generation = generation
            if kind == 2:
                s.delivery = 0
            assert p.ask(DETACH, struct.pack("<Q", s.generation),
                         stream=s.id).command == DETACH


def test_making_a_durable_topic_holds_nobody_up():
    with Disk() as w:
        p, q = w.peer(), w.peer()
        w.daemon.send_signal(signal.SIGSTOP)
        corrs = [p.send(CREATE, CREATE_DISK, tlv(TOPIC, f"d{i}"))
                 for i in range(3)]
        for _ in range(20):
            assert q.ask(PING, bytes(8)).command == PONG
        assert p.take(lambda m: m.corr in corrs, 0.1) is None
        w.daemon.send_signal(signal.SIGCONT)
        for corr in corrs:
            m = p.take(lambda m: m.corr == corr)
            assert m.status == "OK", m
        assert p.puback(p.publish("d2", [b"x"])).status == "OK"


def test_an_end_waits_for_what_is_read():
    with Disk() as w:
        p = w.peer()
        assert p.ask(CREATE, CREATE_DISK, tlv(TOPIC, "d")).status == "OK"
        for i in range(3):
            assert p.puback(p.publish("d", [b"%d" % i])).status == "OK"
        w.daemon.send_signal(signal.SIGSTOP)
        for i in range(3, 6):
            answer = p.puback(p.publish("d", [b"%d" % i], level=1))
            assert answer.status == "OK", answer.status
        s = Stream(p, p.ask(ATTACH, struct.pack(
            "<IBBBBQQQIIQQII", 0, 0, 0, 1, 3, 0, answer.end, 0, 0, 64, 1 << 20,
            100, 0, 0), tlv(TOPIC, "d")), 1 << 20, 100)
        got = [r[1] for r in s.collect(3)]
        assert got == [b"0", b"1", b"2"], got
        assert s.next(0.3) is None
        w.daemon.send_signal(signal.SIGCONT)
        got = [r[1] for r in s.collect(3)]
        assert got == [b"3", b"4", b"5"], got
        assert s.next().command == END


def test_a_commit_is_answered_whatever_becomes_of_its_stream():
    with Disk() as w:
        p = w.peer()
        assert p.ask(CREATE, CREATE_DISK, tlv(TOPIC, "d")).status == "OK"
        assert p.puback(p.publish("d", [b"x"])).status == "OK"
        s = p.attach("d", "g")
        got = s.collect(1)
        w.daemon.send_signal(signal.SIGSTOP)
        corr = p.send(COMMIT, struct.pack("<QQB3xI", s.generation,
                                          got[0][0] + 1, 3, 60000), stream=s.id)
        assert s.ask(DETACH).command == DETACH
        m = p.take(lambda m: m.corr == corr)
        assert m is not None and m.status == "UNKNOWN_STREAM", m


# -- once ----------------------------------------------------------------------

def test_a_producer_is_found_behind_thousands_of_others():
    with World() as w:
        w.shmq("create", "t", "--capacity", "16384", "--arena", "16M")
        p = w.peer(lease_ms=120000)

        def publish(peer, producer, since=0):
            return peer.puback(peer.publish("t", [b"once"], producer=producer,
                                            since=since))
        # Of another topic that had this name, by its numbers.
        assert publish(p, 77, since=1 << 30).status == "OK"
        others = 4100  # the table has room for 4096
        for at in range(0, others, 410):
            corrs = [p.publish("t", [b"o"], producer=1000 + at + i)
                     for i in range(410)]
            assert {p.puback(c).status for c in corrs} == {"OK"}
        w.bridge.restart()
        p = w.peer(lease_ms=120000)
        for producer, since in ((77, 0), (77, 1 << 30), (1000, 0),
                                (1000 + others - 1, 0)):
            again = publish(p, producer, since)
            assert (again.status, again.dup) == ("OK", True), \
                (producer, again.status, again.dup)
        new = publish(p, 5)
        assert (new.status, new.dup) == ("OK", False)


def test_what_an_ended_session_wanted_is_not_kept():
    with World() as w:
        w.shmq("create", "small", "--capacity", "2")
        w.shmq("group", "create", "small", "g")
        p = w.peer()
        corrs = [p.publish("small", [b"%d" % i], timeout_ms=60000)
                 for i in range(6)]
        assert [p.puback(c).status for c in corrs[:2]] == ["OK", "OK"]
        assert p.ask(PING, bytes(8)).command == PONG
        assert p.hello(session=p.session).command == WELCOME
        w.shmq("sub", "small", "--group", "g", "--count", "2")
        assert p.puback(p.publish("small", [b"new"])).status == "OK"
        lines = w.shmq("sub", "small", "--group", "g", "--exit-when-empty")
        assert lines.split() == [b"new"], lines


# -- memory --------------------------------------------------------------------

def flood(w, mib):
    """Sends what nobody takes: two connections of one routing id, of which ZeroMQ
    reads the first one only."""
    held = []
    for hwm in (1, 0):
        s = w.context.socket(zmq.DEALER)
        s.routing_id = b"the same"
        s.linger, s.sndhwm = 0, hwm
        s.connect(w.bridge.router)
        held.append(s)
        if hwm:
            s.send(control(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0, 0),
                           corr=1))
            assert s.poll(int(PATIENCE * 1000))
    blob = bytes(1 << 20)
    for _ in range(mib):
        held[1].send(blob)
    return held


def publish_until_taken(w, sequence):
    """As a client does it: again, by a new session, until it is answered."""
    end = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < end:
        p = w.peer(hello=False)
        try:
            if p.hello(timeout=1).command != WELCOME:
                continue
        except AssertionError:
            continue
        answer = p.puback(p.publish("t", [b"%d" % sequence], producer=9,
                                    sequence=sequence, since=0), 1)
        if answer and answer.status == "OK":
            return
    raise AssertionError("it was never taken")


def test_too_much_memory_is_given_back_and_others_go_on():
    with World() as w, open(f"/proc/{w.bridge.process.pid}/statm") as f:
        if int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") > 40 << 20:
            print("  built with sanitizers, which take more than the bound")
            return
    for bound, sheds in (("64M", True), ("2G", False)):
        with World("--max-memory", bound) as w:
            w.shmq("create", "t")
            publish_until_taken(w, 0)
            sockets = flood(w, 150)
            if sheds:
                until(lambda: b"is thrown away" in w.bridge.read_log())
                until(lambda: b"connections of the reliable" in
                      w.bridge.read_log())
                # The one that floods has to end, or it is thrown out again.
                for s in sockets:
                    s.close(0)
            # Local processes do not notice.
            w.shmq("pub", "t", data=b"local\n")
            publish_until_taken(w, 1)
            lines = w.shmq("sub", "t", "--from", "earliest",
                           "--exit-when-empty").split()
            assert lines == [b"0", b"local", b"1"], lines
            log = w.bridge.read_log()
            assert (b"is thrown away" in log) == sheds, log
            assert (b"connections of the" in log) == sheds, log


# -- watched -------------------------------------------------------------------

def test_the_service_manager_is_told_that_it_goes_on():
    with World(start=False) as w:
        path = f"{w.dir.name}/notify"
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(path)
        told.settimeout(PATIENCE)
        os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
        try:
            w.bridge = Bridge(w.ns, w.dir.name)
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        seen = b""
        while seen.count(b"WATCHDOG=1") < 3:
            seen += told.recv(4096)
        assert b"READY=1" in seen


if __name__ == "__main__":
    run_all(globals())
