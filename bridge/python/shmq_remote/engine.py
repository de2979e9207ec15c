"""The client without sockets: what is sent when, and what an answer means.

The engine is told when a connection stands, what came and what time it is; it
says what to send. blocking.py and aio.py move the bytes. Handles (Producer,
Consumer, ...) are generators over conditions: `yield condition` waits until it
holds, so that both kinds of clients share every line of the protocol.
"""
from __future__ import annotations

import random
import secrets
from collections import deque
from typing import (Any, Callable, Deque, Dict, Generator, List, Optional,
                    Sequence, Tuple)

from . import wire
from .crc32c import crc32c
from .credit import Credit
from .errors import (Closed, Invalid, ProtocolFault, RemoteError, Stale,
                     UnknownSession, error_for)
from .message import GAP_REASONS, Gap, Message, Published

Condition = Callable[[], bool]
Steps = Generator[Condition, None, Any]

LEVELS = {None: 0, "default": 0, "published": 1, "written": 2, "durable": 3}
LEVEL_NAMES = {0: "none", 1: "published", 2: "written", 3: "durable"}
STARTS = {None: 0, "earliest": 1, "latest": 2}
KINDS = {None: 0, "shared": 1, "exclusive": 2}
ABSENT = {None: 0, "keep": 1, "release": 2}

BACKOFF_MIN, BACKOFF_MAX = 0.05, 2.0
FOR_GOOD = (4, 5, 2)  # UNAUTHENTICATED, FORBIDDEN, UNSUPPORTED_VERSION
AGAIN_SOON = (21, 24, 14, 25)  # OVERLOADED, SHUTTING_DOWN, CREDIT_EXCEEDED, CRC
AGAIN_PAUSE = 0.1  # of a stream


def word(words: Dict[Optional[str], int], value: Optional[str]) -> int:
    if value not in words:
        names = ", ".join(str(name) for name in words if name)
        raise ValueError(f"{value!r}: give one of {names}")
    return words[value]


def start_of(start: Any) -> Tuple[int, int]:
    """None, "earliest", "latest", a position, or ("time", ns)."""
    if isinstance(start, bool):
        raise ValueError("a start is no truth value")
    if isinstance(start, int):
        return 3, start
    if isinstance(start, tuple) and len(start) == 2 and start[0] == "time":
        return 4, int(start[1])
    return word(STARTS, start), 0


class Request:
    """A question, its answer's parts, or its error."""

    def __init__(self, command: int, fixed: bytes,
                 tlvs: Sequence[Tuple[int, bytes]], stream_id: int) -> None:
        self.command, self.fixed, self.tlvs = command, fixed, list(tlvs)
        self.stream_id = stream_id
        self.parts: List[wire.Control] = []
        self.error: Optional[RemoteError] = None
        self.done = False
        self.corr_id = 0
        # Called when the answer comes: what is behind it may depend on it.
        self.arrived: Optional[Callable[[wire.Control], None]] = None


