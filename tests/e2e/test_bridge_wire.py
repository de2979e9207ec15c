#!/usr/bin/env python3
"""shmq-bridge by its wire protocol (docs/wire.md): sessions, streams, groups,
publishing, leases."""
import json
import os
import random
import signal
import struct
import time

from bridge_peer import *


def group_stat(w, topic, group):
    found = json.loads(w.shmq("groups", topic, "--json"))
    return next((g for g in found if g["group"] == group), None)


def messages(w, topic):
    return json.loads(w.shmq("stat", topic, "--json"))["total"]["messages"]


def test_a_session_is_welcomed_and_ends():
    with World() as w:
        p = w.peer()
        assert p.session[0] and p.session[1]
        m = p.ask(PING, struct.pack("<Q", 77))
        assert m.command == PONG and m.unpack("Q")[0] == 77
        assert p.ask(BYE, bytes(8)).command == BYE
        m = p.ask(PING, struct.pack("<Q", 1))
        assert (m.command, m.status) == (ERROR, "UNKNOWN_SESSION")


def test_a_req_socket_is_answered():
    with World() as w:
        p = w.peer(kind=zmq.REQ)
        assert p.ask(PING, struct.pack("<Q", 5)).command == PONG


def test_without_hello_nothing_is_done():
    with World() as w:
        w.shmq("create", "t")
        p = w.peer(hello=False)
        for command, body in ((LIST, bytes(8)), (PING, bytes(8)),
                              (ATTACH, bytes(64)), (BYE, bytes(8))):
            m = p.ask(command, body, tlv(TOPIC, "t"))
            assert (m.command, m.status) == (ERROR, "UNKNOWN_SESSION"), m


def test_topics_are_listed_made_and_described():
    with World() as w:
        p = w.peer()
        body = struct.pack("<IIIIQQQIIIIIIQ", 1, 0, 0, 0, 64, 65536, 1024, 0, 0,
                           0, 0, 0, 0, 0)
        assert p.ask(CREATE, body, tlv(TOPIC, "a.x")).status == "OK"
        assert p.ask(CREATE, body, tlv(TOPIC, "a.x")).status == "TOPIC_EXISTS"
        w.shmq("create", "a.y")
        w.shmq("create", "b")

        def listed(**kw):
            corr = p.send(LIST, struct.pack("<II", kw.get("max", 0), 0),
                          kw.get("tlvs", b""))
            names = []
            while True:
                m = p.take(lambda m: m.corr == corr)
                names += [v.decode() for k, v in m.tlvs if k == TOPIC]
                if not m.flags & MORE:
                    return names
        assert listed() == ["a.x", "a.y", "b"]
        assert listed(tlvs=tlv(PATTERN, "a.*")) == ["a.x", "a.y"]
        assert listed(max=1, tlvs=tlv(TOPIC, "a.x")) == ["a.y"]
        w.shmq("pub", "a.x", data=b"1\n22\n")
        w.shmq("group", "create", "a.x", "g")
        corr = p.send(DESCRIBE, struct.pack("<II", 3, 0), tlv(TOPIC, "a.x"))
        groups = []
        while True:
            m = p.take(lambda m: m.corr == corr)
            groups += [v for k, v in m.tlvs if k == GROUP_STAT]
            if not m.flags & MORE:
                break
        assert m.unpack("IIIIQQQ")[4:] == (64, 65536, 1024)
        (earliest, published, written, durable, _, depth,
         nbytes) = struct.unpack_from("<7Q", m.fixed, 72)
        assert depth == 2 and nbytes == 3 and published > earliest
        assert written == durable == NONE
        assert len(groups) == 1 and groups[0][96:98] == b"\x01g"
        m = p.ask(DESCRIBE, bytes(8), tlv(TOPIC, "nope"))
        assert m.status == "NO_SUCH_TOPIC"


def test_records_arrive_as_they_were_published():
    for ring in ("mpmc", "spsc"):
        with World() as w:
            w.shmq("create", "t", "--ring", ring)
            rng = random.Random(1)
            want = [rng.randbytes(rng.choice([0, 1, 7, 8, 100, 3000]))
                    .replace(b"\n", b"x") for _ in range(300)]
            w.shmq("pub", "t", "--batch", "7", data=b"\n".join(want) + b"\n")
            s = w.peer().attach("t", "g")
            got = s.collect(300, ack=True)
            assert [r[1] for r in got] == want
            assert not any(r[3] for r in got)
            sequences = [r[5] for r in got]
            assert sequences == list(range(300))
            until(lambda: group_stat(w, "t", "g")["lag_messages"] == 0)
            m = s.ask(CHECK)
            assert m.unpack("B")[0] == 1


