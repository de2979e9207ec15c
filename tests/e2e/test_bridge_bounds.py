#!/usr/bin/env python3
"""shmq-bridge: what one client can make it keep and whom it can hold up, whatever
it does with streams, sessions and answers; and what becomes of a record whose
workers die of it."""
import resource
import time

from bridge_disk import *
from bridge_peer import *

CREATE_SMALL = bytes(16) + struct.pack("<QQ", 0, 64 << 10) + bytes(40)


def resident(w):
    """Memory of the bridge's own, in MiB."""
    with open(f"/proc/{w.bridge.process.pid}/statm") as f:
        _, pages, shared = (int(x) for x in f.read().split()[:3])
    return (pages - shared) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def is_sanitized(w):
    """Sanitizers keep what is freed, so memory says nothing."""
    with open(f"/proc/{w.bridge.process.pid}/maps") as f:
        return "san.so" in f.read()


def deaf(w):
    """A peer whose connection takes as little as possible while it does not
    read."""
    p = Peer.__new__(Peer)
    p.socket = w.context.socket(zmq.DEALER)
    p.socket.linger, p.socket.sndhwm, p.socket.rcvhwm = 0, 0, 1
    p.socket.setsockopt(zmq.RCVBUF, 4096)
    p.socket.connect(w.bridge.router)
    p.corr, p.backlog, p.session = 0, [], (0, 0)
    w.peers.append(p)
    return p


def endpoints(p, topic):
    m = p.ask(DESCRIBE, struct.pack("<II", 2, 0), tlv(TOPIC, topic))
    count = 0
    while m.flags & MORE:
        count += sum(kind == ENDPOINT_STAT for kind, _ in m.tlvs)
        m = p.take(lambda n: n.corr == m.corr)
    return count


def most(w, seconds):
    end, high = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        high = max(high, resident(w))
        time.sleep(0.02)
    return high


# -- memory --------------------------------------------------------------------

def test_what_a_client_does_not_read_is_bounded_over_all_its_streams():
    streams = 24
    with World("--lease", "120s") as w:
        if is_sanitized(w):
            print("  built with sanitizers, which take more than the bound")
            return
        w.shmq("create", "t", "--arena", "64M", "--capacity", "64",
               "--max-message", "4000000")
        q = w.peer()
        w.shmq("pub", "t", data=b"x" * 3900000 + b"\n")
        before = resident(w)
        p = deaf(w)
        # Sessions one after another on one connection, each with streams of one
        # byte of credit: a record of 3.9 MB goes beyond it.
        for _ in range(2):
            p.send(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0, 0))
            for _ in range(streams):
                p.send(ATTACH, struct.pack(
                    "<IBBBBQQQIIQQII", 0, 0, 0, 1, 0, 0, NONE, 0, 0, 0, 1, 1, 0,
                    0), tlv(TOPIC, "t"))
            until(lambda: endpoints(q, "t") == streams)
            grown = most(w, 0.5) - before
            # 8 MiB and one message; three in memory are made ready and kept
            # besides. Without the bound each session had 90 MiB.
            assert grown < 40, grown
        # Nothing of it is lost: the client reads, and each stream goes on.
        got = set()
        while len(got) < streams:
            m = p.receive()
            assert m is not None, got
            if m.command == WELCOME:
                got = set()
            if m.command == DELIVER and m.stream not in got:
                assert len(m.records()[0][1]) == 3900000
                got.add(m.stream)
        # (Streams of the first session may have been read among them.)
        assert q.ask(PING, bytes(8)).command == PONG


def test_answers_that_nobody_reads_end_the_session():
    with World("--lease", "120s") as w:
        if is_sanitized(w):
            print("  built with sanitizers, which take more than the bound")
            return
        q = w.peer()
        for i in range(150):
            m = q.ask(CREATE, CREATE_SMALL, tlv(TOPIC, f"t{i:0120d}"))
            assert m.status == "OK", m
        before = resident(w)
        p = deaf(w)
        asked = control(LIST, bytes(8), corr=7)
        for _ in range(2):
            ended = w.bridge.read_log().count(b"does not read")
            p.send(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0, 0))
            for _ in range(4000):  # 72 MiB of answers
                p.socket.send(asked)
            until(lambda: w.bridge.read_log().count(b"does not read") > ended)
            grown = most(w, 0.3) - before
            assert grown < 40, grown
        assert q.ask(LIST, bytes(8)).command == LIST