class Engine:
    """One session with one bridge, again and again."""

    def __init__(self, name: str, lease: float) -> None:
        self.name, self.lease_ms = name, int(lease * 1000)
        self.state = "down"  # hello, up
        self.welcome: Dict[str, int] = {}
        self.feed = ""
        self.namespace = ""
        self.session_cnt = 0
        self.refused: Optional[RemoteError] = None
        self.outbox: Deque[List[bytes]] = deque()
        self.producers: List["ProducerCore"] = []
        self.consumers: List["ConsumerCore"] = []
        self._waiting: List[Request] = []
        self._asked: Dict[int, Request] = {}
        self._corr_id = 0
        self._sent_at = self._heard_at = self._hello_at = 0.0
        self._ping_at: Optional[float] = None
        self._backoff = BACKOFF_MIN
        self.now = 0.0

    # -- connection -----------------------------------------------------------

    def corr(self) -> int:
        self._corr_id = self._corr_id % 0xFFFFFFFF + 1
        return self._corr_id

    @property
    def heartbeat(self) -> float:
        return self.welcome.get("heartbeat_ms", 2000) / 1000

    def send(self, command: int, fixed: bytes = b"",
             tlvs: Sequence[Tuple[int, bytes]] = (), *, corr_id: int = 0,
             stream_id: int = 0, flags: int = 0,
             payload: Optional[bytes] = None) -> None:
        frame = wire.pack_control(command, fixed=fixed, tlvs=tlvs,
                                  corr_id=corr_id, stream_id=stream_id,
                                  flags=flags)
        self.outbox.append([frame] if payload is None else [frame, payload])
        self._sent_at = self.now

    def connected(self) -> None:
        """A new connection stands."""
        self.state = "hello"
        self._hello_at = self.now
        self._ping_at = None
        self.send(wire.HELLO, wire.ASKED[wire.HELLO].pack(
            proto_min=1, proto_max=1, lease_ms=self.lease_ms,
            session_id=self.welcome.get("session_id", 0),
            session_token=self.welcome.get("session_token", 0)),
            [(wire.NAME, self.name.encode())], corr_id=self.corr())

    def lost(self) -> float:
        """The connection is gone; how long to wait before the next one."""
        self.state = "down"
        self.outbox.clear()
        for request in list(self._asked.values()):
            if request.stream_id:
                self._fail(request, Stale("the connection was lost"))
            else:
                request.parts.clear()
                self._waiting.append(request)
        self._asked.clear()
        for producer in self.producers:
            producer.lost()
        for consumer in self.consumers:
            consumer.lost()
        pause, self._backoff = self._backoff, min(self._backoff * 2,
                                                  BACKOFF_MAX)
        return pause * random.uniform(0.75, 1.25)

    def receive(self, parts: Sequence[bytes]) -> None:
        """A message has come. ProtocolFault: give the connection up."""
        if not 1 <= len(parts) <= 2:
            raise ProtocolFault("a message of too many parts")
        control = wire.unpack_control(parts[0], len(parts) == 2)
        self._heard_at, self._ping_at = self.now, None
        command = control.command
        if command == wire.WELCOME:
            self._take_welcome(control)
        elif command == wire.PING:
            self.send(wire.PONG, wire.ANSWERED[wire.PONG].pack(
                nonce=control.fixed["nonce"]), corr_id=control.corr_id,
                flags=wire.REPLY)
        elif control.status == UnknownSession.status:
            raise ProtocolFault("the session has ended")
        elif control.is_reply and control.corr_id in self._asked:
            self._take_answer(control)
        elif command == wire.ERROR and self.state == "hello":
            error = error_for(control.status, control.text())
            if control.status in FOR_GOOD:
                self.refused = error
            raise ProtocolFault(str(error))
        elif not any(p.take(control) for p in self.producers):
            payload = parts[1] if len(parts) == 2 else b""
            for consumer in self.consumers:
                if consumer.take(control, payload):
                    return
            self._take_orphan(control)

    def _take_orphan(self, control: wire.Control) -> None:
        """A stream, or a new generation of one, that nobody waits for any
        more: it must not hold records, or a role, for nobody."""
        if control.is_reply and control.stream_id and control.command in (
                wire.ATTACH, wire.NACK, wire.SEEK):
            self.send(wire.DETACH, wire.ASKED[wire.DETACH].pack(
                generation=control.fixed["generation"]),
                stream_id=control.stream_id)

    def _take_welcome(self, control: wire.Control) -> None:
        self.welcome = control.fixed
        self.feed = control.text(wire.FEED)
        self.namespace = control.text(wire.NAMESPACE)
        self.state = "up"
        self.refused = None
        self.session_cnt += 1
        self._backoff = BACKOFF_MIN

    def tick(self) -> float:
        """Does what is due; returns the time of the next thing to do.
        ProtocolFault: the bridge is silent, give the connection up."""
        if self.state == "hello" and self.now - self._hello_at > 3:
            raise ProtocolFault("no answer to HELLO")
        if self.state != "up":
            return self.now + 0.5
        if self._ping_at is not None and \
                self.now - self._ping_at > 3 * self.heartbeat:
            raise ProtocolFault("the bridge is silent")
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._ask_now(request)
        due = self._sent_at + self.heartbeat / 2
        for consumer in self.consumers:
            due = min(due, consumer.flush())
        for producer in self.producers:
            due = min(due, producer.flush())
        if self.now - self._sent_at >= self.heartbeat / 2:
            self.send(wire.PING, wire.ASKED[wire.PING].pack(
                nonce=secrets.randbits(64)))
            if self._ping_at is None:
                self._ping_at = self.now
        return max(due, self.now + 0.001)

    def bye(self) -> None:
        if self.state == "up":
            for consumer in self.consumers:
                consumer.send_acks()
            self.send(wire.BYE, wire.ASKED[wire.BYE].pack())

    # -- questions ------------------------------------------------------------

    def _ask_now(self, request: Request) -> None:
        request.corr_id = self.corr()
        self._asked[request.corr_id] = request
        self.send(request.command, request.fixed, request.tlvs,
                  corr_id=request.corr_id, stream_id=request.stream_id)

    def _fail(self, request: Request, error: RemoteError) -> None:
        request.error, request.done = error, True

    def stream_over(self, stream_id: int, error: RemoteError) -> None:
        """Questions about it will not be answered."""
        for request in list(self._asked.values()):
            if request.stream_id == stream_id:
                self._fail(request, error)

    def _take_answer(self, control: wire.Control) -> None:
        request = self._asked[control.corr_id]
        if control.command == wire.ERROR or control.status:
            self._fail(request, error_for(
                control.status, control.text(),
                low=control.fixed.get("low", 0),
                high=control.fixed.get("high", 0),
                retry_after=control.fixed.get("retry_after_ms", 0) / 1000))
        else:
            request.parts.append(control)
            if request.arrived:
                request.arrived(control)
            request.done = not control.flags & wire.MORE
        if request.done:
            del self._asked[control.corr_id]

    def ask(self, command: int, fixed: bytes,
            tlvs: Sequence[Tuple[int, bytes]] = (), stream_id: int = 0,
            arrived: Optional[Callable[[wire.Control], None]] = None
            ) -> Steps:
        """Asks, again after a reconnect; returns the answer's parts."""
        request = Request(command, fixed, tlvs, stream_id)
        request.arrived = arrived
        if self.state == "up":
            self._ask_now(request)
        elif stream_id:
            raise Stale("the connection was lost")
        else:
            self._waiting.append(request)
        try:
            yield lambda: request.done
        finally:
            self._asked.pop(request.corr_id, None)
            if request in self._waiting:
                self._waiting.remove(request)
        if request.error:
            raise request.error
        return request.parts

    # -- topics ---------------------------------------------------------------

    def list_topics(self, pattern: Optional[str]) -> Steps:
        tlvs = [(wire.PATTERN, pattern.encode())] if pattern else []
        parts = yield from self.ask(
            wire.LIST, wire.ASKED[wire.LIST].pack(), tlvs)
        return [name.decode("ascii") for part in parts
                for name in part.all(wire.TOPIC)]

    def describe(self, topic: str) -> Steps:
        parts = yield from self.ask(
            wire.DESCRIBE, wire.ASKED[wire.DESCRIBE].pack(what=3),
            [(wire.TOPIC, topic.encode())])
        described: Dict[str, Any] = dict(parts[0].fixed)
        described["schema"] = parts[0].text(wire.SCHEMA)
        described["groups"] = [wire.unpack_group_stat(value) for part in parts
                               for value in part.all(wire.GROUP_STAT)]
        described["endpoints"] = [
            wire.unpack_endpoint_stat(value) for part in parts
            for value in part.all(wire.ENDPOINT_STAT)]
        return described

    def create(self, topic: str, schema: Optional[str],
               attrs: Dict[str, int]) -> Steps:
        tlvs = [(wire.TOPIC, topic.encode())]
        if schema:
            tlvs.append((wire.SCHEMA, schema.encode()))
        yield from self.ask(
            wire.CREATE, wire.ASKED[wire.CREATE].pack(**attrs), tlvs)


