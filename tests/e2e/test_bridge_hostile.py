#!/usr/bin/env python3
"""shmq-bridge and peers that mean it harm: garbage, half handshakes, thousands of
connections, forged numbers. It goes on serving others, gives nothing away, keeps
neither memory nor descriptors. Takes some seconds; --full: crowds of 10,000 (2,000
with wrong keys) and a million garbled messages.
"""
import os
import random
import resource
import signal
import socket as net
import struct
import sys
import threading
import time

from bridge_keys import *

CONNECTS = 10000 if FULL else 1500
GARBLED = 1_000_000 if FULL else 4_000
SEED = int(os.environ.get("SHMQ_SEED", "0")) or int(time.time())


def rss_kib(w):
    with open(f"/proc/{w.bridge.process.pid}/status") as f:
        return int(next(l for l in f if l.startswith("VmRSS")).split()[1])


def fd_cnt(w):
    return len(os.listdir(f"/proc/{w.bridge.process.pid}/fd"))


def tcp_world(*options):
    w = World("--router", "tcp://127.0.0.1:*", *options)
    for line in w.bridge.read_log().decode().splitlines():
        if "reliable" in line:
            w.bridge.router = line.split("endpoint=")[1].split(": ")[0]
    w.port = int(w.bridge.router.rsplit(":", 1)[1])
    return w


def serves(w, timeout=PATIENCE, topic="t"):
    p = w.peer(hello=False)
    assert p.hello(timeout=timeout).command == WELCOME
    assert p.ask(PING, struct.pack("<Q", 3), timeout=timeout).command == PONG
    a = p.puback(p.publish(topic, [b"alive"]), timeout)
    assert a is not None and a.status == "OK", a
    p.ask(BYE, bytes(8), timeout=timeout)
    p.close()


def test_bytes_that_are_no_zeromq():
    with tcp_world("--handshake-timeout", "300ms") as w:
        w.shmq("create", "t")
        serves(w)
        rng = random.Random(SEED)
        fds = fd_cnt(w)
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
        starts = [b"", b"\xff", greeting[:10], greeting[:40], greeting,
                  greeting + b"\x04\x19\x05READY", greeting + b"\x04\xff\x05READY",
                  greeting + b"\x06" + b"\xff" * 8, b"GET / HTTP/1.1\r\n\r\n",
                  greeting[:20] + b"CURVE" + bytes(40)]
        for i in range(200):
            s = net.create_connection(("127.0.0.1", w.port))
            try:
                s.sendall(starts[i % len(starts)] + rng.randbytes(
                    rng.choice([0, 1, 50, 5000])))
            except OSError:
                pass
            if i % 3:
                s.close()
            else:
                w.peers.append(s)
        serves(w)
        # Those that never finish their handshake are thrown out.
        until(lambda: fd_cnt(w) <= fds + 2, what="the end of half handshakes")
        for s in w.peers:
            s.close()
        serves(w)


def test_peers_older_than_zmtp_3():
    """They know no handshake and no heartbeat: nothing would ever end one that
    is silent. So they are refused at once, keys or not."""
    with tcp_world("--handshake-timeout", "60s") as w:
        w.shmq("create", "t")
        fds = fd_cnt(w)
        # No name and its flags; an HTTP request reads the same to ZeroMQ.
        for start in (b"\x01\x00", b"\x01\x00\x05\x00head",
                      b"GET / HTTP/1.1\r\n\r\n"):
            with net.create_connection(("127.0.0.1", w.port)) as s:
                s.settimeout(PATIENCE)
                s.sendall(start)
                try:
                    while s.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        serves(w)
        until(lambda: fd_cnt(w) <= fds + 2, what="the end of old peers")


class Honest:
    """A client that goes on working, and how long its publishes took."""

    def __init__(self, w, **kwargs):
        self.w, self.kwargs = w, kwargs
        self.stop = threading.Event()
        self.took, self.failed = [], None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.took or self.failed, what="the first publish")
        return self

    def run(self):
        try:
            context = zmq.Context()
            p = Peer(context, self.w.bridge.router, **self.kwargs)
            assert p.hello().command == WELCOME
            while not self.stop.is_set():
                begin = time.monotonic()
                a = p.puback(p.publish("t", [b"alive"]))
                assert a is not None and a.status == "OK", a
                self.took.append(time.monotonic() - begin)
                self.stop.wait(0.002)
            p.ask(BYE, bytes(8))
            context.destroy(0)
        except BaseException as e:
            self.failed = e

    def __exit__(self, kind, *_):
        self.stop.set()
        self.thread.join()
        if kind is None:
            assert not self.failed, self.failed

    def told(self):
        took = sorted(self.took)
        return (f"{len(took)} publishes of another client, p50 "
                f"{took[len(took) // 2] * 1e3:.2f} ms, longest "
                f"{took[-1] * 1e3:.0f} ms")


