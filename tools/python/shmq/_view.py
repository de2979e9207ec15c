"""A memoryview of memory that is ours for a while."""
from __future__ import annotations

import ctypes
import weakref
from typing import Optional


class View:
    """`data` is a view of `size` bytes at `address`, until end().

    A slice of a memoryview keeps its exporter alive, but nothing tells the
    memoryview that was sliced. So end() lets go of the exporter and looks
    whether it is gone: if not, somebody still has a view of it."""

    def __init__(self, address: Optional[int], size: int,
                 readonly: bool) -> None:
        kind = ctypes.c_char * size
        self._exporter = kind.from_address(address) \
            if size and address else kind()
        self._readonly = readonly
        self._open()

    def _open(self) -> None:
        view = memoryview(self._exporter).cast("B")
        self.data: memoryview = view.toreadonly() if self._readonly else view
        view = None  # type: ignore[assignment]

    def end(self) -> None:
        """BufferError, and the view goes on, while parts of it are in use."""
        gone = weakref.ref(self._exporter)
        self.data.release()
        self._exporter = None  # type: ignore[assignment]
        alive = gone()
        if alive is not None:
            self._exporter = alive
            self._open()
            raise BufferError("parts of this view are still in use")