# -- publishing ---------------------------------------------------------------


class Publish:
    """A publish from being asked for until its answer."""

    def __init__(self, sequence: int, count: int, payload: bytes) -> None:
        self.sequence, self.count, self.payload = sequence, count, payload
        self.crc = crc32c(payload)
        self.sent = False
        self.corr_id = 0
        self.done = False
        self.result: Optional[Published] = None
        self.error: Optional[RemoteError] = None


class ProducerCore:
    """Exactly once: docs/wire.md, section 7."""

    def __init__(self, engine: Engine, topic: str, published: int,
                 level: Optional[str], producer_id: Optional[int], epoch: int,
                 level_timeout: float) -> None:
        self.engine, self.topic = engine, topic
        self.level = word(LEVELS, level)
        self.id = producer_id or secrets.randbits(63) | 1
        self.epoch = epoch
        self.timeout_ms = int(level_timeout * 1000)
        self._sequence = 0
        self._since = published
        self._open: Deque[Publish] = deque()
        self._window = (engine.welcome["publish_msgs"],
                        engine.welcome["publish_bytes"])
        self._again_at = 0.0
        engine.producers.append(self)

    def close(self) -> None:
        if self in self.engine.producers:
            self.engine.producers.remove(self)

    @property
    def pending(self) -> int:
        return len(self._open)

    def begin(self, records: Sequence[Tuple[bytes, bytes]]) -> Publish:
        """Takes records (data, attributes) as one frame."""
        if not 1 <= len(records) <= wire.RECORDS_MAX:
            raise ValueError("a publish has 1 to 4096 records")
        payload = b"".join(wire.pack_record(*record) for record in records)
        if len(payload) > min(self.engine.welcome["max_payload"],
                              self.engine.welcome["publish_bytes"]):
            raise error_for(13, f"{self.topic}: {len(payload)} bytes are more "
                            "than the bridge takes in one message")
        one = Publish(self._sequence, len(records), payload)
        self._sequence += one.count
        self._open.append(one)
        if self.engine.state == "up":
            self.flush()
        return one

    def publish(self, records: Sequence[Tuple[bytes, bytes]]) -> Steps:
        yield lambda: len(self._open) < self.engine.welcome["publish_msgs"]
        one = self.begin(records)
        return (yield from self.outcome(one))

    def outcome(self, one: Publish) -> Steps:
        yield lambda: one.done
        if one.error:
            raise one.error
        return one.result

    def drain(self) -> Steps:
        yield lambda: not self._open

    def lost(self) -> None:
        self._again_at = 0.0
        for one in self._open:
            one.sent = False

    def flush(self) -> float:
        """Sends what is to be sent; when to look again."""
        now = self.engine.now
        if now < self._again_at:
            return self._again_at
        flying = [one for one in self._open if one.sent and not one.done]
        total = sum(len(one.payload) for one in flying)
        count = len(flying)
        for one in self._open:
            if one.sent or one.done:
                continue
            if count and (count >= self._window[0] or
                          total + len(one.payload) > self._window[1]):
                break
            self._send(one)
            count += 1
            total += len(one.payload)
        return float("inf")

    def _send(self, one: Publish) -> None:
        one.corr_id = self.engine.corr()
        one.sent = True
        self.engine.send(
            wire.PUBLISH, wire.ASKED[wire.PUBLISH].pack(
                producer_id=self.id, sequence=one.sequence,
                settled=self._open[0].sequence, since=self._since,
                epoch=self.epoch, record_cnt=one.count,
                payload_crc32c=one.crc, timeout_ms=self.timeout_ms,
                level=self.level),
            [(wire.TOPIC, self.topic.encode())], corr_id=one.corr_id,
            payload=one.payload)

    def take(self, control: wire.Control) -> bool:
        if control.command not in (wire.PUBACK, wire.ERROR) or \
                not control.corr_id:
            return False
        for one in self._open:
            if one.corr_id == control.corr_id and one.sent and not one.done:
                self._take(one, control)
                return True
        return False

    def _take(self, one: Publish, control: wire.Control) -> None:
        ack, status = control.fixed, control.status
        if control.command == wire.PUBACK:
            self._window = (max(ack["window_msgs"], 1), ack["window_bytes"])
        if status in AGAIN_SOON:
            pause = ack.get("retry_after_ms", 0) / 1000 or 0.02
            one.sent, self._again_at = False, self.engine.now + pause
        elif status == 18 and ack.get("expected", 0) < one.sequence:
            one.sent = False  # OUT_OF_ORDER: goes again, behind the others
        else:
            self._finish(one, control)
        self.flush()

    def _finish(self, one: Publish, control: wire.Control) -> None:
        ack, status = control.fixed, control.status
        one.done = True
        if status in (0, 20, 22):
            known = not ack["flags"] & 2
            base = ack["base_pos"] if known else -1
            positions = wire.unpack_positions(control) or \
                [base + i if known else -1 for i in range(one.count)]
            one.result = Published(base, tuple(positions),
                                   LEVEL_NAMES.get(ack["level"], "none"),
                                   bool(ack["flags"] & 1))
        if status:
            one.error = error_for(status, control.text() or
                                  f"{self.topic}: the bridge refuses it")
        if status == 26 and ack.get("end_pos", wire.NONE) != wire.NONE:
            self._since = max(self._since, ack["end_pos"])
        while self._open and self._open[0].done:
            first = self._open.popleft()
            if first.result and first.result.position >= 0:
                # Lower, too: a topic that was made anew begins at 0.
                self._since = first.result.position