# -- streams -------------------------------------------------------------------

def test_too_much_credit_makes_no_group():
    with World() as w:
        w.shmq("create", "t")
        p = w.peer()
        for more in ({"credit": p.max_credit + 1}, {"credit": NONE},
                     {"records": p.max_records + 1}, {"records": NONE}):
            assert p.attach("t", "ghost", **more).status == "CREDIT_EXCEEDED"
        assert b"ghost" not in w.shmq("groups", "t")
        assert isinstance(p.attach("t", "g", credit=p.max_credit), Stream)
        assert p.attach("t", "ghost", credit=1).status == "CREDIT_EXCEEDED"
        assert b"ghost" not in w.shmq("groups", "t")


def without_descriptors(w):
    """Takes all descriptors that are left from the bridge; returns what gives
    them back."""
    pid = w.bridge.process.pid
    used = {int(x) for x in os.listdir(f"/proc/{pid}/fd")}
    least = next(i for i in range(len(used) + 1) if i not in used)
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (least, old[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, old)


def test_a_seek_that_fails_ends_the_stream():
    with Disk() as w:
        p = w.peer()
        assert p.ask(CREATE, CREATE_DISK, tlv(TOPIC, "d")).status == "OK"
        for i in range(3):
            assert p.puback(p.publish("d", [b"%d" % i])).status == "OK"
        s = p.attach("d", "g", kind=2)
        assert len(s.collect(3)) == 3
        give_back = without_descriptors(w)
        m = s.ask(SEEK, struct.pack("<B7xQ", 4, 0))
        give_back()
        assert m.command == ERROR and m.status != "OK", m
        m = s.next()
        assert m.command == REVOKE and m.status != "OK", m
        # The role is free, and everything comes again.
        s = p.attach("d", "g", kind=2)
        assert [r[1] for r in s.collect(3)] == [b"0", b"1", b"2"]


def test_a_look_that_fails_refuses_nothing_for_good():
    with Disk() as w:
        p = w.peer()
        assert p.ask(CREATE, CREATE_DISK, tlv(TOPIC, "d")).status == "OK"

        def publish(producer, **more):
            return p.puback(p.publish("d", [b"once"], producer=producer, **more))
        first = publish(77)
        assert first.status == "OK"
        w.bridge.restart()
        p = w.peer()
        assert publish(5, since=first.end).status == "OK"
        give_back = without_descriptors(w)
        again = publish(77)
        give_back()
        assert again.status == "OVERLOADED", again.status
        again = publish(77)
        assert (again.status, again.dup, again.base) == ("OK", True, first.base)


# -- others --------------------------------------------------------------------

def test_who_is_looked_for_holds_nobody_else_up():
    with World() as w:
        w.shmq("create", "t", "--capacity", "65536", "--arena", "256M")
        for _ in range(64):
            p = w.peer()
            assert p.puback(p.publish("t", [b"x"] * 4096)).status == "OK"
        overtaken = 0
        for i in range(5):
            w.bridge.restart()
            p = w.peer()
            slow = p.publish("t", [b"new"], producer=100 + i)
            more = p.publish("t", [b"next"], producer=100 + i, sequence=1)
            quick = p.publish("t", [b"other"])
            order = []
            while len(order) < 3:
                m = p.receive()
                assert m.command == PUBACK and m.status == "OK", m
                order.append(m.corr)
            assert order.index(slow) < order.index(more)
            overtaken += order[0] == quick
            if overtaken:
                break
        assert overtaken


def test_what_is_known_is_not_looked_for_again():
    with World() as w:
        w.shmq("create", "t", "--capacity", "1024", "--arena", "64M",
               "--on-full", "drop-old")
        p = w.peer()
        for _ in range(1100):
            corrs = [p.publish("t", [b"x"] * 64) for _ in range(1)]
            assert all(p.puback(c).status == "OK" for c in corrs)
        ratio = []
        for i in range(3):
            w.bridge.restart()
            p = w.peer()
            begin = time.monotonic()
            assert p.puback(p.publish("t", [b"new"],
                                      producer=1)).status == "HISTORY_GONE"
            first = time.monotonic() - begin
            begin = time.monotonic()
            corrs = [p.publish("t", [b"new"], producer=2 + i)
                     for i in range(100)]
            assert {p.puback(c).status for c in corrs} == {"HISTORY_GONE"}
            ratio.append((time.monotonic() - begin) / first)
            if ratio[-1] < 20:
                break
        # A hundred looks would take a hundred times as long as one.
        assert min(ratio) < 20, ratio


# -- poison --------------------------------------------------------------------

def worker(w, **more):
    context = zmq.Context()
    p = Peer(context, w.bridge.router)
    m = p.hello(**more)
    assert m.command == WELCOME, m
    m = p.ask(ATTACH, struct.pack(
        "<IBBBBQQQIIQQII", 0, 1, 0, 1, 0, 0, NONE, 0, 2, 1024, 1 << 20, 4096,
        0, 0), tlv(TOPIC, "t") + tlv(GROUP, "g") + tlv(DEAD_LETTER, "dead"))
    return context, p, Stream(p, m, 1 << 20, 4096)


def send_until(w, q, done):
    """Publishes: the bridge finds out whom it cannot send to."""
    def once():
        assert q.puback(q.publish("t", [b"more"])).status == "OK"
        time.sleep(0.05)
        return done()
    until(once)


def test_a_record_that_kills_its_workers_is_a_dead_letter():
    with World("--heartbeat", "1s", "--lease", "120s") as w:
        w.shmq("create", "t")
        q = w.peer()
        assert q.puback(q.publish("t", [b"poison"])).status == "OK"
        for attempt in range(2):
            context, _, s = worker(w)
            got = s.collect(1)[0]
            assert got[1:4] == (b"poison", attempt, attempt > 0), got
            context.destroy(0)  # it dies of it
            ended = w.bridge.read_log().count(b"connection has ended")
            send_until(w, q, lambda: w.bridge.read_log().count(
                b"connection has ended") > ended)
        # Whatever else both had is with it (they had all of it); new work is done.
        assert q.puback(q.publish("t", [b"work"])).status == "OK"
        context, _, s = worker(w)
        seen = []
        while b"work" not in seen:
            got = s.collect(1)
            seen += [r[1] for r in got]
            s.ack(*[(r[0], r[0] + 1) for r in got])
        assert b"poison" not in seen
        lines = w.shmq("sub", "dead", "--from", "earliest", "--exit-when-empty")
        assert lines.split()[0] == b"poison", lines
        context.destroy(0)


def test_a_connection_that_breaks_counts_no_attempt():
    # Waited for: two heartbeats, far longer than the test takes.
    with World("--heartbeat", "20s", "--lease", "120s") as w:
        w.shmq("create", "t")
        q = w.peer()
        assert q.puback(q.publish("t", [b"work"])).status == "OK"
        for _ in range(3):
            context, p, s = worker(w)
            first = s.collect(1)[0]
            assert first[1:3] == (b"work", 0), first
            context.destroy(0)
            for _ in range(5):  # the bridge sends to it, and sees
                assert q.puback(q.publish("t", [b"more"])).status == "OK"
                time.sleep(0.05)
            assert b"connection has ended" not in w.bridge.read_log()
            # It comes again, by its name; then leaves as it should.
            context, p, s = worker(w, session=p.session)
            got = s.collect(1)[0]
            assert got[0] == first[0] and got[1:4] == (b"work", 0, True), got
            assert p.ask(BYE, bytes(8)).command == BYE
            context.destroy(0)


# -- what is told --------------------------------------------------------------

def test_each_client_is_told_a_feed_that_it_can_reach():
    with World(start=False) as w:
        second = f"ipc://{w.dir.name}/second"
        w.bridge = Bridge(w.ns, w.dir.name, "--router",
                          f"tcp://127.0.0.1:*,{second}", "--pub",
                          f"tcp://127.0.0.1:*,ipc://{w.dir.name}/feed")
        line = next(x for x in w.bridge.read_log().decode().splitlines()
                    if "reliable" in x)
        port = line.split("endpoint=")[1].split(",")[0]
        for router, want in ((port, b"tcp://127.0.0.1:"),
                             (second, b"ipc://")):
            p = Peer(w.context, router)
            w.peers.append(p)
            feed = p.hello().tlv(FEED)
            assert feed.startswith(want), (router, feed)


if __name__ == "__main__":
    run_all(globals())
