"""Calls: a request goes to a topic, its reply comes back."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Callable, Mapping, Optional

from . import _native as n
from ._handle import Handle, wait
from ._values import number, text
from .consumer import Message
from .errors import Stale, Timeout, check
from .producer import Bytes, Records

if TYPE_CHECKING:
    from .topic import Topic

Request = Message


class Caller(Handle):
    """Sends requests; its inbox disappears with it."""

    _close_function = "shmq_caller_close"

    def __init__(self, topic: "Topic", *, max_reply_bytes: int = 0) -> None:
        options = n.CallerOptions(struct_bytes=ctypes.sizeof(n.CallerOptions),
                                  max_reply_bytes=number(max_reply_bytes, 64))
        handle = ctypes.c_void_p()
        check(n.lib.shmq_caller_open(
            topic.handle, ctypes.byref(options), ctypes.byref(handle)))
        super().__init__(handle)

    def call(self, data: Bytes, *, timeout: float,
             key: Optional[bytes] = None,
             headers: Optional[Mapping[str, bytes]] = None) -> bytes:
        """The payload of the reply; Timeout after so many seconds. A request
        that nobody waits for any more is not handled."""
        from ._handle import deadline_of
        records = Records([data], key, headers)
        raw = n.Message()
        check(n.lib.shmq_caller_call_wait(
            self.handle, records.array, deadline_of(timeout),
            ctypes.byref(raw)))
        reply = ctypes.string_at(raw.data, raw.size) if raw.size else b""
        check(n.lib.shmq_caller_release(self.handle, ctypes.byref(raw)))
        return reply


class Server(Handle):
    """Answers requests, as a member of the group of servers."""

    _close_function = "shmq_server_close"

    def __init__(self, topic: "Topic", group: str = "servers", *,
                 prefetch: int = 0) -> None:
        options = n.ServerOptions(struct_bytes=ctypes.sizeof(n.ServerOptions),
                                  prefetch_frames=number(prefetch),
                                  group=text(group))
        handle = ctypes.c_void_p()
        check(n.lib.shmq_server_open(
            topic.handle, ctypes.byref(options), ctypes.byref(handle)))
        super().__init__(handle)

    def _finish(self, how: str, raw: n.Message, _delay_ns: int) -> None:
        if self._handle is None:
            return
        if how == "release":
            check(n.lib.shmq_server_reply(self.handle, ctypes.byref(raw),
                                          None))
        else:
            check(n.lib.shmq_server_nack(self.handle, ctypes.byref(raw)))

    def receive(self, timeout: Optional[float] = None) -> Request:
        """The next request that somebody waits for."""
        raw = n.Message()
        wait(lambda deadline: n.lib.shmq_server_receive_wait(
            self.handle, deadline, ctypes.byref(raw)), timeout)
        return Message(raw, self._finish)

    def reply(self, request: Request, data: Bytes) -> None:
        """Sends the reply and acknowledges the request."""
        records = Records([data], None, None)
        request._check()
        request._view.end()
        request._held = False
        check(n.lib.shmq_server_reply(
            self.handle, ctypes.byref(request._raw), records.array))

    def serve(self, handler: Callable[[Request], Bytes],
              timeout: Optional[float] = None) -> None:
        """Answers with what `handler` returns, until `timeout` seconds have
        passed without a request. An exception of the handler gives the request
        back and ends the loop."""
        while True:
            try:
                request = self.receive(timeout)
            except Timeout:
                return
            try:
                answer = handler(request)
            except BaseException:
                if request.held:
                    request.nack()
                raise
            try:
                self.reply(request, answer)
            except Stale:
                pass  # another server has it by now
