"""Records as they are received, and gaps."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from . import wire

GAP_REASONS = {1: "dropped", 2: "retention", 3: "corrupt", 4: "truncated",
               5: "lost"}


@dataclass(frozen=True)
class Message:
    """One record. `token` is the stream's own: what was received before a
    reconnect cannot be acknowledged any more."""

    topic: str
    data: bytes
    position: int
    producer: int = 0
    sequence: int = 0
    time_ns: int = 0
    attempt: int = 0
    redelivered: bool = False
    raw_attrs: bytes = b""
    token: int = 0

    @property
    def attrs(self) -> List[Tuple[int, bytes]]:
        """All attributes as (type, value)."""
        return wire.unpack_attrs(self.raw_attrs)

    def _first(self, kind: int) -> Optional[bytes]:
        for found, value in self.attrs:
            if found & 0x7FFF == kind:
                return value
        return None

    @property
    def key(self) -> Optional[bytes]:
        return self._first(wire.KEY)

    @property
    def content_type(self) -> Optional[bytes]:
        return self._first(wire.CONTENT_TYPE)

    @property
    def headers(self) -> Dict[str, bytes]:
        """Free name/value pairs."""
        pairs = {}
        for kind, value in self.attrs:
            if kind & 0x7FFF == wire.HEADER:
                name, _, rest = value.partition(b"\0")
                pairs[name.decode("utf-8", "replace")] = rest
        return pairs


@dataclass(frozen=True)
class Gap:
    """Positions [start, end) that this reader missed. `records` None: it is
    not known how many there were."""

    topic: str
    start: int
    end: int
    frames: int
    records: Optional[int]
    reason: str


@dataclass(frozen=True)
class Published:
    """What became of a publish that is in the topic."""

    position: int  #: of its first record; -1: not known any more
    positions: Tuple[int, ...]
    level: str  #: that was reached
    again: bool  #: it had been published before an answer got lost


def pack_attrs(key: Optional[bytes] = None,
               headers: Optional[Dict[str, bytes]] = None,
               content_type: Optional[bytes] = None,
               extra: Tuple[Tuple[int, bytes], ...] = ()) -> bytes:
    """Attributes in the form that records carry."""
    attrs = []
    if key is not None:
        attrs.append((wire.KEY, key))
    if content_type is not None:
        attrs.append((wire.CONTENT_TYPE, content_type))
    for name, value in (headers or {}).items():
        attrs.append((wire.HEADER, name.encode() + b"\0" + value))
    return wire.pack_attrs(attrs + list(extra))
