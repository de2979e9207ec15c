"""Publishing."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, List, Mapping, Optional, Sequence, Tuple, Union

from . import _native as n
from ._handle import Handle, wait
from ._values import LEVELS, number, text, text_or_none, word
from ._view import View
from .errors import check

if TYPE_CHECKING:
    from .topic import Topic

Bytes = Union[bytes, bytearray, memoryview]
KEY, CONTENT_TYPE, REPLY_TO, CORRELATION_ID, HEADER = 1, 2, 3, 4, 5


def address_of(data: Bytes) -> Tuple[Optional[int], int, object]:
    """Address and size of contiguous bytes, and what keeps them alive."""
    view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
    size = len(view)
    if size == 0:
        return None, 0, view
    if isinstance(view, bytes):
        return ctypes.cast(ctypes.c_char_p(view), ctypes.c_void_p).value, \
            size, view
    if view.readonly:
        copy = bytes(view)
        return ctypes.cast(ctypes.c_char_p(copy), ctypes.c_void_p).value, \
            size, copy
    array = (ctypes.c_char * size).from_buffer(view)
    return ctypes.addressof(array), size, array


class Records:
    """An array of struct shmq_record and all that it points to."""

    def __init__(self, payloads: Sequence[Bytes], key: Optional[bytes],
                 headers: Optional[Mapping[str, bytes]],
                 content_type: Optional[str] = None) -> None:
        attrs: List[Tuple[int, Optional[str], bytes]] = []
        if key is not None:
            attrs.append((KEY, None, key))
        if content_type is not None:
            attrs.append((CONTENT_TYPE, None, text(content_type)))
        for header, header_value in (headers or {}).items():
            attrs.append((HEADER, header, header_value))
        self._keep: List[object] = []
        self.attrs = (n.Attr * max(1, len(attrs)))()
        self.attr_cnt = len(attrs)
        for slot, (kind, name, value) in zip(self.attrs, attrs):
            address, size, keep = address_of(value)
            self._keep.append(keep)
            slot.type, slot.value, slot.value_bytes = kind, address, size
            slot.name = text_or_none(name)
        self.array = (n.Record * len(payloads))()
        self.cnt = len(payloads)
        for record, payload in zip(self.array, payloads):
            record.data, record.size, keep = address_of(payload)
            self._keep.append(keep)
            record.attrs = self.attrs
            record.attr_cnt = self.attr_cnt


class Loan:
    """Memory of the ring to write a payload into; see Producer.loan()."""

    def __init__(self, producer: "Producer", loan: n.Loan) -> None:
        self._producer, self._loan = producer, loan
        self._view: Optional[View] = View(loan.data, loan.size, readonly=False)
        self.position: Optional[int] = None

    @property
    def data(self) -> memoryview:
        """Writable until committed or aborted."""
        if self._view is None:
            raise ValueError("this loan is over")
        return self._view.data

    def _end(self) -> None:
        if self._view is None:
            raise ValueError("this loan is over")
        self._view.end()  # BufferError while parts of it are in use
        self._view = None

    def commit(self, used: Optional[int] = None,
               timeout: Optional[float] = None) -> int:
        """Publishes the first `used` bytes (all); returns the position."""
        size = self._loan.size if used is None else used
        position = ctypes.c_uint64()
        self._end()
        wait(lambda deadline: n.lib.shmq_producer_commit_wait(
            self._producer.handle, ctypes.byref(self._loan), size, deadline,
            ctypes.byref(position)), timeout)
        self.position = position.value
        return position.value

    def abort(self) -> None:
        self._end()
        check(n.lib.shmq_producer_abort(
            self._producer.handle, ctypes.byref(self._loan)))

    def __enter__(self) -> "Loan":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        """Commits all of it, or aborts after an exception."""
        if self._view is None:
            return
        if kind is None:
            self.commit()
        else:
            self.abort()


class Producer(Handle):
    """One thread's place to publish from."""

    _close_function = "shmq_producer_close"

    def __init__(self, topic: "Topic") -> None:
        handle = ctypes.c_void_p()
        check(n.lib.shmq_producer_open(topic.handle, None,
                                       ctypes.byref(handle)))
        super().__init__(handle)

    def publish(self, data: Bytes, *, key: Optional[bytes] = None,
                headers: Optional[Mapping[str, bytes]] = None,
                content_type: Optional[str] = None,
                level: Optional[str] = None,
                timeout: Optional[float] = None) -> int:
        """Publishes one record; returns its position. Waits for room up to
        `timeout` seconds (None: for ever; 0: Full at once), and as long again
        until it is at `level` (written, durable), if one is given. Timeout
        then: it is published all the same, and may get there later."""
        return self.publish_batch(
            [data], key=key, headers=headers, content_type=content_type,
            level=level, timeout=timeout)[0]

    def publish_batch(self, payloads: Sequence[Bytes], *,
                      key: Optional[bytes] = None,
                      headers: Optional[Mapping[str, bytes]] = None,
                      content_type: Optional[str] = None,
                      level: Optional[str] = None,
                      timeout: Optional[float] = None) -> List[int]:
        """Publishes 1 to 4096 records as one frame, all visible at once; `key`,
        `headers` and `content_type` go on each."""
        word(LEVELS, level)
        records = Records(payloads, key, headers, content_type)
        positions = (ctypes.c_uint64 * max(1, records.cnt))()
        if timeout == 0:
            check(n.lib.shmq_producer_publish_batch(
                self.handle, records.array, records.cnt, positions))
        else:
            wait(lambda deadline: n.lib.shmq_producer_publish_batch_wait(
                self.handle, records.array, records.cnt, deadline, positions),
                timeout)
        if level is not None:
            self.wait_level(positions[records.cnt - 1], level, timeout)
        return list(positions[:records.cnt])

    def loan(self, size: int, *, key: Optional[bytes] = None,
             headers: Optional[Mapping[str, bytes]] = None,
             timeout: Optional[float] = None) -> Loan:
        """Lends `size` bytes of the ring itself; committing publishes them
        without a copy. As a context manager it commits at the end."""
        attrs = Records([], key, headers)
        loan = n.Loan()
        wait(lambda deadline: n.lib.shmq_producer_loan_wait(
            self.handle, number(size, 64), attrs.attrs, attrs.attr_cnt, deadline,
            ctypes.byref(loan)), timeout)
        return Loan(self, loan)

    def wait_level(self, position: int, level: Optional[str] = None,
                   timeout: Optional[float] = None) -> None:
        """Waits until the record at `position` is published, written or
        durable (None: the topic's own level)."""
        wait(lambda deadline: n.lib.shmq_producer_level_wait(
            self.handle, number(position, 64), word(LEVELS, level), deadline),
            timeout)
