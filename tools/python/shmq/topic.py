"""Topics: make, open, list, remove."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from . import _native as n
from ._handle import Handle
from .errors import Exists, check

if TYPE_CHECKING:
    from .consumer import Consumer
    from .producer import Producer
    from .request import Caller, Server

RINGS = {"mpmc": 1, "spsc": 2}
ON_FULL = {"block": 1, "drop-new": 2, "drop-old": 3}
TIMESTAMPS = {"frame": 1, "off": 2, "record": 3}


def _bytes(text: Optional[str]) -> Optional[bytes]:
    return None if text is None else text.encode()


def _word(words: Dict[str, int], value: str) -> int:
    if value not in words:
        raise ValueError(f"{value!r}: give one of {', '.join(words)}")
    return words[value]


def version() -> str:
    """Version of libshmq."""
    return n.lib.shmq_version().decode()


def create(name: str, *, namespace: Optional[str] = None, ring: str = "mpmc",
           on_full: str = "block", capacity: int = 0, arena_bytes: int = 0,
           max_message_bytes: int = 0, max_producers: int = 0,
           max_groups: int = 0, max_members: int = 0, mode: int = 0,
           data_mode: int = 0, ttl: float = 0, timestamps: str = "frame",
           schema: Optional[str] = None, exist_ok: bool = False) -> None:
    """Makes a topic; 0 means the library's default. `ttl` in seconds. With
    `exist_ok` a topic that is there is used as it is."""
    attrs = n.TopicAttrs(
        struct_bytes=ctypes.sizeof(n.TopicAttrs), ring=_word(RINGS, ring),
        on_full=_word(ON_FULL, on_full), capacity_frames=capacity,
        arena_bytes=arena_bytes, max_message_bytes=max_message_bytes,
        max_producers=max_producers, max_groups=max_groups,
        max_members=max_members, mode=mode, data_mode=data_mode,
        ttl_ns=int(ttl * 1e9), timestamps=_word(TIMESTAMPS, timestamps),
        schema=_bytes(schema))
    try:
        check(n.lib.shmq_topic_create(
            _bytes(namespace), name.encode(), ctypes.byref(attrs)))
    except Exists:
        if not exist_ok:
            raise


def unlink(name: str, *, namespace: Optional[str] = None,
           force: bool = False) -> None:
    """Removes a topic; Busy while it is in use, unless forced."""
    check(n.lib.shmq_topic_unlink(
        _bytes(namespace), name.encode(), 1 if force else 0))


def topics(namespace: Optional[str] = None) -> List[str]:
    """Names of the topics of a namespace, sorted."""
    names: List[str] = []

    def visit(_ctx: Any, name: bytes) -> int:
        names.append(name.decode())
        return 0

    check(n.lib.shmq_topic_list(_bytes(namespace), n.VISIT(visit), None))
    return names


class Topic(Handle):
    """An open topic. Producers and consumers outlive it."""

    _close_function = "shmq_topic_close"

    def __init__(self, name: str, *, namespace: Optional[str] = None,
                 schema: Optional[str] = None) -> None:
        """Opens a topic; with `schema` only one of that schema."""
        handle = ctypes.c_void_p()
        if schema is None:
            check(n.lib.shmq_topic_open(
                _bytes(namespace), name.encode(), ctypes.byref(handle)))
        else:
            check(n.lib.shmq_topic_open_schema(
                _bytes(namespace), name.encode(), schema.encode(),
                ctypes.byref(handle)))
        super().__init__(handle)
        self.name = name

    def stat(self) -> Dict[str, int]:
        """Counts and positions, see shmq/stat.h."""
        stat = n.TopicStat(struct_bytes=ctypes.sizeof(n.TopicStat))
        check(n.lib.shmq_topic_stat(self.handle, ctypes.byref(stat)))
        return {name: getattr(stat, name) for name, _ in n.TopicStat._fields_
                if name not in ("struct_bytes", "reserved")}

    def producer(self) -> "Producer":
        """Opens a producer."""
        from .producer import Producer
        return Producer(self)

    def consumer(self, group: Optional[str] = None,
                 **options: Any) -> "Consumer":
        """Opens a consumer: a member of `group`, or an ephemeral reader. For
        the options see Consumer."""
        from .consumer import Consumer
        return Consumer(self, group, **options)

    def caller(self, **options: Any) -> "Caller":
        """Opens a caller, which sends requests to this topic."""
        from .request import Caller
        return Caller(self, **options)

    def server(self, group: str = "servers", **options: Any) -> "Server":
        """Opens a server, which answers the requests of this topic."""
        from .request import Server
        return Server(self, group, **options)