def test_a_reader_without_a_group_reads_a_range():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("pub", "t", data=b"".join(b"%d\n" % i for i in range(100)))
        p = w.peer()
        first = p.attach("t", start=1)
        got = first.collect(100)
        assert [int(r[1]) for r in got] == list(range(100))
        assert first.ack((0, NONE)) == "INVALID"
        part = p.attach("t", start=3, value=got[10][0], until=got[20][0])
        records = []
        while (m := part.next()).command != END:
            records += m.records()
        assert [int(r[1]) for r in records] == list(range(10, 20))
        assert m.unpack("QQQ")[2] == got[20][0]
        m = part.ask(CHECK)
        assert m.status == "UNKNOWN_STREAM"
        # To the end that there was.
        rest = p.attach("t", start=3, value=got[95][0], until=first.published)
        assert [int(r[1]) for r in rest.next().records()] == [95, 96, 97, 98, 99]
        assert rest.next().command == END


def test_credit_is_the_bound():
    with World() as w:
        w.shmq("create", "t", "--max-message", "10000")
        w.shmq("pub", "t", data=b"".join(b"%04d\n" % i for i in range(50)))
        p = w.peer()
        s = p.attach("t", "g", credit=1 << 20, records=10)
        assert sum(len(s.next().records()) for _ in range(1)) == 10
        assert s.next(0.2) is None
        s.credit(0, 5)
        assert len(s.next().records()) == 5
        p.send(CREDIT, struct.pack("<QQ", s.granted, s.granted_records),
               corr=0, stream=s.id)  # a repetition gives nothing
        p.send(CREDIT, struct.pack("<QQ", 0, 0), corr=0, stream=s.id)
        assert s.next(0.2) is None
        m = p.ask(CREDIT, struct.pack("<QQ", p.max_credit * 3, 20), stream=s.id)
        assert m.status == "CREDIT_EXCEEDED"
        m = p.ask(CREDIT, struct.pack("<QQ", NONE, NONE), stream=s.id)
        assert m.status == "CREDIT_EXCEEDED"
        m = p.attach("t", "h", credit=p.max_credit, records=10)
        assert m.status == "CREDIT_EXCEEDED"
        # One byte is enough for one batch of whatever size the first is.
        one = p.attach("t", "one", credit=1, records=1000)
        assert len(one.next().records()) == 1
        assert one.next(0.2) is None


def test_members_compete_with_local_ones():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("group", "create", "t", "g")
        out = open(f"{w.dir.name}/local", "wb")
        local = w.spawn("sub", "t", "--group", "g", stdout=out)
        a = w.peer().attach("t", "g", prefetch=1)
        b = w.peer().attach("t", "g", prefetch=1)
        until(lambda: group_stat(w, "t", "g")["members"] == 3)
        seen, sent = [], 0
        counts = {a: 0, b: 0}

        def locally():
            with open(f"{w.dir.name}/local") as f:
                return [int(x) for x in f.read().split("\n")[:-1]]

        def take():
            """Whether all that was sent is there."""
            for s in (a, b):
                m = s.next(0.02)
                if m is not None:
                    records = m.records()
                    counts[s] += len(records)
                    seen.extend(int(r[1]) for r in records)
                    s.credit(len(m.payload), len(records))
                    s.ack(*[(r[0], r[0] + 1) for r in records])
            return len(seen) + len(locally()) >= sent
        # Who is quicker is not given: on until each had some.
        while sent < 600 or not (counts[a] and counts[b] and locally()):
            assert sent < 20000, (counts, len(locally()))
            w.shmq("pub", "t", "--rate", "1000", data=b"".join(
                b"%d\n" % i for i in range(sent, sent + 300)))
            sent += 300
            until(take)
        local.terminate()
        assert local.wait(PATIENCE) == 128 + signal.SIGTERM
        out.close()
        assert sorted(seen + locally()) == list(range(sent)), (sent, len(seen))


def test_a_nack_comes_again_counted():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("pub", "t", "--batch", "4", data=b"a\nb\nc\nd\n")
        s = w.peer().attach("t", "g")
        got = s.collect(4)
        assert s.nack((got[1][0], got[1][0] + 1)) [:2] == (3, 0)
        assert s.ack((got[2][0], got[2][0] + 1)) == (0, 1)
        assert s.ack((got[0][0], got[0][0] + 1)) == (1, 0)
        # What failed comes alone, so that it cannot spoil its neighbours.
        again = s.collect(1)
        assert [r[1:4] for r in again] == [(b"b", 1, True)]
        assert s.next(0.1) is None
        assert s.ack((0, NONE)) == (1, 0)
        again = s.collect(2)
        assert [r[1:4] for r in again] == [(b"c", 0, True), (b"d", 0, True)]
        assert s.ack((0, NONE)) == (2, 0)
        assert s.ack((0, NONE)) == (0, 1)
        w.shmq("pub", "t", data=b"e\n")
        got = s.collect(1)
        begin = time.monotonic()
        assert s.nack((got[0][0], got[0][0] + 1), delay_ns=300_000_000)[0] == 1
        got = s.collect(1)
        assert got[0][1] == b"e" and time.monotonic() - begin > 0.29


