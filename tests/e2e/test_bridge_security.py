#!/usr/bin/env python3
"""shmq-bridge: who may come in, who may do what, and how much."""
import os
import signal
import struct
import time

from bridge_keys import *


def refused_to_start(*options):
    p = subprocess.run([f"{BIN}/shmq-bridge", "--pub", "none", "--pull", "none",
                        *options], capture_output=True, timeout=PATIENCE,
                       check=False)
    return p.returncode, p.stderr.decode()


def test_nothing_is_served_unencrypted_to_others():
    for endpoint in ("tcp://*:5570", "tcp://0.0.0.0:5570", "tcp://eth0:5570",
                     "tcp://127.evil.example:5570", "tcp://[::]:5570",
                     "ipc:///tmp/x,tcp://10.0.0.1:1"):
        status, text = refused_to_start("--router", endpoint)
        assert status == 2 and "--server-key-file" in text, (endpoint, text)
        assert "shmq keygen" in text and len(text.splitlines()) == 1
    for endpoint in ("udp://127.0.0.1:1", "5570", "pgm://x"):
        status, text = refused_to_start("--router", endpoint)
        assert status == 2 and "not an endpoint" in text, text
    for endpoint in ("tcp://127.0.0.1:5570", "ipc:///tmp/x", "tcp://[::1]:1",
                     "tcp://localhost:1", "none"):
        status, text = refused_to_start("--router", endpoint, "--check-config")
        assert status == 0, text


def test_keys_and_lists_are_checked_at_start():
    with World(start=False) as w:
        keys = Keys(w.dir.name)
        key = f"{w.dir.name}/server.key"
        status, text = refused_to_start("--server-key-file", key)
        assert status == 2 and "--access" in text, text
        keys.allow("alice dance orders")
        status, text = refused_to_start("--server-key-file", key, "--access",
                                        keys.access, "--check-config")
        assert status == 2 and "access:4" in text, text
        keys.allow(*RULES)
        status, text = refused_to_start("--server-key-file", key, "--access",
                                        keys.access, "--check-config")
        assert status == 0, text
        os.chmod(key, 0o644)
        status, text = refused_to_start("--server-key-file", key)
        assert status == 6 and "chmod 600" in text, text
        status, text = refused_to_start("--server-key-file", "/nowhere")
        assert status == 4 and "shmq keygen" in text, text
        with open(f"{w.dir.name}/nokey", "w") as f:
            os.chmod(f.name, 0o600)
            f.write("hello\n")
        status, text = refused_to_start("--server-key-file", f.name)
        assert status == 2 and "not a secret key" in text, text


def test_only_known_keys_come_in():
    with secured() as w:
        k = w.keys
        w.peer(keys=k.of(k.alice))
        wrong = [k.of(k.stranger), k.alice + (k.bob[0],), None,
                 k.of((k.alice[0], k.bob[1]))]
        for keys in wrong * 2:
            p = w.peer(hello=False, keys=keys)
            p.send(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, 0, 0, 0, 0))
            assert p.receive(0.4) is None
            p.close()
        w.peer(keys=k.of(k.bob))
        until(lambda: b"connection from" in w.bridge.read_log())
        log = w.bridge.read_log().decode()
        assert log.count("connection from") == 1, log
        assert k.stranger[0] in log and k.alice[1] not in log


def test_rights_are_those_of_the_list():
    with secured() as w:
        k = w.keys
        for topic in ("orders.eu", "orders.us", "public", "secret"):
            w.shmq("create", topic)
        alice = w.peer(keys=k.of(k.alice))
        bob = w.peer(keys=k.of(k.bob))

        def may_consume(p, topic):
            s = p.attach(topic, "g")
            if isinstance(s, Stream):
                s.ask(DETACH)
                return "OK"
            return s.status

        def may_publish(p, topic):
            return p.puback(p.publish(topic, [b"x"])).status
        assert may_consume(alice, "orders.us") == "OK"
        assert may_consume(bob, "orders.us") == "FORBIDDEN"
        assert may_consume(bob, "orders.eu") == "OK"
        assert may_consume(alice, "public") == may_consume(bob, "public") == "OK"
        for p in (alice, bob):
            # Whether it exists or not is not told.
            assert may_consume(p, "secret") == "FORBIDDEN"
            assert may_consume(p, "no.such") == "FORBIDDEN"
            assert may_publish(p, "secret") == "FORBIDDEN"
            m = p.ask(DESCRIBE, bytes(8), tlv(TOPIC, "secret"))
            assert m.status == "FORBIDDEN"
        assert may_publish(alice, "orders.eu") == "OK"
        assert may_publish(bob, "orders.eu") == "FORBIDDEN"
        body = bytes(72)
        assert alice.ask(CREATE, body, tlv(TOPIC, "scratch.1")).status == "OK"
        assert bob.ask(CREATE, body, tlv(TOPIC, "scratch.2")).status == \
            "FORBIDDEN"
        corr = bob.send(LIST, bytes(8))
        names = []
        while (m := bob.take(lambda m: m.corr == corr)).flags & MORE:
            names += [v for kind, v in m.tlvs if kind == TOPIC]
        assert names == [b"orders.eu", b"public"], names
        corr = bob.send(DESCRIBE, struct.pack("<II", 3, 0),
                        tlv(TOPIC, "orders.eu"))
        kinds = []
        while (m := bob.take(lambda m: m.corr == corr)).flags & MORE:
            kinds += [kind for kind, _ in m.tlvs]
        assert GROUP_STAT in kinds and ENDPOINT_STAT not in kinds


