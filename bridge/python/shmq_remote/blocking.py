"""The blocking client. One Remote, with all its handles, is used by one thread
at a time. Calls that wait take a timeout in seconds (None: for ever)."""
from __future__ import annotations

import time
from contextlib import suppress
from typing import (Any, Dict, Iterator, List, Optional, Sequence, Tuple,
                    Union)

import zmq
from zmq.utils.monitor import recv_monitor_message

from . import wire
from .engine import ConsumerCore, Engine, LiveCore, ProducerCore, Publish
from .errors import (Closed, Forbidden, ProtocolFault, RemoteError, Timeout,
                     Unauthenticated, Unreachable)
from .message import Gap, Message, Published, pack_attrs
from .sockets import REFUSED, close_dealer, make_keys, open_dealer, open_sub

Seconds = Optional[float]
CONNECT = 2.0
SILENCE = 2.0


class Remote:
    """A session with one bridge. It connects, and after any loss connects
    again, by itself, during any call; `timeout` is what calls wait when they
    are given none."""

    def __init__(self, endpoint: str, *, name: str = "python",
                 lease: float = 0.0, server_key: Optional[str] = None,
                 public_key: Optional[str] = None,
                 secret_key: Optional[str] = None,
                 timeout: Seconds = 10.0) -> None:
        self.endpoint, self.timeout = endpoint, timeout
        self.engine = Engine(name, lease)
        self.keys = make_keys(server_key, public_key, secret_key)
        self._context: Any = zmq.Context()
        self._socket: Any = None
        self._monitor: Any = None
        self._retry_at = self._opened_at = 0.0
        self._handshaken = False
        self._lives: List["Live"] = []
        self._open()

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Says goodbye: what is held goes back at once."""
        if self._context is None:
            return
        for live in list(self._lives):
            live.close()
        if self._socket is not None:
            self.engine.bye()
            self._flush()
        if self._socket is not None:
            close_dealer(self._socket, self._monitor, 1000)
            self._socket = None
        self._context.term()
        self._context = None

    # -- moving bytes -----------------------------------------------------------

    def _open(self) -> None:
        self._socket, self._monitor = open_dealer(self._context, self.endpoint,
                                                  self.keys)
        self._opened_at = time.monotonic()
        self._handshaken = False

    def _lose(self) -> None:
        if self._socket is not None:
            close_dealer(self._socket, self._monitor)
            self._socket = None
        self._retry_at = time.monotonic() + self.engine.lost()

    def _flush(self) -> None:
        outbox = self.engine.outbox
        while outbox and self._socket is not None:
            try:
                self._socket.send_multipart(outbox[0], zmq.DONTWAIT)
            except zmq.ZMQError:
                self._lose()
                return
            outbox.popleft()

    def _read(self) -> bool:
        cnt = 0
        while self._socket is not None and cnt < 256:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            cnt += 1
            try:
                self.engine.receive(parts)
            except ProtocolFault:
                self._lose()
        return cnt > 0

    def _look_at_events(self) -> None:
        while self._socket is not None and self._monitor.poll(0):
            event = int(recv_monitor_message(self._monitor)["event"])
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._handshaken = True
                continue
            if event & REFUSED:
                self.engine.refused = Unauthenticated(
                    f"{self.endpoint}: the bridge refuses the handshake; give "
                    "the keys that it knows")
            self._lose()

    def _do_due(self) -> float:
        engine = self.engine
        engine.now = now = time.monotonic()
        if self._socket is None:
            if now < self._retry_at:
                return self._retry_at
            try:
                self._open()
            except zmq.ZMQError:  # no descriptor left, and the like
                self._lose()
                return self._retry_at
        if engine.state == "down":
            if self._handshaken:
                engine.connected()
            elif now - self._opened_at > CONNECT:
                self._lose()
                return self._retry_at
            else:
                return self._opened_at + CONNECT
        try:
            due = engine.tick()
        except ProtocolFault:
            self._lose()
            return self._retry_at
        self._flush()
        return due

    def pump(self, until: float, other: Any = None) -> None:
        """Does what is due and reads what came; waits for something to happen,
        at most until a time of time.monotonic()."""
        read = self._read()
        self._look_at_events()
        due = self._do_due()
        now = time.monotonic()
        if read or until <= now:
            return
        poller = zmq.Poller()
        if self._socket is not None:
            poller.register(self._socket, zmq.POLLIN)
            poller.register(self._monitor, zmq.POLLIN)
        if other is not None:
            poller.register(other, zmq.POLLIN)
        poller.poll(int(max(0.0, min(due, until) - now) * 1000) + 1)
        self._read()
        self._look_at_events()
        self._do_due()

    def _until(self, timeout: Seconds) -> float:
        if timeout is None:
            return float("inf")
        return time.monotonic() + timeout

    def drive(self, steps: Any, timeout: Union[Seconds, str] = "default"
              ) -> Any:
        """Runs the steps of an operation to their end."""
        if timeout == "default":
            timeout = self.timeout
        until = self._until(timeout)  # type: ignore[arg-type]
        if self._context is None:
            raise Closed(f"{self.endpoint}: the connection was closed")
        self.engine.now = time.monotonic()
        try:
            condition = next(steps)
            while True:
                while not condition():
                    self._check(until)
                    self.pump(min(until, time.monotonic() + 3600))
                condition = next(steps)
        except StopIteration as end:
            return end.value

    def _check(self, until: float) -> None:
        if self.engine.refused and not self.engine.session_cnt:
            raise self.engine.refused
        if time.monotonic() < until:
            return
        if self.engine.state != "up":
            raise Unreachable(f"{self.endpoint}: no shmq-bridge answers there")
        raise Timeout(f"{self.endpoint}: not done in time")

    def connect(self, timeout: Union[Seconds, str] = "default") -> None:
        """Waits for the session."""
        def steps() -> Any:
            yield lambda: self.engine.state == "up"
        self.drive(steps(), timeout)

    def extend(self) -> None:
        """Renews the lease, and does what else is due."""
        self.pump(0)

    # -- topics -----------------------------------------------------------------

    def topics(self, pattern: Optional[str] = None) -> List[str]:
        """Names of the topics, in byte order."""
        return self.drive(self.engine.list_topics(pattern))

    def describe(self, topic: str) -> Dict[str, Any]:
        """Attributes, positions, groups and endpoints of a topic."""
        return self.drive(self.engine.describe(topic))

    def create(self, topic: str, *, schema: Optional[str] = None,
               **attrs: int) -> None:
        """Makes a topic; attributes as CREATE in docs/wire.md."""
        self.drive(self.engine.create(topic, schema, attrs))

    # -- handles ----------------------------------------------------------------

    def producer(self, topic: str, *, level: Optional[str] = None,
                 producer_id: Optional[int] = None, epoch: int = 1,
                 level_timeout: float = 0.0) -> "Producer":
        """Opens a producer: published, and answered, exactly once."""
        published = self.describe(topic)["published"]
        return Producer(self, ProducerCore(
            self.engine, topic, published, level, producer_id, epoch,
            level_timeout))

    def consumer(self, topic: str, group: Optional[str] = None,
                 **options: Any) -> "Consumer":
        """Opens a member of a group, or (without one) a reader of its own.
        Options: start ("earliest", "latest", position, ("time", ns)), kind
        ("shared", "exclusive"), absent, lease, max_attempts, dead_letter,
        prefetch, read (level), until, no_create, window_bytes,
        window_records."""
        self.connect()
        core = ConsumerCore(self.engine, topic, group, **options)
        try:
            self.drive(core.opened())
        except BaseException:
            core.leave()
            self._flush()
            raise
        return Consumer(self, core)

    def live(self, topic: str, start: Any = "latest") -> "Live":
        """Follows the live feed; what it loses is read from the topic."""
        return Live(self, topic, start)


class Producer:
    """Publishes to one topic."""

    def __init__(self, remote: Remote, core: ProducerCore) -> None:
        self._remote, self.core = remote, core

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.core.close()

    def publish(self, data: bytes, *, key: Optional[bytes] = None,
                headers: Optional[Dict[str, bytes]] = None,
                timeout: Union[Seconds, str] = None) -> Published:
        """Publishes one record and waits until it has reached the level."""
        return self.publish_batch([(data, pack_attrs(key, headers))],
                                  timeout=timeout)

    def publish_batch(self, records: Sequence[Tuple[bytes, bytes]], *,
                      timeout: Union[Seconds, str] = None) -> Published:
        """Publishes records (data, attributes) as one frame: all, or none."""
        return self._remote.drive(self.core.publish(records), timeout)

    def begin(self, records: Sequence[Tuple[bytes, bytes]]) -> Publish:
        """Begins to publish; outcome() waits. Waits itself while too many are
        underway."""
        def room() -> Any:
            yield lambda: self.core.pending < \
                self._remote.engine.welcome["publish_msgs"]
        self._remote.drive(room(), None)
        one = self.core.begin(records)
        self._remote.pump(0)
        return one

    def outcome(self, one: Publish,
                timeout: Union[Seconds, str] = None) -> Published:
        """Waits for what became of begin()."""
        return self._remote.drive(self.core.outcome(one), timeout)

    def drain(self, timeout: Union[Seconds, str] = None) -> None:
        """Waits until every publish has its outcome."""
        self._remote.drive(self.core.drain(), timeout)


class Consumer:
    """Reads one topic. Iterating gives messages and gaps for ever."""

    def __init__(self, remote: Remote, core: ConsumerCore) -> None:
        self._remote, self.core = remote, core

    def __enter__(self) -> "Consumer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Union[Message, Gap]]:
        while True:
            try:
                yield self.receive(timeout=None)
            except Closed:
                return

    @property
    def created_group(self) -> bool:
        return self.core.created

    def receive(self, timeout: Union[Seconds, str] = "default"
                ) -> Union[Message, Gap]:
        """The next record or gap. Timeout: none came; Closed: none will."""
        if not self.core.ready():
            self.core.send_acks()
        return self._remote.drive(self.core.receive(), timeout)

    def ack(self, message: Message) -> None:
        """Acknowledges; it is sent with others, at the latest when nothing is
        there to receive. Stale: the record has moved on."""
        self.core.ack(message)

    def settle(self, timeout: Union[Seconds, str] = "default") -> None:
        """Waits until all acknowledgements were carried out. Stale: one came
        too late."""
        self._remote.drive(self.core.settled(), timeout)

    def nack(self, message: Message, delay: float = 0.0) -> None:
        """Gives a record back for another try."""
        self._remote.drive(self.core.nack(message, delay))

    def commit(self, position: int, level: Optional[str] = None,
               timeout: float = 10.0) -> int:
        """Acknowledges all below `position`; returns the group's floor when it
        was recorded at `level`."""
        return self._remote.drive(
            self.core.commit(position, level, timeout), timeout + 5)

    def seek(self, start: Any) -> None:
        self._remote.drive(self.core.seek(start))

    def drained(self) -> bool:
        """Whether all published so far was acknowledged by the group."""
        return self._remote.drive(self.core.drained())

    def close(self) -> None:
        """Sends acknowledgements, gives the rest back."""
        try:
            for steps in (self.core.settled, self.core.detach):
                if self.core.state == "attached":
                    with suppress(RemoteError):
                        self._remote.drive(steps(), 1.0)
        finally:
            self.core.leave()
            self._remote._flush()


class Live:
    """The live feed of one topic, without holes."""

    def __init__(self, remote: Remote, topic: str, start: Any) -> None:
        self._remote = remote
        described = remote.describe(topic)
        published = described["published"]
        self.core = LiveCore(remote.engine, topic, published,
                             described["epoch"])
        if not remote.engine.feed:
            raise Unreachable(f"{remote.endpoint}: the bridge has no feed")
        self._socket = open_sub(
            remote._context, self.core.feed_endpoint(remote.endpoint),
            remote.keys, wire.feed_topics(topic))
        self._heard = time.monotonic()
        remote._lives.append(self)
        if start != "latest":
            self.core.begin_fill(start, published)

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Union[Message, Gap]]:
        while True:
            yield self.receive(timeout=None)

    def close(self) -> None:
        if self in self._remote._lives:
            self._remote._lives.remove(self)
            self._socket.close(0)
            if self.core.fill:
                self.core.fill.leave()
                self._remote._flush()

    @property
    def backfills(self) -> int:
        """How often records were missing in the feed, and read instead."""
        return self.core.backfills

    def _take(self) -> bool:
        core = self.core
        core.step()
        while not core.queue and not core.fill:
            try:
                parts = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            self._heard = time.monotonic()
            core.take(parts)
            core.step()
        return bool(core.queue)

    def _look(self) -> None:
        """Silence: is the topic there, may we read it, has it grown?"""
        self._heard = time.monotonic()
        try:
            described = self._remote.describe(self.core.topic)
        except Forbidden:
            raise
        except RemoteError:
            return
        self.core.looked(described["published"], described["epoch"])

    def receive(self, timeout: Union[Seconds, str] = "default"
                ) -> Union[Message, Gap]:
        """The next record, or a gap that the topic itself has."""
        remote = self._remote
        if timeout == "default":
            timeout = remote.timeout
        until = remote._until(timeout)  # type: ignore[arg-type]
        while not self._take():
            now = time.monotonic()
            if now >= until:
                raise Timeout(f"{self.core.topic}: no record in time")
            filling = self.core.fill is not None
            silent = float("inf") if filling else self._heard + SILENCE
            if now >= silent:
                self._look()
                continue
            remote.pump(min(until, silent, now + 60),
                        None if filling else self._socket)
        return self.core.queue.popleft()  # type: ignore[return-value]