def test_an_exclusive_reader_goes_back():
    with World() as w:
        w.shmq("create", "t", "--ring", "spsc")
        w.shmq("pub", "t", data=b"".join(b"%d\n" % i for i in range(10)))
        p = w.peer()
        s = p.attach("t", "g")
        m = p.attach("t", "g")
        assert m.status == "GROUP_BUSY", m
        got = s.collect(10)
        assert s.ack((0, got[3][0])) == (3, 0)
        done, stale, generation = s.nack((got[5][0], got[6][0]))
        assert (done, stale) == (1, 0) and generation != s.generation
        assert s.ack((0, NONE)) == "FENCED_GENERATION"
        s.generation = generation
        again = s.collect(7)
        assert [int(r[1]) for r in again] == list(range(3, 10))
        m = s.ask(SEEK, struct.pack("<B7xQ", 3, got[8][0]))
        s.generation, position = m.unpack("QQ")
        assert position == got[8][0]
        again = s.collect(2)
        assert [int(r[1]) for r in again] == [8, 9]
        m = s.ask(COMMIT, struct.pack("<QB3xI", got[9][0] + 1, 0, 0))
        assert m.status == "OK" and m.unpack("QB")[1] == 1
        m = s.ask(COMMIT, struct.pack("<QB3xI", NONE - 1, 0, 0))
        assert m.status == "COMMIT_BEYOND_END"
        assert s.ask(DETACH).status == "OK"
        t = p.attach("t", "g")
        assert t.position == got[9][0] + 16 or t.next(0.2) is None


def test_what_a_session_held_goes_to_others():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("pub", "t", data=b"".join(b"%d\n" % i for i in range(20)))
        # Said goodbye: at once, and it counts as no failed attempt.
        a = w.peer()
        first = a.attach("t", "g").collect(20)
        a.ask(BYE, bytes(8))
        b = w.peer(lease_ms=1500)
        begin = time.monotonic()
        again = b.attach("t", "g").collect(20)
        assert [r[1] for r in again] == [r[1] for r in first]
        assert all(r[3] for r in again) and not any(r[2] for r in again)
        # Silent: when its lease is over, and not before.
        got = w.peer().attach("t", "g").collect(20)
        took = time.monotonic() - begin
        assert len(got) == 20 and all(r[3] and r[2] == 1 for r in got), got
        assert took > 1.4, took
        m = b.ask(PING, bytes(8))
        assert m.status == "UNKNOWN_SESSION"


def test_a_session_named_by_the_next_one_ends_at_once():
    with World() as w:
        w.shmq("create", "t", "--ring", "spsc")
        w.shmq("pub", "t", data=b"x\n")
        a = w.peer()
        a.attach("t", "g").collect(1)
        b = w.peer(hello=False)
        wrong = (a.session[0], a.session[1] ^ 1)
        assert b.hello(session=wrong).command == WELCOME
        assert b.attach("t", "g").status == "GROUP_BUSY"
        assert b.hello(session=a.session).command == WELCOME
        got = b.attach("t", "g").collect(1)
        assert got[0][1] == b"x" and got[0][3]
        assert a.ask(PING, bytes(8)).status == "UNKNOWN_SESSION"