def many_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect_many(w, count, first=b""):
    """TCP connections which say `first`, and no more."""
    opened = []
    for i in range(count):
        s = net.socket()
        s.setblocking(False)
        try:
            s.connect(("127.0.0.1", w.port))
        except BlockingIOError:
            pass
        opened.append(s)
        if i % 100 == 99:  # the backlog is no part of this
            time.sleep(0.005)
    for s in opened if first else ():
        try:
            s.send(first)
        except OSError:
            pass
    return opened


def check_nothing_kept(w, waves, what, **honest_one):
    """`waves` makes and ends one crowd: what the second one leaves behind beyond
    what the first did is a leak."""
    with Honest(w, **honest_one):
        pass  # what it needs is there from now on
    time.sleep(0.2)
    fds, before = fd_cnt(w), rss_kib(w)
    grown, most = [], 0
    with Honest(w, **honest_one) as honest:
        for _ in range(3):
            crowd = waves()
            most = max(most, fd_cnt(w) - fds)
            for s in crowd:
                s.close()
            until(lambda: fd_cnt(w) <= fds + 8, what="the end of connections")
            time.sleep(0.3)
            grown.append(rss_kib(w) - before)
    print(f"  {what}: up to {most} descriptors at once, then none more; memory "
          f"after each wave {grown} KiB more; {honest.told()}", flush=True)
    assert grown[2] - grown[0] < 4 * 1024 + CONNECTS // 4, grown
    assert max(honest.took) < PATIENCE
    until(lambda: fd_cnt(w) <= fds, what="as many descriptors as before")


def test_thousands_of_connections():
    many_descriptors()
    with tcp_world() as w:
        w.shmq("create", "t")
        serves(w)
        check_nothing_kept(w, lambda: connect_many(w, CONNECTS),
                           f"{CONNECTS} connections")
        serves(w)