# -- receiving ----------------------------------------------------------------


class ConsumerCore:
    """A stream, opened again after each reconnect."""

    def __init__(self, engine: Engine, topic: str, group: Optional[str],
                 **options: Any) -> None:
        self.engine, self.topic, self.group = engine, topic, group
        self._dead_letter: Optional[str] = options.get("dead_letter")
        kind, value = start_of(options.get("start"))
        until = options.get("until")
        prefetch = options.get("prefetch") or 0
        if group and not prefetch and options.get("kind") != "exclusive":
            prefetch = 16
        self._attach: Dict[str, int] = dict(
            flags=1 if options.get("no_create") else 0,
            kind=word(KINDS, options.get("kind")),
            absent=word(ABSENT, options.get("absent")), start=kind,
            read_level=word(LEVELS, options.get("read")), start_value=value,
            until=wire.NONE if until is None else until,
            group_lease_ns=int((options.get("lease") or 0) * 1e9),
            max_attempts=options.get("max_attempts") or 0,
            prefetch_frames=prefetch)
        self._bytes = Credit(options.get("window_bytes") or 1 << 20)
        self._records = Credit(options.get("window_records") or 4096)
        self._looked: Optional[Tuple[int, ...]] = None
        self._again_at = 0.0
        self.state = "detached"  # attaching, attached, leaving, ended
        self.error: Optional[RemoteError] = None
        self.attached: Dict[str, int] = {}
        self.created = False
        self.finished = False  # `until` was reached
        #: The topic's, as far as known; and whether it was found made anew.
        self.epoch: Optional[int] = options.get("epoch")
        self.anew = False
        self.token = 0
        self.stale = 0
        self.next_pos = 0
        self._corr_id = self._stream_id = self._generation = 0
        self._delivery = 0
        #: Records and gaps, and the bytes whose use ends with each.
        self._queue: Deque[Tuple[object, int]] = deque()
        self._acks: List[Tuple[int, int]] = []
        self._ack_corrs: Dict[int, int] = {}
        engine.consumers.append(self)

    # -- opening --------------------------------------------------------------

    def opened(self) -> Steps:
        yield lambda: self.state in ("attached", "ended")
        if self.state == "ended" and not self.attached:
            self.forget()
            raise self.error or Closed(f"{self.topic}: the stream is over")

    def forget(self) -> None:
        if self in self.engine.consumers:
            self.engine.consumers.remove(self)

    def leave(self) -> None:
        """Gives the stream up without waiting for anything."""
        if self.state == "attached":
            self.engine.send(wire.DETACH, wire.ASKED[wire.DETACH].pack(
                generation=self._generation), stream_id=self._stream_id)
            self.engine.stream_over(self._stream_id, Stale(
                f"{self.topic}: the stream was closed"))
        self.state = "ended"
        self.error = self.error or Closed(f"{self.topic}: it was closed")
        self.forget()

    def _windows(self) -> Tuple[int, int]:
        welcome = self.engine.welcome
        others = [c for c in self.engine.consumers if c is not self and
                  c.state in ("attaching", "attached")]
        streams = welcome["max_streams"]
        return (self._bytes.window(welcome["max_credit_bytes"], streams,
                                   (c._bytes for c in others)),
                self._records.window(welcome["max_credit_records"], streams,
                                     (c._records for c in others)))

    def _send_attach(self) -> None:
        self._bytes.renew()
        self._records.renew()
        for credit, window in zip((self._bytes, self._records),
                                  self._windows()):
            credit.granted = credit.total(window)
        self._looked = None
        self._corr_id = self.engine.corr()
        tlvs = [(wire.TOPIC, self.topic.encode()),
                (wire.MEMBER, self.engine.name.encode())]
        if self.group:
            tlvs.append((wire.GROUP, self.group.encode()))
        if self._dead_letter:
            tlvs.append((wire.DEAD_LETTER, self._dead_letter.encode()))
        self.state = "attaching"
        self.engine.send(wire.ATTACH, wire.ASKED[wire.ATTACH].pack(
            credit_bytes=self._bytes.granted,
            credit_records=self._records.granted,
            **self._attach), tlvs, corr_id=self._corr_id)

    def flush(self) -> float:
        """Sends what is due; returns the time of the next thing to do."""
        if self.state == "attached":
            self.send_acks()
        if self.state not in ("detached", "attached"):
            return float("inf")
        if self.engine.now < self._again_at:
            return self._again_at
        if self.state == "detached":
            self._send_attach()
        else:
            self._grant()
        return float("inf")

    def _grant(self) -> None:
        # Windows are looked at again when something has been taken: else
        # each stream would look at all others for each message.
        looked = (self._bytes.done, self._bytes.left, self._records.done,
                  self._records.left)
        if looked == self._looked:
            return
        self._looked = looked
        windows = self._windows()
        totals = (self._bytes.total(windows[0]),
                  self._records.total(windows[1]))
        if totals[0] - self._bytes.granted <= windows[0] // 4 and \
                totals[1] - self._records.granted <= windows[1] // 4:
            return
        self._bytes.granted, self._records.granted = totals
        self.engine.send(wire.CREDIT, wire.ASKED[wire.CREDIT].pack(
            bytes=totals[0], records=totals[1]), stream_id=self._stream_id)

    def _grant_refused(self) -> None:
        """Nothing was granted: once more, a little later. (Totals: if part of
        it had been, that does no harm.)"""
        for credit in (self._bytes, self._records):
            credit.granted = min(credit.granted, credit.came)
        self._looked = None
        self._again_at = self.engine.now + AGAIN_PAUSE

    def lost(self) -> None:
        if self.state in ("ended", "leaving"):
            return
        self.state = "detached"
        self._again_at = 0.0
        self.token += 1
        self.stale += len(self._acks) + len(self._ack_corrs)
        self._acks.clear()
        self._ack_corrs.clear()
        if self.group:
            self._drop_queue()
        elif self.attached and not self.anew:
            self._attach.update(start=3, start_value=self.next_pos)

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._bytes.dropped()
        self._records.dropped()

    def _end(self, error: RemoteError) -> None:
        had = self.state == "attached"
        self.lost()
        self.state, self.error = "ended", error
        if had:
            self.engine.stream_over(self._stream_id, error)

    # -- what comes -----------------------------------------------------------

    def take(self, control: wire.Control, payload: bytes) -> bool:
        mine = self.state == "attaching" and control.is_reply and \
            control.corr_id == self._corr_id
        if not mine and not (self.state == "attached" and
                             control.stream_id == self._stream_id):
            return False
        command = control.command
        if command == wire.ERROR:
            return self._take_error(control, mine)
        if command == wire.ATTACH:
            self._take_attached(control)
        elif command == wire.DELIVER:
            self._take_deliver(control, payload)
        elif command == wire.GAP:
            self._take_gap(control)
        elif command == wire.END:
            self._count(control)
            if control.fixed["generation"] == self._generation:
                self.finished = True
                self._end(Closed(f"{self.topic}: the end was reached"))
        elif command == wire.REVOKE:
            self._end(error_for(control.status, control.text() or
                                f"{self.topic}: the stream was revoked"))
        elif command == wire.ACK:
            self._take_acked(control)
        elif command in (wire.NACK, wire.SEEK) and control.is_reply:
            self._renewed(control)  # who asked has given up meanwhile
        return True

    def _take_error(self, control: wire.Control, mine: bool) -> bool:
        if mine and control.status in AGAIN_SOON:
            self.state = "detached"
            self._again_at = self.engine.now + max(
                AGAIN_PAUSE, control.fixed["retry_after_ms"] / 1000)
        elif control.fixed["command"] == wire.CREDIT and control.status == 14:
            self._grant_refused()
        elif mine:
            self._end(error_for(control.status, control.text()))
        elif control.corr_id in self._ack_corrs:
            self._take_acked(control)
        elif control.status == 36:
            self._end(Stale(control.text()))
        else:
            return False
        return True

    def _take_acked(self, control: wire.Control) -> None:
        count = self._ack_corrs.pop(control.corr_id, 0)
        self.stale += control.fixed["stale"] if control.command == wire.ACK \
            else count

    def _take_attached(self, control: wire.Control) -> None:
        first, epoch = not self.attached, control.fixed["epoch"]
        self.attached = control.fixed
        self.state = "attached"
        self._stream_id = control.stream_id
        self._generation = control.fixed["generation"]
        self._delivery = 0
        if first:
            self.created = bool(control.fixed["created"])
        known, self.epoch = self.epoch, epoch
        if known not in (None, epoch) and not self.group:
            self._take_anew()
        elif first or self.group:
            self.next_pos = self.attached["position"]
        elif self.anew:
            # How much the former history still had is not known.
            self.anew = False
            self.next_pos = self.attached["position"]
            self._queue.append((Gap(self.topic, self.next_pos, self.next_pos,
                                    0, None, "lost"), 0))
        elif self.attached["earliest"] > self.next_pos:
            self._queue.append((Gap(self.topic, self.next_pos,
                                    self.attached["earliest"], 0, None,
                                    "dropped"), 0))
            self.next_pos = self.attached["earliest"]

    def _take_anew(self) -> None:
        """Another topic under the same name: our positions mean nothing in
        it. It is read from its beginning; `until` was the other's."""
        self.anew = True
        if self._attach["until"] != wire.NONE:
            self.leave()
            self.error = Closed(f"{self.topic}: the topic was removed and "
                                "made anew")
            return
        self.engine.send(wire.DETACH, wire.ASKED[wire.DETACH].pack(
            generation=self._generation), stream_id=self._stream_id)
        self.state = "detached"
        self._attach.update(start=1, start_value=0)

    def _count(self, control: wire.Control) -> None:
        if control.fixed["delivery"] != self._delivery:
            raise ProtocolFault("a delivery is missing")
        self._delivery += 1

    def _take_deliver(self, control: wire.Control, payload: bytes) -> None:
        fixed = control.fixed
        self._count(control)
        self._bytes.came += len(payload)
        self._records.came += fixed["record_cnt"]
        if fixed["generation"] != self._generation:
            self._bytes.done += len(payload)
            self._records.done += fixed["record_cnt"]
            return
        if crc32c(payload) != fixed["payload_crc32c"]:
            raise ProtocolFault("a payload's CRC is wrong")
        records = list(wire.unpack_runs(payload))
        if not records or len(records) != fixed["record_cnt"]:
            raise ProtocolFault("a payload holds other records than it says")
        self._queue.extend((record, 0) for record in records[:-1])
        self._queue.append((records[-1], len(payload)))
        self.next_pos = fixed["end_pos"]

    def _take_gap(self, control: wire.Control) -> None:
        fixed = control.fixed
        self._count(control)
        if fixed["generation"] != self._generation:
            return
        records = fixed["records"]
        self._queue.append((Gap(
            self.topic, fixed["from"], fixed["to"], fixed["frames"],
            None if records == wire.NONE else records,
            GAP_REASONS.get(fixed["reason"], "dropped")), 0))
        self.next_pos = fixed["to"]

    # -- what the caller sees --------------------------------------------------

    @property
    def queued(self) -> int:
        return len(self._queue)

    def ready(self) -> bool:
        return bool(self._queue) or self.state == "ended"

    def next(self) -> object:
        """A Message or Gap, or None when there is nothing now."""
        if self._queue:
            item, size = self._queue.popleft()
            if isinstance(item, Gap):
                return item
            assert isinstance(item, wire.Delivered)
            self._bytes.taken(size)
            self._records.taken(1)
            return Message(self.topic, item.data, item.position, item.producer,
                           item.sequence, item.time_ns, item.attempt,
                           item.redelivered, item.attrs, self.token)
        if self.state == "ended":
            raise self.error or Closed(f"{self.topic}: the stream is over")
        return None

    def receive(self) -> Steps:
        yield self.ready
        return self.next()

    def ack(self, message: Message) -> None:
        """Stale: it has moved on with its session or stream."""
        if not self.group:
            return
        if message.token != self.token or self.state != "attached":
            raise Stale(f"{self.topic}: the record at {message.position} has "
                        "moved on")
        position = message.position
        if self._acks and self._acks[-1][1] == position:
            self._acks[-1] = (self._acks[-1][0], position + 1)
        else:
            self._acks.append((position, position + 1))
        if len(self._acks) >= 256:
            self.send_acks()

    def send_acks(self) -> None:
        while self._acks and self.state == "attached":
            some, self._acks = self._acks[:4000], self._acks[4000:]
            corr_id = self.engine.corr()
            self._ack_corrs[corr_id] = len(some)
            self.engine.send(wire.ACK, wire.ASKED[wire.ACK].pack(
                generation=self._generation), [wire.pack_ranges(some)],
                corr_id=corr_id, stream_id=self._stream_id)

    def settled(self) -> Steps:
        """Waits until all acknowledgements were carried out."""
        self.send_acks()
        yield lambda: not self._ack_corrs and not self._acks
        stale, self.stale = self.stale, 0
        if stale:
            raise Stale(f"{self.topic}: records were acknowledged too late and "
                        "have moved on")

    def _ask(self, command: int, tlvs: Sequence[Tuple[int, bytes]] = (),
             **fixed: int) -> Steps:
        if self.state != "attached":
            raise Stale(f"{self.topic}: the stream is over")
        self.send_acks()
        parts = yield from self.engine.ask(
            command, wire.ASKED[command].pack(generation=self._generation,
                                              **fixed), tlvs, self._stream_id,
            self._renewed if command in (wire.NACK, wire.SEEK) else None)
        return parts[0].fixed

    def _renewed(self, control: wire.Control) -> None:
        """A new generation begins with the answer: the records that come
        behind it, perhaps in the same moment, are of it."""
        answer = control.fixed
        if answer["generation"] == self._generation:
            return
        self._generation = answer["generation"]
        self.token += 1
        self._acks.clear()
        self._drop_queue()
        if control.command == wire.SEEK:
            self.next_pos = answer["position"]

    def nack(self, message: Message, delay: float) -> Steps:
        if not self.group:
            raise Invalid(f"{self.topic}: nothing to give back")
        if message.token != self.token:
            raise Stale(f"{self.topic}: the record at {message.position} has "
                        "moved on")
        answer = yield from self._ask(
            wire.NACK, [wire.pack_ranges([(message.position,
                                           message.position + 1)])],
            delay_ns=int(delay * 1e9))
        if not answer["done"]:
            raise Stale(f"{self.topic}: the record at {message.position} has "
                        "moved on")

    def commit(self, position: int, level: Optional[str], timeout: float
               ) -> Steps:
        answer = yield from self._ask(
            wire.COMMIT, position=position, level=word(LEVELS, level),
            timeout_ms=min(int(timeout * 1000), 0xFFFFFFFF))
        return answer["floor"]

    def seek(self, start: Any) -> Steps:
        kind, value = start_of(start)
        yield from self._ask(wire.SEEK, start=kind, value=value)

    def drained(self) -> Steps:
        answer = yield from self._ask(wire.CHECK)
        return bool(answer["drained"]) and not self._queue

    def detach(self) -> Steps:
        """Ends the stream, and waits until it has been."""
        asked = self._ask(wire.DETACH)
        condition = next(asked)  # it is on its way
        if self.state == "attached":
            self.state = "leaving"
        yield condition
        yield from asked