def test_publish_is_answered_in_order_and_once():
    for ring in ("mpmc", "spsc"):
        with World() as w:
            w.shmq("create", "t", "--ring", ring)
            p = w.peer()
            a = p.puback(p.publish("t", [b"0", b"1", b"2"], 9, 0))
            assert (a.status, a.count, a.level, a.dup) == ("OK", 3, 1, False)
            b = p.puback(p.publish("t", [b"0", b"1", b"2"], 9, 0))
            assert (b.status, b.dup, b.base, b.end) == \
                ("OK", True, a.base, a.end)
            c = p.puback(p.publish("t", [b"9"], 9, 5))
            assert (c.status, c.expected) == ("OUT_OF_ORDER", 3)
            assert p.puback(p.publish("t", [b"x"] * 3, 9, 1)).status == "INVALID"
            assert p.puback(p.publish("t", [b"3"], 9, 3)).status == "OK"
            # Restarted: found again in the topic.
            w.bridge.restart()
            q = w.peer()
            d = q.puback(q.publish("t", [b"3"], 9, 3))
            assert (d.status, d.dup) == ("OK", True)
            d = q.puback(q.publish("t", [b"0", b"1", b"2"], 9, 0))
            assert (d.dup, d.base, d.end) == (True, a.base, a.end), vars(d)
            assert q.puback(q.publish("t", [b"4"], 9, 4)).dup is False
            # A later epoch, and then the earlier one.
            assert q.puback(q.publish("t", [b"5"], 9, 0, epoch=2)).status == "OK"
            d = q.puback(q.publish("t", [b"6"], 9, 5, epoch=1))
            assert d.status == "PRODUCER_FENCED"
            # Settled records are skipped.
            d = q.puback(q.publish("t", [b"6"], 9, 7, settled=7, epoch=2))
            assert d.status == "OK"
            lines = w.shmq("sub", "t", "--group", "x", "--from", "earliest",
                           "--exit-when-empty").split()
            assert lines == [b"%d" % i for i in range(7)], lines


def test_publish_refuses_what_it_must():
    with World() as w:
        w.shmq("create", "t", "--max-message", "1000")
        w.shmq("create", "small", "--capacity", "4", "--on-full", "drop-new")
        w.shmq("group", "create", "small", "g")
        p = w.peer()

        def status(*args, **kwargs):
            corr = p.publish(*args, **kwargs)
            return p.take(lambda m: m.corr == corr).status
        assert status("nope", [b"x"]) == "NO_SUCH_TOPIC"
        assert status("t", [b"x" * 1001], 5) == "TOO_LARGE"
        assert status("t", [b"x"], 5, level=3) == "INVALID"
        assert status("t", [b"x"], 5, epoch=0) == "INVALID"
        attr = struct.pack("<HH", 9, 24) + bytes(24)
        assert status("t", [(b"x", attr)]) == "INVALID"
        key = struct.pack("<HH", 1, 3) + b"key"
        assert status("t", [(b"x", key)]) == "OK"
        for _ in range(4):
            assert status("small", [b"x"]) == "OK"
        assert status("small", [b"x"]) == "FULL"
        body = record(b"x")
        fixed = struct.pack("<QQQQIIIIB7x", 0, 0, 0, 0, 0, 1, 1, 0, 0)
        corr = p.send(PUBLISH, fixed, tlv(TOPIC, "t"), payload=body)
        assert p.puback(corr).status == "CRC_MISMATCH"
        m = p.ask(PUBLISH, fixed, tlv(TOPIC, "t"))
        assert (m.command, m.status) == (ERROR, "BAD_FRAME")


def test_publish_waits_for_room_and_keeps_order():
    with World("--publish-timeout", "120s", "--lease", "120s") as w:
        w.shmq("create", "t", "--capacity", "4")
        w.shmq("group", "create", "t", "g")
        p = w.peer()
        corrs = [p.publish("t", [b"%d" % i], 7, i, timeout_ms=120000)
                 for i in range(12)]
        for corr in corrs[:4]:
            assert p.puback(corr).status == "OK"
        assert p.puback(corrs[4], 0.2) is None
        # Behind others that have more time it does not wait as long as they.
        a = p.puback(p.publish("t", [b"late"], 8, 0, timeout_ms=100))
        assert a and a.status == "OVERLOADED", a
        got = w.shmq("sub", "t", "--group", "g", "--count", "12").split()
        assert got[:12] == [b"%d" % i for i in range(12)]
        for corr in corrs[4:]:
            assert p.puback(corr).status == "OK"


def test_a_full_ring_gives_up_in_time():
    with World() as w:
        w.shmq("create", "t", "--capacity", "2")
        w.shmq("group", "create", "t", "g")
        p = w.peer()
        for i in range(2):
            assert p.puback(p.publish("t", [b"x"], 7, i)).status == "OK"
        a = p.puback(p.publish("t", [b"x"], 7, 2, timeout_ms=100))
        assert a.status == "OVERLOADED" and a.retry_ms > 0 and a.expected == 2
        assert a.window_msgs < p.publish_msgs
        w.shmq("group", "reset", "t", "g", "--to", "latest")
        assert p.puback(p.publish("t", [b"x"], 7, 2)).status == "OK"


