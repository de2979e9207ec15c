"""What all handles share: closing once, and being a context manager."""
from __future__ import annotations

import os
import time
from ctypes import c_void_p
from typing import Callable, Optional, TypeVar

from . import errors
from ._native import FOREVER, lib

Self = TypeVar("Self", bound="Handle")

# Waits are cut into slices, between which Python runs its signal handlers.
SLICE_NS = 100_000_000


class Handle:
    """An open handle of the library."""

    _close_function = ""

    def __init__(self, handle: c_void_p) -> None:
        self._handle: Optional[c_void_p] = handle
        self._pid = os.getpid()

    @property
    def handle(self) -> c_void_p:
        if self._handle is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle

    @property
    def closed(self) -> bool:
        return self._handle is None

    def close(self) -> None:
        """Closes the handle; closing twice is legal."""
        handle, self._handle = self._handle, None
        if handle is not None:
            getattr(lib, self._close_function)(handle)

    def __enter__(self: Self) -> Self:
        self.handle
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


def deadline_of(timeout: Optional[float]) -> int:
    """CLOCK_MONOTONIC ns; None: never."""
    if timeout is None:
        return FOREVER
    return time.monotonic_ns() + max(0, int(timeout * 1e9))


def wait(call: Callable[[int], int], timeout: Optional[float]) -> int:
    """Calls `call(deadline)` until it ends otherwise than by slice or
    signal; returns its result, raises for a negative one. At least once."""
    deadline = deadline_of(timeout)
    while True:
        now = time.monotonic_ns()
        code = call(min(deadline, now + SLICE_NS))
        late = code == -3 and time.monotonic_ns() < deadline
        if not late and code != -4:
            return errors.check(code)
