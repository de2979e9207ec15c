"""remote_fake.py - a bridge that says what a test wants it to say, when it
wants: for what a real one does seldom, or only when it is killed at the right
moment."""
import struct
import threading
import time
from collections import deque

from bridge_peer import *


class FakeStream:
    """A stream as the bridge sees it."""

    def __init__(self, fake, peer, request):
        self.fake, self.peer, self.request = fake, peer, request
        (_, _, _, self.start, _, self.value, self.until, _, _, _,
         self.credit_bytes, self.credit_records, _, _) = request.unpack(
             "IBBBBQQQIIQQII")
        self.granted = self.credit_records
        self.id = fake.number()
        self.generation = fake.number()
        self.delivery = 0
        self.sent = 0

    def answer(self, epoch=1, position=None, earliest=0, published=1 << 30):
        if position is None:
            position = self.value if self.start == 3 else earliest
        self.fake.say(self.peer, ATTACH, struct.pack(
            "<QQQQIBBHII", self.generation, position, earliest, published,
            epoch, 1, 1, 0, 1, 0), reply=self.request, stream=self.id)
        return self

    def deliver(self, position, *payloads):
        body = b"".join(map(record, payloads))
        body = struct.pack("<QQQqIIHHI", position, 7, 0, 0, len(payloads),
                           48 + len(body), 0, 0, 0) + body
        self.fake.say(self.peer, DELIVER, struct.pack(
            "<QQQQQQIIIIQ", self.generation, self.delivery, NONE, position,
            position + len(payloads), NONE, len(payloads), crc32c(body), 1, 0,
            position + len(payloads)), stream=self.id, payload=body)
        self.delivery += 1
        self.sent += len(payloads)

    def end(self, position):
        self.fake.say(self.peer, END, struct.pack(
            "<QQQ", self.generation, self.delivery, position), stream=self.id)
        self.delivery += 1


class Fake:
    """Its thread answers what is said to it by `answers`: a function for each
    command (None: no answer), called with (peer, message)."""

    def __init__(self, directory, max_streams=64, records=16384):
        self.context = zmq.Context()
        self.router, self.feed = (self.context.socket(kind)
                                  for kind in (zmq.ROUTER, zmq.PUB))
        self.endpoint = f"ipc://{directory}/fake"
        self.feed_endpoint = f"ipc://{directory}/fake.feed"
        self.max_streams, self.records = max_streams, records
        self.published, self.epoch = 0, 1
        self.answers = {
            HELLO: self.welcome, PING: self.pong, DESCRIBE: self.describe,
            ATTACH: lambda peer, m: FakeStream(self, peer, m).answer(),
            ACK: lambda peer, m: self.say(peer, ACK, struct.pack("<QQ", 1, 0),
                                          reply=m),
            DETACH: lambda peer, m: self.say(peer, DETACH, bytes(8), reply=m)}
        self.peer = None  # who said HELLO last
        self.seen = []
        self._changed = threading.Condition()
        self._out = deque()
        self._last = 0
        self._ended = False
        for socket, endpoint in ((self.router, self.endpoint),
                                 (self.feed, self.feed_endpoint)):
            socket.linger = 0
            socket.bind(endpoint)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self._ended = True
        self._thread.join(PATIENCE)
        self.context.destroy(0)

    def number(self):
        self._last += 1
        return self._last

    def _run(self):
        while not self._ended:
            while self._out:
                socket, parts = self._out.popleft()
                socket.send_multipart(parts)
            if not self.router.poll(5):
                continue
            peer, *parts = self.router.recv_multipart()
            message = Message(parts)
            answer = self.answers.get(message.command)
            if answer and message.corr or message.command == PING:
                answer(peer, message)
            with self._changed:
                self.seen.append((peer, message))
                self._changed.notify_all()

    def say(self, peer, command, fixed=b"", tlvs=b"", reply=None, stream=None,
            payload=None, status="OK"):
        """Says something, in order, at once or soon."""
        frame = bytearray(control(
            command, fixed, tlvs,
            (REPLY if reply else 0) | (PAYLOAD if payload is not None else 0),
            reply.corr if reply else 0,
            (reply.stream if reply else 0) if stream is None else stream))
        frame[6:8] = struct.pack("<H", STATUS.index(status))
        frame[16:20] = bytes(4)
        frame[16:20] = struct.pack("<I", crc32c(bytes(frame)))
        self._out.append((self.router, [peer, bytes(frame)] + (
            [payload] if payload is not None else [])))

    def refuse(self, peer, request, status):
        self.say(peer, ERROR, struct.pack("<QQIIQ", 0, 0, 0, request.command,
                                          0), reply=request, status=status)

    def lose(self):
        """The client has to begin a new session."""
        self.say(self.peer, ERROR, bytes(32), status="UNKNOWN_SESSION")

    def beat(self, topic, prev, pos):
        self._out.append((self.feed, [
            b"\0HB" + topic + b"\0", struct.pack(
                "<BBHIQQQqII", 1, 1, 0, self.epoch, prev, pos, NONE, 0, 0, 0),
            b""]))

    def welcome(self, peer, m):
        self.peer = peer
        self.say(peer, WELCOME, struct.pack(
            "<BBHIQQQQqIIIIQQIIII", 1, 0, 0, 60000, 0, self.number(), 1, 1, 0,
            20000, 1 << 20, self.max_streams, 65000, 8 << 20, self.records,
            1024, 1 << 20, 1 << 16, 0), tlv(FEED, self.feed_endpoint), reply=m)

    def pong(self, peer, m):
        self.say(peer, PONG, m.fixed[:8] + bytes(8), reply=m)

    def describe(self, peer, m):
        body = bytearray(240)
        struct.pack_into("<Q", body, 32, 1 << 16)  # max_message_bytes
        struct.pack_into("<QQQQ", body, 72, 0, self.published, NONE, NONE)
        struct.pack_into("<I", body, 224, self.epoch)
        self.say(peer, DESCRIBE, bytes(body), reply=m)

    def wait(self, command, what="", more=lambda: None, where=lambda m: True):
        """The next message of a command that no wait() has returned."""
        end = time.monotonic() + PATIENCE
        while True:
            with self._changed:
                for i, (peer, m) in enumerate(self.seen):
                    if m.command == command and where(m):
                        del self.seen[i]
                        return peer, m
                self._changed.wait(0.05)
            assert time.monotonic() < end, f"no {command}: {what}"
            more()