def test_what_cannot_be_decided_is_said():
    with World() as w:
        w.shmq("create", "t", "--capacity", "8")
        p = w.peer()
        for i in range(3):
            assert p.puback(p.publish("t", [b"p"], 7, i)).status == "OK"
        w.bridge.restart()
        w.shmq("pub", "t", data=b"x\n" * 50)
        q = w.peer()
        a = q.puback(q.publish("t", [b"p"], 7, 2))
        assert a.status == "HISTORY_GONE" and a.end > 0
        b = q.puback(q.publish("t", [b"q"], 7, 3, settled=3, since=a.end))
        assert b.status == "OK" and not b.dup


def test_feed_and_pull():
    with World() as w:
        w.shmq("create", "t")
        w.shmq("create", "t2")
        s = w.sub(b"t\0", b"\0HBt\0")
        fed(s, b"t2")
        push = w.context.socket(zmq.PUSH)
        push.setsockopt(zmq.LINGER, 0)
        push.connect(w.bridge.pull)
        key = struct.pack("<HH", 1, 1) + b"k"
        push.send_multipart([b"t\0", b"one"])
        push.send_multipart([b"t2\0", b"other"])
        push.send_multipart([b"t", b"two", key])
        push.send_multipart([b"no such\0", b"bad"])
        push.send_multipart([b"t\0", b"three", b"bad attributes"])
        push.send_multipart([b"t\0"])
        push.send_multipart([b"t2\0", b"last"])
        # What is pushed is there when it is there: the command waits for it.
        until(lambda: messages(w, "t2") == 2, what="what was pushed")
        assert messages(w, "t") == 2
        w.shmq("pub", "t", data=b"x" * 60000 + b"\n")
        seen = []
        last = NONE
        heartbeat = None
        while len(seen) < 3 or heartbeat is None:
            parts = feed_next(s, b"")
            (version, flags, _, epoch, prev, pos, durable, when, size,
             crc) = struct.unpack("<BBHIQQQqII", parts[1])
            assert version == 1 and epoch
            if flags & 1:
                assert parts[0] == b"\0HBt\0"
                heartbeat = (prev, pos) if len(seen) == 3 else None
                continue
            assert parts[0] == b"t\0" and crc == crc32c(parts[2])
            assert prev == last and size == len(parts[2])
            last = pos
            seen.append(parts[2:])
        assert seen == [[b"one"], [b"two", key], [b"x" * 60000]]
        assert heartbeat[0] == last and heartbeat[1] > last
        # A bridge that was started again continues where it was.
        w.bridge.restart()
        feed_next(s, b"\0W")
        feed_next(s, b"\0HBt\0")
        fed(s, b"t2")  # its own subscriptions are done anew in any order
        w.shmq("pub", "t", data=b"after\n")
        parts = feed_next(s, b"t\0")
        prev, pos = struct.unpack_from("<QQ", parts[1], 8)
        assert (parts[2], prev) == (b"after", last), (prev, last)


def test_feed_of_topics_that_come_and_of_all():
    def begun():
        return w.bridge.read_log().count(b"topic=late: live feed begins")

    with World("--log-level", "debug") as w:
        w.shmq("create", "other")
        s = w.sub(b"")
        exact = w.sub(b"late\0")
        for socket in (s, exact):
            fed(socket, b"other")
        w.shmq("create", "late")
        until(lambda: begun() == 1)
        w.shmq("pub", "late", data=b"x\n")
        for socket in (s, exact):
            parts = feed_next(socket, b"late\0")
            assert parts[2] == b"x"
        w.shmq("rm", "--force", "late")
        w.shmq("create", "late")
        until(lambda: begun() == 2)
        w.shmq("pub", "late", data=b"y\n")
        assert feed_next(exact, b"late\0")[2] == b"y"
        assert feed_next(s, b"late\0")[2] == b"y"


def test_removed_topics_end_their_streams():
    with World() as w:
        w.shmq("create", "t")
        p = w.peer()
        s = p.attach("t", "g")
        w.shmq("pub", "t", data=b"x\n")
        assert len(s.collect(1)) == 1
        w.shmq("rm", "--force", "t")
        m = s.next()
        assert (m.command, m.status) == (REVOKE, "CLOSED")
        assert p.attach("t", "g").status == "NO_SUCH_TOPIC"
        assert p.puback(p.publish("t", [b"x"])).status == "NO_SUCH_TOPIC"


def test_a_bridge_that_ends_says_so():
    with World() as w:
        w.shmq("create", "t")
        p = w.peer()
        s = p.attach("t", "g")
        w.bridge.process.terminate()
        m = p.take(lambda m: m.command == BYE)
        assert m is not None and m.status == "SHUTTING_DOWN", m
        assert w.bridge.process.wait(PATIENCE) == 0
        assert group_stat(w, "t", "g")["members"] == 0


if __name__ == "__main__":
    run_all(globals())