# -- live feed ----------------------------------------------------------------


class LiveCore:
    """The feed, made whole (docs/wire.md, section 8)."""

    def __init__(self, engine: Engine, topic: str, published: int,
                 epoch: int) -> None:
        self.engine, self.topic = engine, topic
        self.next_pos, self.epoch = published, epoch
        self.fill: Optional[ConsumerCore] = None
        self.backfills = self.backfilled = 0
        self._start: Any = None  # of the backfill, as is needed to begin anew
        self._until = self._fill_epoch = 0
        self._failed = False  # the backfill; it is tried again
        self._after: Optional[Tuple[Message, int]] = None  # and its epoch
        self.queue: Deque[object] = deque()

    def begin_fill(self, start: Any, until: int,
                   epoch: Optional[int] = None) -> None:
        self._failed = False
        self._start, self._until = start, until
        self._fill_epoch = self.epoch if epoch is None else epoch
        self.fill = ConsumerCore(self.engine, self.topic, None, start=start,
                                 until=until, read="published",
                                 epoch=self._fill_epoch)

    def fill_to(self, until: int) -> None:
        self.backfills += 1
        self.begin_fill(self.next_pos, until)

    def begin_anew(self, epoch: int, until: int) -> None:
        """It is said that there is another history. The stream's answer tells
        whether that is so: what was said may be older than what we read."""
        self.backfills += 1
        self.begin_fill("earliest", until, epoch)

    def take(self, parts: Sequence[bytes]) -> None:
        """A message of the feed; nothing is given while a backfill runs."""
        try:
            head = wire.unpack_feed(parts)
        except ProtocolFault:
            return  # a later message shows what is missing
        heartbeat = bool(head["flags"] & wire.FEED_HEARTBEAT)
        omitted = bool(head["flags"] & wire.FEED_OMITTED)
        prev, pos = head["prev_pos"], head["pos"]
        message = Message(self.topic, parts[2], pos, time_ns=head["time_ns"],
                          raw_attrs=parts[3] if len(parts) == 4 else b"")
        if head["epoch"] != self.epoch:
            self.begin_anew(head["epoch"], pos + 1 if omitted else pos)
            if not heartbeat and not omitted:
                self._after = message, head["epoch"]
        elif heartbeat:
            if (prev == wire.NONE and self.next_pos < pos) or \
                    (prev != wire.NONE and self.next_pos <= prev):
                self.fill_to(pos)
        elif pos < self.next_pos:
            pass
        elif omitted:
            self.fill_to(pos + 1)
        elif prev != wire.NONE and prev < self.next_pos:
            self.queue.append(message)
            self.next_pos = pos + 1
        else:
            self._after = message, head["epoch"]
            self.fill_to(pos)

    def looked(self, published: int, epoch: int) -> None:
        """DESCRIBE's answer, after silence of the feed."""
        if epoch != self.epoch:
            self.begin_anew(epoch, published)
        elif published > self.next_pos:
            self.fill_to(published)

    def step(self) -> None:
        """Moves records of the backfill on. RemoteError: it has failed; the
        next call tries it again."""
        if self._failed:
            self.begin_fill(self._start, self._until, self._fill_epoch)
        while self.fill:
            fill = self.fill
            if fill.attached and not fill.anew and \
                    self.epoch != self._fill_epoch:
                self._switch(fill)
            if not fill.ready():
                return
            if fill.anew and not fill.queued:
                self._take_anew(fill)
                continue
            if fill.finished and not fill.queued:
                self._end_fill()
                return
            try:
                self._take_item(fill.next())
            except RemoteError:
                fill.leave()
                self.fill, self._failed = None, True
                raise

    def _take_item(self, item: object) -> None:
        if isinstance(item, Message):
            if self.backfills:
                self.backfilled += 1
            self.next_pos = max(self.next_pos, item.position + 1)
        elif isinstance(item, Gap):
            self.next_pos = max(self.next_pos, item.end)
        self._start = self.next_pos
        self.queue.append(item)

    def _switch(self, fill: ConsumerCore) -> None:
        """The other history is there: ours has ended, how is not known."""
        self.epoch = self._fill_epoch
        self.next_pos = fill.attached["position"]
        self.queue.append(Gap(self.topic, self.next_pos, self.next_pos, 0,
                              None, "lost"))

    def _take_anew(self, fill: ConsumerCore) -> None:
        """The stream is of a history that we did not ask for."""
        fill.leave()
        self.fill = None
        found = fill.attached["epoch"]
        if self._after and self._after[1] != found:
            self._after = None
        if found != self.epoch:
            self.begin_anew(found, fill.attached["published"])

    def _end_fill(self) -> None:
        assert self.fill
        self.fill.leave()
        self.fill = None
        self.next_pos = max(self.next_pos, self._until)
        after, self._after = self._after, None
        if after and after[0].position >= self.next_pos:
            self.queue.append(after[0])
            self.next_pos = after[0].position + 1

    def feed_endpoint(self, endpoint: str) -> str:
        feed = self.engine.feed
        for anything in ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"):
            if feed.startswith(anything):
                return endpoint.rsplit(":", 1)[0] + ":" + feed.rsplit(":", 1)[1]
        return feed
