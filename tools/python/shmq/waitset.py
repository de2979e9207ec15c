"""One wait for many consumers, and topics that come and go."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Tuple

from . import _native as n
from ._handle import Handle, wait
from ._values import text, text_or_none
from .consumer import GAP, Consumer, Message
from .errors import check

EMPTY = -2


class WaitSet(Handle):
    """Hands out the next record of whichever of its consumers has one. The
    consumers stay the caller's: take one out before it is closed. An error of
    one of them is raised with the consumer in its `consumer`."""

    _close_function = "shmq_waitset_close"

    def __init__(self, *consumers: Consumer) -> None:
        handle = ctypes.c_void_p()
        check(n.lib.shmq_waitset_open(None, ctypes.byref(handle)))
        super().__init__(handle)
        self._members: Dict[Optional[int], Consumer] = {}
        for consumer in consumers:
            self.add(consumer)

    def add(self, consumer: Consumer) -> None:
        check(n.lib.shmq_waitset_add(self.handle, consumer.handle))
        self._members[consumer.handle.value] = consumer

    def remove(self, consumer: Consumer) -> None:
        check(n.lib.shmq_waitset_remove(self.handle, consumer.handle))
        self._members.pop(consumer.handle.value, None)

    def __len__(self) -> int:
        return len(self._members)

    def _outcome(self, code: int, raw: n.Message,
                 source: ctypes.c_void_p) -> Optional[Tuple[Consumer, Message]]:
        """None: again, after a gap."""
        consumer = self._members.get(source.value)
        if code == GAP and consumer is not None:
            consumer._note_gap()
            return None
        try:
            check(code)
        except Exception as error:
            error.consumer = consumer  # type: ignore[attr-defined]
            raise
        assert consumer is not None
        return consumer, Message(raw, consumer._finish)

    def receive_nowait(self) -> Optional[Tuple[Consumer, Message]]:
        """The next record and its consumer, or None."""
        while True:
            raw, source = n.Message(), ctypes.c_void_p()
            code = n.lib.shmq_waitset_receive(
                self.handle, ctypes.byref(raw), ctypes.byref(source))
            if code == EMPTY:
                return None
            found = self._outcome(code, raw, source)
            if found is not None:
                return found

    def receive(
            self, timeout: Optional[float] = None) -> Tuple[Consumer, Message]:
        """The next record and its consumer; Timeout after so many seconds."""
        raw, source = n.Message(), ctypes.c_void_p()
        codes = [0]

        def call(deadline: int) -> int:
            while True:
                codes[0] = n.lib.shmq_waitset_receive_wait(
                    self.handle, deadline, ctypes.byref(raw),
                    ctypes.byref(source))
                if codes[0] != GAP:
                    break
                self._outcome(GAP, raw, source)
            return codes[0] if codes[0] in (-3, -4) else 0

        wait(call, timeout)
        found = self._outcome(codes[0], raw, source)
        assert found is not None
        return found

    def __iter__(self) -> Iterator[Tuple[Consumer, Message]]:
        """Each record is acknowledged when the next is asked for."""
        while True:
            consumer, message = self.receive()
            yield consumer, message
            if message.held:
                message.release()

    def fileno(self) -> int:
        """The pollable descriptor: receive until None, then wait for it."""
        fd = ctypes.c_int()
        check(n.lib.shmq_waitset_fd(self.handle, ctypes.byref(fd)))
        return fd.value


@dataclass(frozen=True)
class TopicEvent:
    """A topic is there (or was just made), or is gone."""

    topic: str
    there: bool


class Watch(Handle):
    """Topics of a namespace that match a pattern (`*` stands for anything):
    those that are there first, then what comes and goes."""

    _close_function = "shmq_watch_close"

    def __init__(self, pattern: str = "*", *,
                 namespace: Optional[str] = None) -> None:
        handle = ctypes.c_void_p()
        check(n.lib.shmq_watch_open(
            text_or_none(namespace), text(pattern), ctypes.byref(handle)))
        super().__init__(handle)

    def next(self) -> Optional[TopicEvent]:
        """The next event, or None; does not wait, see fileno()."""
        event = n.WatchEvent()
        code = n.lib.shmq_watch_next(self.handle, ctypes.byref(event))
        if code == EMPTY:
            return None
        check(code)
        return TopicEvent(event.topic.decode(), event.kind == 1)

    def fileno(self) -> int:
        """Readable when there may be an event."""
        fd = ctypes.c_int()
        check(n.lib.shmq_watch_fd(self.handle, ctypes.byref(fd)))
        return fd.value
