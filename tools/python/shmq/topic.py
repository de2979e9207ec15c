"""Topics: make, open, list, remove."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from . import _native as n
from ._handle import Handle
from ._values import nanoseconds, number, text, text_or_none, word
from .errors import Exists, check

if TYPE_CHECKING:
    from .consumer import Consumer
    from .producer import Producer
    from .request import Caller, Server

RINGS = {"mpmc": 1, "spsc": 2}
ON_FULL = {"block": 1, "drop-new": 2, "drop-old": 3}
DURABILITIES = {"none": 0, "os": 1, "disk": 2}
TIMESTAMPS = {"frame": 1, "off": 2, "record": 3}


def version() -> str:
    """Version of libshmq."""
    return n.lib.shmq_version().decode()


def create(name: str, *, namespace: Optional[str] = None, ring: str = "mpmc",
           on_full: str = "block", capacity: int = 0, arena_bytes: int = 0,
           max_message_bytes: int = 0, max_producers: int = 0,
           max_groups: int = 0, max_members: int = 0, mode: int = 0,
           data_mode: int = 0, ttl: float = 0, timestamps: str = "frame",
           schema: Optional[str] = None, durability: str = "none",
           exist_ok: bool = False) -> None:
    """Makes a topic; 0 means the library's default. `ttl` in seconds. With
    `exist_ok` a topic that is there is used as it is. `durability` os and disk
    need shmqd."""
    attrs = n.TopicAttrs(
        struct_bytes=ctypes.sizeof(n.TopicAttrs), ring=word(RINGS, ring),
        on_full=word(ON_FULL, on_full), capacity_frames=number(capacity, 64),
        arena_bytes=number(arena_bytes, 64),
        max_message_bytes=number(max_message_bytes, 64),
        max_producers=number(max_producers), max_groups=number(max_groups),
        max_members=number(max_members), mode=number(mode),
        data_mode=number(data_mode), ttl_ns=nanoseconds(ttl), timestamps=word(TIMESTAMPS, timestamps),
        schema=text_or_none(schema),
        durability=word(DURABILITIES, durability))
    try:
        check(n.lib.shmq_topic_create(
            text_or_none(namespace), text(name), ctypes.byref(attrs)))
    except Exists:
        if not exist_ok:
            raise


def unlink(name: str, *, namespace: Optional[str] = None,
           force: bool = False) -> None:
    """Removes a topic; Busy while it is in use, unless forced."""
    check(n.lib.shmq_topic_unlink(
        text_or_none(namespace), text(name), 1 if force else 0))


def topics(namespace: Optional[str] = None) -> List[str]:
    """Names of the topics of a namespace, sorted."""
    names: List[str] = []

    def visit(_ctx: Any, name: bytes) -> int:
        names.append(name.decode())
        return 0

    check(n.lib.shmq_topic_list(text_or_none(namespace), n.VISIT(visit), None))
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
                text_or_none(namespace), text(name), ctypes.byref(handle)))
        else:
            check(n.lib.shmq_topic_open_schema(
                text_or_none(namespace), text(name), text(schema),
                ctypes.byref(handle)))
        super().__init__(handle)
        self.name = name

    def stat(self) -> Dict[str, int]:
        """Counts and positions, see shmq/stat.h."""
        stat = n.TopicStat(struct_bytes=ctypes.sizeof(n.TopicStat))
        check(n.lib.shmq_topic_stat(self.handle, ctypes.byref(stat)))
        return {name: getattr(stat, name) for name, _ in n.TopicStat._fields_
                if name not in ("struct_bytes", "reserved")}

    def watermarks(self) -> Dict[str, int]:
        """How far a durable topic's records have come, see shmq/durable.h."""
        marks = n.Watermarks(struct_bytes=ctypes.sizeof(n.Watermarks))
        check(n.lib.shmq_topic_watermarks(self.handle, ctypes.byref(marks)))
        return {name: getattr(marks, name)
                for name, _ in n.Watermarks._fields_
                if name != "struct_bytes"}

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
