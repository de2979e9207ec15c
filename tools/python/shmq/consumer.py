"""Receiving: iterate, or receive and release; `async for` on the descriptor."""
from __future__ import annotations

import asyncio
import ctypes
from dataclasses import dataclass
from typing import (TYPE_CHECKING, Any, AsyncIterator, Callable, Dict,
                    Iterator, List, Optional, Union)

from . import _native as n
from ._handle import Handle, wait
from ._values import nanoseconds, number, text_or_none, word
from ._view import View
from .errors import Stale, check
from .group import group_attrs, start_at, start_of

if TYPE_CHECKING:
    from .topic import Topic

EMPTY, GAP = -2, -6
READ = {None: 0, "published": 8, "durable": 16}
REASONS = {1: "dropped", 2: "retention", 3: "corrupt", 4: "truncated",
           5: "lost"}
COPY, MANUAL_ACK = 2, 4
AT_ONCE = 64  # records between two turns of other tasks


@dataclass(frozen=True)
class Gap:
    """Records in [from_position, to_position) were lost to this reader."""

    from_position: int
    to_position: int
    frames: int
    messages: Optional[int]
    reason: str


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


class Message:
    """A received record, held until it is released or given back."""

    def __init__(self, raw: n.Message,
                 finish: Callable[[str, n.Message, int], None]) -> None:
        self._raw = raw
        self._finish = finish
        self._held = True
        self._view = View(raw.data, raw.size, readonly=True)
        self.position: int = raw.position
        self.producer: int = raw.producer
        self.sequence: int = raw.sequence
        self.time_ns: int = raw.time_ns
        self.attempt: int = raw.attempt
        self.redelivered: bool = bool(raw.flags & 1)

    @property
    def data(self) -> memoryview:
        """The payload, read-only, without a copy; valid until released."""
        self._check()
        return self._view.data

    def _check(self) -> None:
        if not self._held:
            raise ValueError("this message has been released")

    def attribute(self, kind: int, nth: int = 0) -> Optional[bytes]:
        """Value of the nth attribute of a type, see shmq/message.h."""
        self._check()
        attr = n.Attr()
        if n.lib.shmq_message_attr(ctypes.byref(self._raw), kind, nth,
                                   ctypes.byref(attr)) != 0:
            return None
        return ctypes.string_at(attr.value, attr.value_bytes) \
            if attr.value_bytes else b""

    @property
    def key(self) -> Optional[bytes]:
        return self.attribute(1)

    @property
    def headers(self) -> Dict[str, bytes]:
        """Free name/value pairs; of several of a name the last one."""
        self._check()
        found: Dict[str, bytes] = {}
        attr = n.Attr()
        nth = 0
        while n.lib.shmq_message_attr(ctypes.byref(self._raw), 5, nth,
                                      ctypes.byref(attr)) == 0:
            found[attr.name.decode(errors="replace")] = ctypes.string_at(
                attr.value, attr.value_bytes) if attr.value_bytes else b""
            nth += 1
        return found

    @property
    def content_type(self) -> Optional[str]:
        value = self.attribute(2)
        return None if value is None else value.decode(errors="replace")

    @property
    def dead_letters(self) -> List[str]:
        """"topic position group attempts reason" for each time it went to a
        dead-letter topic; reason is attempts or expired."""
        told: List[str] = []
        while True:
            value = self.attribute(8, len(told))
            if value is None:
                return told
            told.append(value.decode(errors="replace"))

    def ack(self) -> None:
        """Acknowledges it; the view stays until it is released. For consumers
        with `manual_ack`."""
        self._check()
        self._finish("ack", self._raw, 0)

    def _end(self, how: str, delay_ns: int = 0) -> None:
        self._check()
        self._view.end()  # BufferError while parts of it are in use
        self._held = False
        self._finish(how, self._raw, delay_ns)

    def release(self) -> None:
        """Acknowledges it, and ends the view. Stale: it has moved to another
        member meanwhile and may be handled twice."""
        self._end("release")

    def nack(self, delay: float = 0) -> None:
        """Gives it back for another try, after `delay` seconds at the
        earliest."""
        self._end("nack", nanoseconds(delay))

    @property
    def held(self) -> bool:
        return self._held

    def __enter__(self) -> "Message":
        self._check()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        """Acknowledges it; after an exception gives it back."""
        if not self._held:
            return
        if kind is None:
            self.release()
        else:
            self.nack()


