"""The asyncio client: as blocking.py, with coroutines. One Remote belongs to
one event loop; its handles may be used by several tasks."""
from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import (Any, AsyncIterator, Dict, List, Optional, Sequence, Tuple,
                    Union)

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

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
    """A session with one bridge, kept up by a task: `async with Remote(...)`.
    The lease is renewed as long as the event loop runs."""

    def __init__(self, endpoint: str, *, name: str = "python",
                 lease: float = 0.0, server_key: Optional[str] = None,
                 public_key: Optional[str] = None,
                 secret_key: Optional[str] = None,
                 timeout: Seconds = 10.0) -> None:
        self.endpoint, self.timeout = endpoint, timeout
        self.engine = Engine(name, lease)
        self.keys = make_keys(server_key, public_key, secret_key)
        self._context: Any = None
        self._socket: Any = None
        self._monitor: Any = None
        self._task: Optional["asyncio.Task[None]"] = None
        self._changed: "asyncio.Future[None]"
        self._kick = asyncio.Event()
        self._lives: List["Live"] = []
        self._over: Optional[RemoteError] = None  # why nothing happens any more

    async def __aenter__(self) -> "Remote":
        self._context = zmq.asyncio.Context()
        self._changed = asyncio.get_running_loop().create_future()
        try:
            self._open()
        except BaseException:  # such as an endpoint that is none
            self._context.destroy(0)
            raise
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Says goodbye: what is held goes back at once. Tasks that wait for
        something of this connection get Closed."""
        if self._task is None:
            return
        self._over = Closed(f"{self.endpoint}: the connection was closed")
        for live in list(self._lives):
            live.close()
        task, self._task = self._task, None
        task.cancel()
        try:
            await asyncio.wait((task,))
            if self._socket is not None:
                self.engine.bye()
                with suppress(ProtocolFault):
                    await self._flush()
        finally:
            self._close_socket(1000)
            self._wake()
            self._context.destroy(1000)

    # -- moving bytes -----------------------------------------------------------

    def _wake(self) -> None:
        if not self._changed.done():
            self._changed.set_result(None)
        self._changed = asyncio.get_running_loop().create_future()

    def _open(self) -> None:
        self._socket, self._monitor = open_dealer(self._context, self.endpoint,
                                                  self.keys)

    def _close_socket(self, linger_ms: int = 0) -> None:
        if self._socket is not None:
            close_dealer(self._socket, self._monitor, linger_ms)
            self._socket = None

    async def _flush(self) -> None:
        outbox = self.engine.outbox
        while outbox:
            parts = outbox.popleft()
            try:
                await self._socket.send_multipart(parts, zmq.DONTWAIT)
            except zmq.ZMQError as error:
                raise ProtocolFault("the connection is gone") from error

    async def _run(self) -> None:
        """Keeps the session up until it is cancelled."""
        try:
            while True:
                with suppress(ProtocolFault, zmq.ZMQError):
                    if self._socket is None:
                        self._open()
                    await self._session(self._socket, self._monitor)
                self._close_socket()
                pause = self.engine.lost()
                self._wake()
                await asyncio.sleep(pause)
        except Exception as error:
            # A fault of ours: whoever waits must not wait for ever.
            self._over = Closed(f"{self.endpoint}: {error!r}")
            self._over.__cause__ = error
            self._wake()

    async def _session(self, socket: Any, monitor: Any) -> None:
        engine = self.engine
        begun = time.monotonic()
        poller = zmq.asyncio.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        while True:
            engine.now = time.monotonic()
            if engine.state == "down":
                due = begun + CONNECT
                if engine.now > due:
                    raise ProtocolFault("no connection")
            else:
                due = engine.tick()
                await self._flush()
                self._wake()
            self._kick.clear()
            await self._wait(poller, due)
            engine.now = time.monotonic()
            while await socket.poll(0):
                engine.receive(await socket.recv_multipart())
            while await monitor.poll(0):
                self._take_event(await monitor.recv_multipart())

    async def _wait(self, poller: Any, due: float) -> None:
        """Until something came, is due, or is to be sent."""
        if self.engine.outbox:
            return
        timeout = max(0.0, due - time.monotonic())
        polled = asyncio.ensure_future(poller.poll(timeout * 1000 + 1))
        kicked = asyncio.ensure_future(self._kick.wait())
        try:
            await asyncio.wait((polled, kicked),
                               return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (polled, kicked):
                task.cancel()

    def _take_event(self, parts: Sequence[bytes]) -> None:
        event = int(parse_monitor_message(list(parts))["event"])
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.engine.connected()
            return
        if event & REFUSED:
            self.engine.refused = Unauthenticated(
                f"{self.endpoint}: the bridge refuses the handshake; give the "
                "keys that it knows")
        raise ProtocolFault("the connection is gone")

    async def drive(self, steps: Any,
                    timeout: Union[Seconds, str] = "default") -> Any:
        """Runs the steps of an operation to their end."""
        if timeout == "default":
            timeout = self.timeout
        until = None if timeout is None else \
            time.monotonic() + timeout  # type: ignore[operator]
        self.engine.now = time.monotonic()
        try:
            condition = next(steps)
            while True:
                while not condition():
                    self._check(until)
                    await self._change(until)
                condition = next(steps)
        except StopIteration as end:
            return end.value

    async def _change(self, until: Optional[float]) -> None:
        self._kick.set()
        left = None if until is None else max(0.0, until - time.monotonic())
        await asyncio.wait((self._changed,), timeout=left)

    def _check(self, until: Optional[float]) -> None:
        if self._over:
            raise Closed(self._over.text) from self._over.__cause__
        if self.engine.refused and not self.engine.session_cnt:
            raise self.engine.refused
        if until is None or time.monotonic() < until:
            return
        if self.engine.state != "up":
            raise Unreachable(f"{self.endpoint}: no shmq-bridge answers there")
        raise Timeout(f"{self.endpoint}: not done in time")

    async def connect(self, timeout: Union[Seconds, str] = "default") -> None:
        """Waits for the session."""
        def steps() -> Any:
            yield lambda: self.engine.state == "up"
        await self.drive(steps(), timeout)

    # -- topics -----------------------------------------------------------------

    async def topics(self, pattern: Optional[str] = None) -> List[str]:
        """Names of the topics, in byte order."""
        return await self.drive(self.engine.list_topics(pattern))

    async def describe(self, topic: str) -> Dict[str, Any]:
        """Attributes, positions, groups and endpoints of a topic."""
        return await self.drive(self.engine.describe(topic))

    async def create(self, topic: str, *, schema: Optional[str] = None,
                     **attrs: int) -> None:
        """Makes a topic; attributes as CREATE in docs/wire.md."""
        await self.drive(self.engine.create(topic, schema, attrs))

    # -- handles ----------------------------------------------------------------

    async def producer(self, topic: str, *, level: Optional[str] = None,
                       producer_id: Optional[int] = None, epoch: int = 1,
                       level_timeout: float = 0.0) -> "Producer":
        """Opens a producer: published, and answered, exactly once."""
        published = (await self.describe(topic))["published"]
        return Producer(self, ProducerCore(
            self.engine, topic, published, level, producer_id, epoch,
            level_timeout))

    async def consumer(self, topic: str, group: Optional[str] = None,
                       **options: Any) -> "Consumer":
        """Opens a member of a group, or (without one) a reader of its own;
        options as in the blocking client."""
        await self.connect()
        core = ConsumerCore(self.engine, topic, group, **options)
        try:
            await self.drive(core.opened())
        except BaseException:
            core.leave()
            self._kick.set()
            raise
        return Consumer(self, core)

    async def live(self, topic: str, start: Any = "latest") -> "Live":
        """Follows the live feed; what it loses is read from the topic."""
        described = await self.describe(topic)
        return Live(self, topic, start, described["published"],
                    described["epoch"])


class Producer:
    """Publishes to one topic."""

    def __init__(self, remote: Remote, core: ProducerCore) -> None:
        self._remote, self.core = remote, core

    async def __aenter__(self) -> "Producer":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.core.close()

    async def publish(self, data: bytes, *, key: Optional[bytes] = None,
                      headers: Optional[Dict[str, bytes]] = None,
                      timeout: Union[Seconds, str] = None) -> Published:
        """Publishes one record and waits until it has reached the level."""
        return await self.publish_batch([(data, pack_attrs(key, headers))],
                                        timeout=timeout)

    async def publish_batch(self, records: Sequence[Tuple[bytes, bytes]], *,
                            timeout: Union[Seconds, str] = None) -> Published:
        """Publishes records (data, attributes) as one frame: all, or none."""
        return await self._remote.drive(self.core.publish(records), timeout)

    async def drain(self, timeout: Union[Seconds, str] = None) -> None:
        """Waits until every publish has its outcome."""
        await self._remote.drive(self.core.drain(), timeout)


class Consumer:
    """Reads one topic. Iterating gives messages and gaps for ever."""

    def __init__(self, remote: Remote, core: ConsumerCore) -> None:
        self._remote, self.core = remote, core

    async def __aenter__(self) -> "Consumer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Union[Message, Gap]]:
        while True:
            try:
                item = await self.receive(timeout=None)
            except Closed:
                return
            yield item

    @property
    def created_group(self) -> bool:
        return self.core.created

    async def receive(self, timeout: Union[Seconds, str] = "default"
                      ) -> Union[Message, Gap]:
        """The next record or gap. Timeout: none came; Closed: none will."""
        if not self.core.ready():
            self.core.send_acks()
        while True:
            item = await self._remote.drive(self.core.receive(), timeout)
            if item is not None:  # else another task took it
                return item

    def ack(self, message: Message) -> None:
        """Acknowledges; sent by the session's task. Stale: it moved on."""
        self.core.ack(message)
        self._remote._kick.set()

    async def settle(self, timeout: Union[Seconds, str] = "default") -> None:
        """Waits until all acknowledgements were carried out."""
        await self._remote.drive(self.core.settled(), timeout)

    async def nack(self, message: Message, delay: float = 0.0) -> None:
        """Gives a record back for another try."""
        await self._remote.drive(self.core.nack(message, delay))

    async def commit(self, position: int, level: Optional[str] = None,
                     timeout: float = 10.0) -> int:
        """Acknowledges all below `position`; the group's floor, recorded."""
        return await self._remote.drive(
            self.core.commit(position, level, timeout), timeout + 5)

    async def seek(self, start: Any) -> None:
        await self._remote.drive(self.core.seek(start))

    async def drained(self) -> bool:
        """Whether all published so far was acknowledged by the group."""
        return await self._remote.drive(self.core.drained())

    async def close(self) -> None:
        """Sends acknowledgements, gives the rest back."""
        try:
            for steps in (self.core.settled, self.core.detach):
                if self.core.state == "attached":
                    with suppress(RemoteError):
                        await self._remote.drive(steps(), 1.0)
        finally:
            self.core.leave()
            self._remote._kick.set()