def test_thousands_of_half_handshakes():
    many_descriptors()
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
    with tcp_world("--handshake-timeout", "1s") as w:
        w.shmq("create", "t")
        serves(w)
        check_nothing_kept(
            w, lambda: connect_many(w, CONNECTS, greeting),
            f"{CONNECTS} handshakes that stop after the greeting")
        fds = fd_cnt(w)
        # Nobody closes: they are thrown out.
        crowd = connect_many(w, CONNECTS // 4, greeting)
        until(lambda: fd_cnt(w) <= fds + 4, what="the end of half handshakes")
        for s in crowd:
            s.close()
        serves(w)


def test_thousands_of_wrong_keys():
    """Keys that nobody knows, each another one; right keys of another bridge; no
    keys at all. None is answered, and each costs the log a line at most."""
    many_descriptors()
    with secured() as w:
        w.shmq("create", "public")
        k = w.keys
        k.allow("alice publish,consume *")
        w.bridge.process.send_signal(signal.SIGHUP)
        w.shmq("create", "t")
        w.port = int(w.bridge.router.rsplit(":", 1)[1])
        pairs = [tuple(key.decode() for key in zmq.curve_keypair())
                 for _ in range(64)]
        kinds = [lambda i: k.of(pairs[i % 64]),
                 lambda i: k.alice + (pairs[i % 64][0],),
                 lambda i: k.of((k.alice[0], pairs[i % 64][1])), lambda i: None]
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, CONNECTS + 10)
        answered = []

        class Crowd:
            """Closed when its peers are."""

            def __init__(self):
                self.peers = [Peer(context, w.bridge.router,
                                   keys=kinds[i % 4](i))
                              for i in range(CONNECTS // 5)]
                for p in self.peers:
                    p.send(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0, 0))
                time.sleep(2 if FULL else 0.7)
                answered.extend(p for p in self.peers if p.receive(0))

            def close(self):
                for p in self.peers:
                    p.close()

        check_nothing_kept(w, lambda: [Crowd()],
                           f"{CONNECTS // 5} peers with wrong keys",
                           keys=k.of(k.alice))
        assert not answered
        lines = w.bridge.read_log().count(b"connection from")
        assert 1 <= lines <= 64 + 2, lines
        context.destroy(0)


def test_credit_that_is_repeated_gives_nothing():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("pub", "t", data=b"x\n" * 500)
        p = w.peer()
        s = p.attach("t", start=1, credit=1 << 20, records=10)
        again = control(CREDIT, struct.pack("<QQ", s.granted, 10), b"", 0, 0,
                        s.id)
        for _ in range(10000):
            p.socket.send(again)
        # Sums that wrap around, and less than before.
        for numbers in ((NONE, NONE), (1 << 63, 1 << 63), (0, 0), (1, NONE),
                        (s.granted - 1, 9)):
            p.send(CREDIT, struct.pack("<QQ", *numbers), stream=s.id)
        assert p.ask(PING, bytes(8)).command == PONG
        got, refused = 0, 0
        while (m := p.take(lambda m: True, 0.3)) is not None:
            if m.command == DELIVER:
                got += len(m.records())
            else:
                assert m.status == "CREDIT_EXCEEDED", m
                refused += 1
        assert (got, refused) == (10, 3), (got, refused)
        s.credit(0, 5)
        m = p.take(lambda m: m.command == DELIVER)
        assert len(m.records()) == 5


def garble(rng, good):
    parts = [bytearray(p) for p in rng.choice(good)]
    for _ in range(rng.choice([1, 1, 2, 5])):
        part = rng.choice(parts)
        how = rng.randrange(6)
        if how == 0 and part:
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
        elif how == 1:
            del part[rng.randrange(len(part) + 1):]
        elif how == 2:
            part += rng.randbytes(rng.randrange(40))
        elif how == 3 and len(part) > 32:
            at = rng.randrange(24, len(part))
            part[at:at + 8] = rng.choice([b"\xff" * 8, bytes(8),
                                          rng.randbytes(8)])
        elif how == 4:
            parts.insert(rng.randrange(len(parts) + 1),
                         bytearray(rng.randbytes(rng.randrange(30))))
        elif how == 5 and len(parts) > 1:
            del parts[rng.randrange(len(parts))]
    # Half of them with a right checksum, so that they get further.
    if rng.random() < 0.5 and len(parts[0]) >= 24:
        frame = parts[0]
        frame[16:20] = bytes(4)
        frame[16:20] = struct.pack("<I", crc32c(frame))
    return [bytes(p) for p in parts]


def good_messages(p, stream):
    body = record(b"x")
    publish = struct.pack("<QQQQIIIIB7x", 5, 0, 0, 0, 1, 1, crc32c(body), 10, 0)
    g = struct.pack("<Q", stream.generation)
    sid = stream.id
    return [
        [control(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 1, 1), b"", 0, 1)],
        [control(LIST, bytes(8), b"", 0, 2)],
        [control(DESCRIBE, struct.pack("<II", 3, 0), tlv(TOPIC, "t"), 0, 3)],
        [control(ATTACH, struct.pack("<IBBBBQQQIIQQII", 0, 0, 0, 1, 0, 0, NONE, 0,
                                     0, 9, 1000, 10, 0, 0),
                 tlv(TOPIC, "t") + tlv(GROUP, "g"), 0, 4)],
        [control(CREDIT, struct.pack("<QQ", 99999, 999), b"", 0, 5, sid)],
        [control(ACK, g, ranges((0, 1 << 60), (5, 3)), 0, 6, sid)],
        [control(NACK, g + bytes(8), ranges((4096, 4097)), 0, 7, sid)],
        [control(COMMIT, g + struct.pack("<QB3xI", 4096, 3, 5), b"", 0, 8, sid)],
        [control(SEEK, g + struct.pack("<B7xQ", 3, 1 << 40), b"", 0, 9, sid)],
        [control(CHECK, g, b"", 0, 10, sid)],
        [control(PUBLISH, publish, tlv(TOPIC, "t"), PAYLOAD, 11), body],
        [control(PING, bytes(8), b"", 0, 12)],
        [control(DETACH, g, b"", 0, 13, sid)],
        [control(BYE, bytes(8), b"", 0, 14)],
    ]


def test_garbled_messages():
    print(f"  seed {SEED}")
    rng = random.Random(SEED)
    with World("--max-message", "64K", "--credit", "256K") as w:
        w.shmq("create", "t", "--capacity", "64")
        # The group that they make may hold t up when it is full: that is what
        # "block" means.
        w.shmq("create", "calm")
        serves(w, topic="calm")
        sent, statuses, before = 0, {}, None
        while sent < GARBLED:
            p = w.peer()
            stream = p.attach("t", rng.choice(["g", None]), credit=1000)
            good = good_messages(p, stream)
            for _ in range(500):
                p.socket.send_multipart(garble(rng, good))
                sent += 1
                if rng.random() < 0.02:
                    p.hello()
                while p.socket.poll(0):
                    m = Message(p.socket.recv_multipart())
                    statuses[m.status] = statuses.get(m.status, 0) + 1
            p.close()
            if before is None:
                before = rss_kib(w)
        serves(w, topic="calm")
        grown = rss_kib(w) - before
        print(f"  {sent} messages, {grown} KiB more, {statuses}")
        assert statuses.get("BAD_FRAME") and statuses.get("CRC_MISMATCH")
        assert grown < 32 * 1024, grown