class Consumer(Handle):
    """A member of a group, or (group None) an ephemeral reader.

    Iterating waits for records, each acknowledged when the next is asked for;
    leaving the loop by an exception or a break leaves the last one held: it
    goes back when the consumer closes. Gaps are collected in `gaps`."""

    _close_function = "shmq_consumer_close"

    def __init__(self, topic: "Topic", group: Optional[str] = None, *,
                 kind: Optional[str] = None, absent: Optional[str] = None,
                 max_attempts: int = 0, lease: float = 0,
                 dead_letter: Optional[str] = None,
                 start: Union[str, int, None] = None, prefetch: int = 0,
                 copy: bool = False, read: Optional[str] = None,
                 manual_ack: bool = False,
                 start_time: Optional[float] = None) -> None:
        """`kind` shared or exclusive; `lease` in seconds; `start` "earliest",
        "latest" or a position, or `start_time`, seconds since the epoch;
        `read` published or durable (durable topics); with `manual_ack`
        releasing acknowledges nothing, Message.ack() does."""
        options = n.ConsumerOptions(
            struct_bytes=ctypes.sizeof(n.ConsumerOptions),
            flags=(COPY if copy else 0) | word(READ, read) |
            (MANUAL_ACK if manual_ack else 0),
            group=text_or_none(group),
            prefetch_frames=number(prefetch))
        options.attrs = group_attrs(
            kind, absent, max_attempts, lease, dead_letter)
        options.start = start_of(start) if start_time is None \
            else start_at(nanoseconds(start_time))
        handle = ctypes.c_void_p()
        check(n.lib.shmq_consumer_open(
            topic.handle, ctypes.byref(options), ctypes.byref(handle)))
        super().__init__(handle)
        self.gaps: List[Gap] = []
        self._current: Optional[Message] = None

    def _finish(self, how: str, raw: n.Message, delay_ns: int) -> None:
        if self._handle is None:
            return  # closed: it went back then
        if how == "release":
            code = n.lib.shmq_consumer_release(self.handle, ctypes.byref(raw))
        elif how == "ack":
            code = n.lib.shmq_consumer_ack(self.handle, ctypes.byref(raw))
        elif delay_ns:
            code = n.lib.shmq_consumer_nack_later(
                self.handle, ctypes.byref(raw), delay_ns)
        else:
            code = n.lib.shmq_consumer_nack(self.handle, ctypes.byref(raw))
        check(code)

    def _note_gap(self) -> None:
        gap = n.Gap()
        check(n.lib.shmq_consumer_gap(self.handle, ctypes.byref(gap)))
        self.gaps.append(Gap(
            gap.from_, gap.to, gap.frames,
            None if gap.messages == n.FOREVER else gap.messages,
            REASONS.get(gap.reason, "unknown")))

    def receive_nowait(self) -> Optional[Message]:
        """The next record, or None."""
        raw = n.Message()
        while True:
            code = n.lib.shmq_consumer_receive(self.handle, ctypes.byref(raw))
            if code == EMPTY:
                return None
            if code != GAP:
                check(code)
                return Message(raw, self._finish)
            self._note_gap()

    def receive(self, timeout: Optional[float] = None) -> Message:
        """The next record; Timeout after so many seconds."""
        raw = n.Message()

        def call(deadline: int) -> int:
            code = GAP
            while code == GAP:
                code = n.lib.shmq_consumer_receive_wait(
                    self.handle, deadline, ctypes.byref(raw))
                if code == GAP:
                    self._note_gap()
            return code

        wait(call, timeout)
        return Message(raw, self._finish)

    def _settle(self) -> None:
        """Acknowledges the last record of an iteration."""
        last, self._current = self._current, None
        if last is not None and last.held:
            try:
                last.release()
            except Stale:
                pass  # its new owner's now

    def __iter__(self) -> Iterator[Message]:
        while True:
            self._current = self.receive()
            yield self._current
            self._settle()

    async def receive_async(self) -> Message:
        """As receive(), in an asyncio loop."""
        loop = asyncio.get_running_loop()
        fd = self.fileno()
        while True:
            message = self.receive_nowait()
            if message is not None:
                return message
            ready: "asyncio.Future[None]" = loop.create_future()
            loop.add_reader(fd, _wake, ready)
            try:
                await ready
            finally:
                loop.remove_reader(fd)

    async def __aiter__(self) -> AsyncIterator[Message]:
        taken = 0
        while True:
            self._current = await self.receive_async()
            yield self._current
            self._settle()
            taken += 1
            if taken % AT_ONCE == 0:
                await asyncio.sleep(0)

    def fileno(self) -> int:
        """The pollable descriptor: receive until None, then wait for it."""
        fd = ctypes.c_int()
        check(n.lib.shmq_consumer_fd(self.handle, ctypes.byref(fd)))
        return fd.value

    def seek(self, start: Union[str, int]) -> None:
        """Moves an ephemeral or exclusive reader."""
        check(n.lib.shmq_consumer_seek(
            self.handle, ctypes.byref(start_of(start))))

    def extend(self) -> None:
        """Renews the lease without doing anything else."""
        check(n.lib.shmq_consumer_extend(self.handle))

    @property
    def position(self) -> int:
        """Of the next record (exclusive, ephemeral), or the group's floor
        (shared)."""
        position = ctypes.c_uint64()
        check(n.lib.shmq_consumer_position(
            self.handle, ctypes.byref(position)))
        return position.value

    def commit(self, timeout: Optional[float] = None) -> int:
        """Waits until what was acknowledged is so on disk (groups of durable
        topics); returns the group's safe place."""
        position = ctypes.c_uint64()
        wait(lambda deadline: n.lib.shmq_consumer_commit_wait(
            self.handle, deadline, ctypes.byref(position)), timeout)
        return position.value

    @property
    def drained(self) -> bool:
        """Everything published before now has been acknowledged."""
        return check(n.lib.shmq_consumer_drained(self.handle)) == 1