def test_the_feed_is_for_those_who_may_have_it():
    with secured() as w:
        k = w.keys
        for topic in ("orders.eu", "orders.us"):
            w.shmq("create", topic)
        a = curve_sub(w, k.alice, b"orders.us\0", b"orders.")
        b = curve_sub(w, k.bob, b"orders.us\0", b"\0HBorders.us\0",
                      b"orders.eu\0", b"orders.", b"", b"\0HB")
        feed_next(a, b"\0W")
        feed_next(b, b"\0W")
        fed(a, b"orders.us", b"orders.eu")
        fed(b, b"orders.eu")
        w.shmq("pub", "orders.us", data=b"us\n")
        w.shmq("pub", "orders.eu", data=b"eu\n")
        got = {feed_next(a, b"orders.")[2] for _ in range(2)}
        assert got == {b"us", b"eu"}
        assert feed_next(b, b"")[0] == b"orders.eu\0"
        assert not b.poll(1500), b.recv_multipart()
        # A refused subscriber that goes away takes nothing with it.
        for _ in range(3):
            c = curve_sub(w, k.bob, b"orders.us\0")
            feed_next(c, b"\0W")
            c.close(0)
        time.sleep(0.3)  # the bridge may notice that they are gone
        w.shmq("pub", "orders.us", data=b"again\n")
        assert feed_next(a, b"orders.us")[2] == b"again"
        log = w.bridge.read_log().decode()
        assert log.count("refused: subscription orders.us") == 1, log


def test_the_list_is_read_again():
    with secured() as w:
        k = w.keys
        w.shmq("create", "orders.eu")
        alice = w.peer(keys=k.of(k.alice))
        bob = w.peer(keys=k.of(k.bob))
        s = bob.attach("orders.eu", "g")
        feed = curve_sub(w, k.bob, b"orders.eu\0")
        feed_next(feed, b"\0W")
        fed(feed, b"orders.eu")

        def hup(said):
            before = w.bridge.read_log().count(said)
            w.bridge.process.send_signal(signal.SIGHUP)
            until(lambda: w.bridge.read_log().count(said) > before)
        with open(k.access, "a") as f:
            f.write("nonsense\n")
        hup(b"stays as it was")
        assert s.ask(CHECK).status == "OK"
        k.allow("alice publish,consume orders.*")
        hup(b"access list read")
        m = s.next()
        assert (m.command, m.status) == (REVOKE, "FORBIDDEN")
        assert bob.attach("orders.eu", "g").status == "FORBIDDEN"
        # Its subscription has to be asked for again, and is refused.
        feed_next(feed, b"\0W")
        w.shmq("pub", "orders.eu", data=b"x\n")
        assert not feed.poll(1500), feed.recv_multipart()
        k.allow("* consume orders.*", bob=False)
        hup(b"access list read")
        assert bob.ask(PING, bytes(8)).status == "UNKNOWN_SESSION"
        assert bob.hello().status == "UNAUTHENTICATED"
        assert alice.ask(PING, bytes(8)).command == PONG
        again = w.peer(hello=False, keys=k.of(k.bob))
        again.send(PING, bytes(8))
        assert again.receive(0.5) is None


def test_clients_have_limits():
    with World("--log-level", "debug", "--publish-timeout", "120s", "--lease",
               "120s", "--max-user-sessions", "3", "--max-streams", "2",
               "--max-subscriptions", "10", "--max-message", "64K",
               "--credit", "64K", "--total-credit", "2M", "--publish-window",
               "64K", "--feed-max-message", "1K") as w:
        def refused(topic):
            return w.bridge.read_log().decode().count(
                f"refused: subscription {topic}")
        w.shmq("create", "t")
        peers = [w.peer() for _ in range(3)]
        p = w.peer(hello=False)
        assert p.hello().status == "LIMIT"
        peers[0].ask(BYE, bytes(8))
        assert p.hello().command == WELCOME
        assert isinstance(p.attach("t", "a", credit=100), Stream)
        assert isinstance(p.attach("t", credit=100), Stream)
        assert p.attach("t", "c", credit=100).status == "LIMIT"
        # Too large for the socket: that connection ends, others do not care.
        q = peers[1]
        corr = q.publish("t", [b"x" * 60000])
        assert q.puback(corr).status == "OK"
        corr = q.publish("t", [b"x" * 70000])
        assert q.puback(corr).status == "TOO_LARGE"
        q.publish("t", [b"x" * 300000])
        m = q.ask(PING, bytes(8))
        assert m.status == "UNKNOWN_SESSION", m
        assert p.ask(PING, bytes(8)).command == PONG
        # More unanswered than allowed.
        w.shmq("create", "small", "--capacity", "2")
        w.shmq("group", "create", "small", "g")
        corrs = [p.publish("small", [b"x" * 20000], timeout_ms=120000)
                 for _ in range(8)]
        got = [p.puback(c).status for c in corrs[:2] + corrs[5:]]
        assert got == ["OK"] * 2 + ["CREDIT_EXCEEDED"] * 3, got
        assert [p.puback(c, 0.2) for c in corrs[2:5]] == [None] * 3
        # Large payloads are announced, not sent.
        s = w.sub(b"t\0")
        fed(s, b"t")
        w.shmq("pub", "t", data=b"y" * 2000 + b"\n")
        parts = feed_next(s, b"t\0")
        assert parts[1][1] & 2 and parts[2] == b""
        assert struct.unpack_from("<I", parts[1], 40)[0] == 2000
        many = [w.sub(b"x%d\0" % i) for i in range(12)]
        until(lambda: refused("x") == 3)
        late = w.sub(b"t\0")
        until(lambda: refused("t") == 1)
        w.shmq("pub", "t", data=b"z\n")
        assert feed_next(s, b"t\0")[2] == b"z"
        assert not late.poll(300)
        assert many


if __name__ == "__main__":
    run_all(globals())