class Live:
    """The live feed of one topic, without holes."""

    def __init__(self, remote: Remote, topic: str, start: Any,
                 published: int, epoch: int) -> None:
        self._remote = remote
        self.core = LiveCore(remote.engine, topic, published, epoch)
        self._heard = time.monotonic()
        if not remote.engine.feed:
            raise Unreachable(f"{remote.endpoint}: the bridge has no feed")
        self._socket = open_sub(
            remote._context, self.core.feed_endpoint(remote.endpoint),
            remote.keys, wire.feed_topics(topic))
        remote._lives.append(self)
        if start != "latest":
            self.core.begin_fill(start, published)
            remote._kick.set()

    async def __aenter__(self) -> "Live":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[Union[Message, Gap]]:
        while True:
            try:
                item = await self.receive()
            except Closed:
                if self._socket.closed:
                    return
                raise
            yield item

    def close(self) -> None:
        if self in self._remote._lives:
            self._remote._lives.remove(self)
            self._socket.close(0)
            if self.core.fill:
                self.core.fill.leave()
            self._remote._kick.set()

    @property
    def backfills(self) -> int:
        """How often records were missing in the feed, and read instead."""
        return self.core.backfills

    async def _look(self) -> None:
        try:
            described = await self._remote.describe(self.core.topic)
        except Forbidden:
            raise
        except RemoteError:
            return
        self.core.looked(described["published"], described["epoch"])

    async def _wait_feed(self) -> None:
        """Until the feed has said something, or should have."""
        remote = self._remote
        due = self._heard + SILENCE - time.monotonic()
        polled = asyncio.ensure_future(
            self._socket.poll(max(0.0, due) * 1000 + 1))
        try:
            # (The connection's end closes the socket: then polling ends.)
            await asyncio.wait((polled, remote._changed),
                               return_when=asyncio.FIRST_COMPLETED)
        finally:
            polled.cancel()

    async def _take(self) -> bool:
        """Takes what the feed has; whether there was something."""
        if not self._socket.get(zmq.EVENTS) & zmq.POLLIN:
            return False
        self.core.take(await self._socket.recv_multipart())
        self._heard = time.monotonic()
        return True

    async def receive(self) -> Union[Message, Gap]:
        """The next record, or a gap that the topic itself has; waits for
        ever (asyncio.wait_for gives up)."""
        core, remote = self.core, self._remote
        while True:
            remote._check(None)
            if self._socket.closed:
                raise Closed(f"{core.topic}: the reader was closed")
            core.step()
            if core.queue:
                return core.queue.popleft()  # type: ignore[return-value]
            if core.fill:
                def steps() -> Any:
                    fill = core.fill
                    yield lambda: fill is None or fill.ready() or (
                        fill.attached and core.epoch != core._fill_epoch)
                await remote.drive(steps(), None)
            elif not await self._take():
                if time.monotonic() >= self._heard + SILENCE:
                    self._heard = time.monotonic()
                    await self._look()
                else:
                    await self._wait_feed()
