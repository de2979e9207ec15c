#!/usr/bin/env python3
"""What the remote clients make of a bridge that answers late, refuses, ends
streams, or has another topic under the same name: nothing is lost without a
word, nothing stays claimed by nobody, nobody waits for ever. The bridge is
a script here (remote_fake.py); the clients are real."""
import asyncio
import contextlib
import errno
import os
import subprocess
import sys
import tempfile
import time

from remote_fake import *

import remote_support
from remote_support import PACKAGE, ROOT

remote_support.need_zmq()
import shmq_remote  # noqa: E402
from shmq_remote import aio  # noqa: E402

C = [os.path.join(os.environ["SHMQ_TEST_BIN_DIR"], "remote_driver")]
PYTHON = [sys.executable, str(ROOT / "tests/e2e/remote/driver.py"),
          str(PACKAGE)]
if not os.path.exists(C[0]):
    print("no C client was built: skipped")
    sys.exit(77)


class Driver:
    """A client program that does what it is told."""

    def __init__(self, command, endpoint):
        self.process = subprocess.Popen(
            command + [endpoint], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")

    def answer(self):
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer, "the client has ended"
        return answer

    def do(self, *words):
        self.say(*words)
        return self.answer()

    def gets(self, want, *words):
        got = self.do(*words)
        assert got == want, f"{words}: {got}, not {want}"

    def idle(self):
        self.gets("ok", "idle", 20)


@contextlib.contextmanager
def fake(**options):
    with tempfile.TemporaryDirectory(prefix="shmq-fake-") as directory:
        with Fake(directory, **options) as bridge:
            yield bridge


@contextlib.contextmanager
def driver(command, bridge):
    d = Driver(command, bridge.endpoint)
    try:
        yield d
    except BaseException:
        d.process.kill()
        raise
    finally:
        d.process.stdin.close()
        d.process.wait(PATIENCE)


def with_both(test):
    """The test with the C client and with the Python client."""
    def run():
        for command in (C, PYTHON):
            try:
                test(command)
            except BaseException:
                print(f"with {command[0]}", file=sys.stderr)
                raise
    return run


def attach_later(bridge):
    """ATTACHes are answered by the test."""
    bridge.answers[ATTACH] = None


def next_stream(bridge, what="", more=lambda: None):
    return FakeStream(bridge, *bridge.wait(ATTACH, what, more))


def opened(bridge, d, name, *how):
    """A consumer whose stream the test has answered."""
    attach_later(bridge)
    d.say("open", name, "t", *how)
    stream = next_stream(bridge).answer()
    assert d.answer() == "ok"
    return stream


def saw(bridge, command):
    return any(m.command == command for _, m in list(bridge.seen))


READER = ("-", 0, "published", "earliest")
MEMBER = ("g", 1, "published", "earliest")


@with_both
def test_made_anew(command):
    """A reader whose topic was made anew while the connection was away reads
    the new one from its beginning, and is told."""
    with fake() as bridge, driver(command, bridge) as d:
        old = opened(bridge, d, "r", *READER)
        old.deliver(0, b"one")
        old.deliver(4096, b"two")
        d.gets("0 0 0 one", "recv", "r", 60000)
        d.gets("4096 0 0 two", "recv", "r", 60000)
        bridge.lose()
        wrong = next_stream(bridge, "again", d.idle)
        assert (wrong.start, wrong.value) == (3, 4097)
        wrong.answer(epoch=2)
        _, detach = bridge.wait(DETACH, "of a foreign place", d.idle)
        assert detach.stream == wrong.id
        assert detach.unpack("Q") == (wrong.generation,)
        new = next_stream(bridge, "from its beginning", d.idle)
        assert new.start == 1
        new.answer(epoch=2)
        new.deliver(0, b"new")
        d.gets("gap 0 0 5", "recv", "r", 60000)
        d.gets("0 0 0 new", "recv", "r", 60000)
        bridge.lose()  # and goes on there
        again = next_stream(bridge, "goes on", d.idle)
        assert (again.start, again.value) == (3, 1)


@with_both
def test_close_gives_back(command):
    """Closing detaches, whatever became of the acknowledgements."""
    with fake() as bridge, driver(command, bridge) as d:
        stream = opened(bridge, d, "m", *MEMBER)
        stream.deliver(0, b"one")
        d.gets("0 0 0 one", "recv", "m", 60000)
        bridge.answers[ACK] = lambda peer, m: bridge.say(
            peer, ACK, struct.pack("<QQ", 0, 1), reply=m)
        d.gets("ok", "done", "m", 0)
        d.gets("ok", "close", "m")
        _, detach = bridge.wait(DETACH, "after a stale acknowledgement",
                                d.idle)
        assert detach.stream == stream.id
        stream = opened(bridge, d, "n", *MEMBER)
        stream.deliver(0, b"one")
        d.gets("0 0 0 one", "recv", "n", 60000)
        bridge.answers[ACK] = bridge.answers[DETACH] = None  # silent
        d.gets("ok", "done", "n", 0)
        d.gets("ok", "close", "n")
        _, detach = bridge.wait(DETACH, "after no answer", d.idle)
        assert detach.stream == stream.id


@with_both
def test_late_attach(command):
    """A stream that comes when nobody waits for it any more is given back."""
    with fake() as bridge, driver(command, bridge) as d:
        attach_later(bridge)
        d.gets("ok", "connect")
        for patience in (100, 1000, 10000, 60000):
            d.gets("ok", "patience", patience)
            assert d.do("open", "m", "t", *MEMBER).startswith("!")
            d.idle()
            if saw(bridge, ATTACH):  # on a busy machine it came to nothing
                break
        stream = next_stream(bridge).answer()
        peer, detach = bridge.wait(DETACH, "of a late stream", d.idle)
        assert (detach.stream, detach.unpack("Q")) == (
            stream.id, (stream.generation,))


@with_both
def test_late_seek(command):
    """A new generation counts, though who asked for it has given up."""
    with fake() as bridge, driver(command, bridge) as d:
        stream = opened(bridge, d, "r", *READER)
        d.gets("ok", "patience", 100)
        d.gets("! TIMEOUT", "seek", "r", "earliest")
        peer, seek = bridge.wait(SEEK)
        stream.generation = bridge.number()
        bridge.say(peer, SEEK, struct.pack("<QQ", stream.generation, 0),
                   reply=seek)
        stream.deliver(0, b"one")
        d.gets("0 0 0 one", "recv", "r", 60000)


@with_both
def test_revoked_meanwhile(command):
    """A question about a stream that is over is over, too."""
    with fake() as bridge, driver(command, bridge) as d:
        stream = opened(bridge, d, "m", *MEMBER)
        stream.deliver(0, b"one")
        d.gets("0 0 0 one", "recv", "m", 60000)
        d.gets("ok", "patience", 60000)
        d.say("commit", "m", 1, "published")
        peer, _ = bridge.wait(COMMIT)
        bridge.say(peer, REVOKE, struct.pack("<Q", stream.generation),
                   stream=stream.id, status="STALE")
        answer = d.answer()
        assert "STALE" in answer, answer


@with_both
def test_unread_is_counted(command):
    """What is still unread at a reconnect is missing in the new credit, and
    the window is what it was when it has been read."""
    with fake(max_streams=1, records=64) as bridge, \
            driver(command, bridge) as d:
        stream = opened(bridge, d, "r", *READER)
        window = stream.credit_records
        assert 20 < window <= 64
        for i in range(20):
            stream.deliver(i * 4096, b"x")
        bridge.lose()
        stream = next_stream(bridge, "again", d.idle).answer()
        assert stream.credit_records <= window - 20, (
            window, stream.credit_records)
        for i in range(20):
            d.gets(f"{i * 4096} 0 0 x", "recv", "r", 60000)
        sent, granted = 0, stream.credit_records
        while sent < 2 * window:
            for _ in range(granted - sent):
                stream.deliver((20 + sent) * 4096, b"y")
                d.gets(f"{(20 + sent) * 4096} 0 0 y", "recv", "r", 60000)
                sent += 1
            _, credit = bridge.wait(CREDIT, "goes on", d.idle)
            granted = max(granted, credit.unpack("QQ")[1])
            assert granted - sent <= window


@with_both
def test_refused_credit(command):
    """A grant that was refused is made again."""
    with fake(max_streams=1, records=64) as bridge, \
            driver(command, bridge) as d:
        stream = opened(bridge, d, "r", *READER)
        for i in range(stream.credit_records):
            stream.deliver(i * 4096, b"x")
            d.gets(f"{i * 4096} 0 0 x", "recv", "r", 60000)
        d.idle()
        peer, credit = bridge.wait(CREDIT, "first", d.idle)
        while saw(bridge, CREDIT):
            peer, credit = bridge.wait(CREDIT)
        bridge.refuse(peer, credit, "CREDIT_EXCEEDED")
        _, again = bridge.wait(CREDIT, "again", d.idle)
        assert again.unpack("QQ")[1] >= credit.unpack("QQ")[1]


@with_both
def test_as_many_streams(command):
    """As many streams as the bridge allows fit into what it allows, each with
    something."""
    with fake(max_streams=8, records=1024) as bridge, \
            driver(command, bridge) as d:
        streams = [opened(bridge, d, f"s{i}", *READER) for i in range(8)]
        assert all(s.credit_records > 0 for s in streams)
        assert sum(s.credit_records for s in streams) <= 1024
        assert sum(s.credit_bytes for s in streams) <= 8 << 20


@with_both
def test_attach_for_later(command):
    """A bridge without room just now is asked again."""
    with fake() as bridge, driver(command, bridge) as d:
        attach_later(bridge)
        d.say("open", "m", "t", *MEMBER)
        for status in ("CREDIT_EXCEEDED", "OVERLOADED", "SHUTTING_DOWN"):
            bridge.refuse(*bridge.wait(ATTACH), status)
        next_stream(bridge, "again").answer()
        assert d.answer() == "ok"


@with_both
def test_live_tries_again(command):
    """A backfill that was refused is tried again by the next call."""
    with fake() as bridge, driver(command, bridge) as d:
        bridge.published = 1
        attach_later(bridge)
        d.gets("ok", "live", "l", "t", "earliest")
        d.say("recv", "l", 60000)
        bridge.refuse(*bridge.wait(ATTACH), "LIMIT")
        assert d.answer() == "! LIMIT"
        d.say("recv", "l", 60000)
        fill = next_stream(bridge, "again").answer()
        assert fill.until == 1
        fill.deliver(0, b"one")
        fill.end(1)
        assert d.answer() == "0 0 0 one"


@with_both
def test_live_made_anew(command):
    """The topic was made anew between what the feed, or DESCRIBE, said and the
    backfill: its records are read, not those of the same positions."""
    with fake() as bridge, driver(command, bridge) as d:
        bridge.published = 4097
        attach_later(bridge)
        d.gets("ok", "live", "l", "t", "earliest")
        d.say("recv", "l", 60000)
        wrong = next_stream(bridge).answer(epoch=2, published=1)
        _, detach = bridge.wait(DETACH, "of another history")
        assert detach.stream == wrong.id
        fill = next_stream(bridge, "from its beginning")
        assert (fill.start, fill.until) == (1, 1)
        fill.answer(epoch=2, published=1)
        fill.deliver(0, b"new")
        fill.end(1)
        assert d.answer() == "gap 0 0 5"
        d.gets("0 0 0 new", "recv", "l", 60000)


@with_both
def test_live_empty_anew(command):
    """A heartbeat of a new topic without records ends the backfill at once."""
    with fake() as bridge, driver(command, bridge) as d:
        bridge.published = 4097
        attach_later(bridge)
        d.gets("ok", "live", "l", "t", "latest")
        bridge.epoch, bridge.published = 2, 0
        d.say("recv", "l", 60000)
        end = time.monotonic() + PATIENCE
        while not saw(bridge, ATTACH):
            bridge.beat(b"t", NONE, 0)  # until it has subscribed
            time.sleep(0.05)
            assert time.monotonic() < end
        fill = next_stream(bridge)
        assert (fill.start, fill.until) == (1, 0)
        fill.answer(epoch=2, published=0)
        fill.end(0)
        assert d.answer() == "gap 0 0 5"


def test_since_of_a_new_topic():
    """What a producer says of the past is of the topic that there is now: the
    last answer counts, though it be lower."""
    answers = iter((100 << 12, 0, 1 << 12))

    def puback(peer, m):
        base = next(answers)
        bridge.say(peer, PUBACK, struct.pack(
            "<QQQQIBBHIIII", m.unpack("QQ")[1], base, base + 1, 0, 1, 1, 0, 0,
            64, 1 << 20, 0, 0), reply=m)
    for client in ("C", "Python"):
        answers = iter((100 << 12, 0, 1 << 12))
        with fake() as bridge:
            bridge.answers[PUBLISH] = puback
            if client == "C":
                with subprocess.Popen(
                        [f"{BIN}/shmq", "pub", "t", "--remote",
                         bridge.endpoint, "--no-create", "--positions"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pub:
                    for _ in range(3):
                        pub.stdin.write(b"line\n")
                        pub.stdin.flush()
                        pub.stdout.readline()
                    pub.stdin.close()
            else:
                with shmq_remote.Remote(bridge.endpoint) as remote:
                    with remote.producer("t") as producer:
                        for _ in range(3):
                            producer.publish(b"line", timeout=PATIENCE)
            since = [bridge.wait(PUBLISH)[1].unpack("QQQQ")[3]
                     for _ in range(3)]
            assert since == [0, 100 << 12, 0], (client, since)


# -- asyncio ------------------------------------------------------------------


def aio_test(test):
    def run():
        with fake() as bridge:
            asyncio.run(asyncio.wait_for(test(bridge), 2 * PATIENCE))
    return run


def test_aio_no_endpoint():
    """An endpoint that is none is said at once, as by the blocking client."""
    async def enter():
        async with aio.Remote("tcp:/nowhere"):
            pass
    try:
        asyncio.run(asyncio.wait_for(enter(), PATIENCE))
    except zmq.ZMQError:
        return
    raise AssertionError("an endpoint that is none was taken")


@aio_test
async def test_aio_close_wakes(bridge):
    """Whoever waits when the connection is closed is told."""
    remote = await aio.Remote(bridge.endpoint).__aenter__()
    consumer = await remote.consumer("t")
    producer = await remote.producer("t")
    live = await remote.live("t")

    async def iterate(what):
        return [item async for item in what]

    async def publish():
        try:
            await producer.publish(b"never answered")
        except shmq_remote.Closed:
            return "closed"
    tasks = [asyncio.ensure_future(one) for one in (
        iterate(consumer), iterate(live), publish())]
    while not saw(bridge, PUBLISH):
        await asyncio.sleep(0.01)
    await remote.close()
    assert await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE) == [
        [], [], "closed"]
    assert remote._context.closed


@aio_test
async def test_aio_close_without_bridge(bridge):
    remote = await aio.Remote(bridge.endpoint).__aenter__()
    await remote.connect()
    bridge.end()
    await remote.close()
    assert remote._context.closed


@aio_test
async def test_aio_survives(bridge):
    """No descriptor at a reconnect is a pause, a fault of ours an error."""
    failures = 2
    honest = aio.open_dealer

    def failing(*args):
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise zmq.ZMQError(errno.EMFILE)
        return honest(*args)
    async with aio.Remote(bridge.endpoint) as remote:
        await remote.connect()
        aio.open_dealer = failing
        try:
            bridge.lose()
            while remote.engine.session_cnt < 2:
                await asyncio.sleep(0.01)
        finally:
            aio.open_dealer = honest
        assert failures < 0
        remote.engine.receive = None  # a fault
        try:
            await remote.describe("t")
        except shmq_remote.Closed:
            return
        raise AssertionError("a fault of the session was not told")


@aio_test
async def test_aio_cancelled_open(bridge):
    """A stream that comes after its task was cancelled is given back."""
    attach_later(bridge)
    async with aio.Remote(bridge.endpoint) as remote:
        await remote.connect()
        task = asyncio.ensure_future(remote.consumer("t", "g"))
        while not saw(bridge, ATTACH):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait((task,))
        stream = next_stream(bridge).answer()
        while not saw(bridge, DETACH):
            await asyncio.sleep(0.01)
        assert bridge.wait(DETACH)[1].stream == stream.id


if __name__ == "__main__":
    run_all(globals())