def test_forged_numbers():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("pub", "t", data=b"secret\n" * 5)
        honest = w.peer()
        s = honest.attach("t", "g")
        got = s.collect(5)
        thief = w.peer()
        # Streams and generations of others are not one's own.
        for command, body in ((ACK, ranges((0, NONE))), (CHECK, b""),
                              (DETACH, b"")):
            m = thief.ask(command, struct.pack("<Q", s.generation), body,
                          stream=s.id)
            assert m.status == "UNKNOWN_STREAM", m
        mine = thief.attach("t", "g")
        m = thief.ask(ACK, struct.pack("<Q", s.generation), ranges((0, NONE)),
                      stream=mine.id)
        assert m.status == "FENCED_GENERATION"
        assert mine.ack((0, NONE)) == (0, 1)
        assert mine.ack((got[0][0], got[-1][0] + 1)) == (0, 1)
        assert mine.nack((0, NONE))[:2] == (0, 1)
        for sid in (honest.session[0], honest.session[0] ^ 1, 1, NONE):
            thief.hello(session=(sid, thief.session[1]))
        assert honest.ask(PING, bytes(8)).command == PONG
        # Whatever position is named, it is a position or it is refused.
        reader = thief.attach("t", start=3, value=NONE - 1)
        assert isinstance(reader, Stream), reader
        for value in (0, 1, 4095, 1 << 40, 1 << 63, NONE):
            for start in (1, 2, 3, 4):
                m = reader.ask(SEEK, struct.pack("<B7xQ", start, value))
                assert m.status in ("OK", "INVALID"), (start, value, m)
                if m.status == "OK":
                    reader.generation = m.unpack("Q")[0]
        for value in (1 << 50, 1 << 63, NONE):
            m = s.ask(COMMIT, struct.pack("<QB3xI", value, 1, 0))
            assert m.status == "COMMIT_BEYOND_END", m
        assert s.ack((0, NONE)) == (5, 0)


def test_a_flood_without_reading():
    with World() as w:
        w.shmq("create", "t")
        serves(w)
        before = rss_kib(w)
        s = w.context.socket(zmq.DEALER)
        s.setsockopt(zmq.LINGER, 0)
        s.setsockopt(zmq.RCVHWM, 1)
        s.setsockopt(zmq.RCVBUF, 4096)
        s.connect(w.bridge.router)
        s.send(control(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0, 0), b"",
                       0, 1))
        ping = control(PING, bytes(8), b"", 0, 2)
        for _ in range(120000):
            try:
                s.send(ping, zmq.DONTWAIT)
            except zmq.Again:
                time.sleep(0.001)
        serves(w)
        grown = rss_kib(w) - before
        print(f"  answers that nobody reads: {grown} KiB more")
        assert grown < 48 * 1024, grown
        until(lambda: b"does not read" in w.bridge.read_log(),
              what="the end of the session that does not read")


def at_last(does):
    """Tries again and again: with a short heartbeat a connection is lost when
    either side is late, and with it what is under way."""
    end = time.monotonic() + 2 * PATIENCE
    while True:
        try:
            return does(3.0)
        except AssertionError:
            if time.monotonic() > end:
                raise


def test_peers_that_send_much_and_are_gone():
    """libzmq 4.3.4 aborts when a peer closes while its input is stopped for
    want of room and a heartbeat is due: so its input is never stopped."""
    with World("--heartbeat", "100ms", "--max-message", "64M", "--credit", "1M",
               "--publish-window", "512M") as w:
        w.shmq("create", "t")
        w.shmq("create", "big", "--max-message", "60M", "--arena", "128M",
               "--capacity", "16", "--max-producers", "2")
        blob = record(b"b" * 60_000_000)
        fixed = struct.pack("<QQQQIIIIB7x", 0, 0, 0, 0, 0, 1, 1, 0, 0)
        large = control(PUBLISH, fixed, tlv(TOPIC, "big"), PAYLOAD, 0)
        for _ in range(20 if FULL else 3):
            # Keeps the bridge busy for so long that the others' input piles up.
            busy = w.peer()
            for _ in range(6):
                busy.socket.send_multipart([large, blob], copy=False)
            time.sleep(0.05)
            subs = [w.context.socket(zmq.SUB) for _ in range(50)]
            for s in subs:
                s.setsockopt(zmq.LINGER, 100)
                for i in range(50):
                    s.setsockopt(zmq.SUBSCRIBE, b"x%d\0" % i)
                s.connect(w.bridge.pub)
            time.sleep(0.15)
            for s in subs:
                s.close()
            at_last(lambda timeout: busy.ask(PING, bytes(8), timeout=timeout))
            busy.close()
            w.peers.clear()
            assert w.bridge.process.poll() is None
        at_last(lambda timeout: serves(w, timeout))


if __name__ == "__main__":
    run_all(globals())
