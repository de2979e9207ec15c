"""Topics: make, open, list, remove."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from . import _native as n
from ._handle import Handle, wait
from ._values import LEVELS, nanoseconds, number, text, text_or_none, word
from .durable import Retain, durable_create, retention
from .errors import Exists, check
from .group import Admin

if TYPE_CHECKING:
    from .consumer import Consumer
    from .producer import Producer
    from .request import Caller, Server

RINGS = {"mpmc": 1, "spsc": 2}
ON_FULL = {"block": 1, "drop-new": 2, "drop-old": 3}
DURABILITIES = {"none": 0, "os": 1, "disk": 2}
TIMESTAMPS = {"frame": 1, "off": 2, "record": 3}
EXPIRED = {"skip": 0, "dead-letter": 16}


def version() -> str:
    """Version of libshmq."""
    return n.lib.shmq_version().decode()


def create(name: str, *, namespace: Optional[str] = None, ring: str = "mpmc",
           on_full: str = "block", capacity: int = 0, arena_bytes: int = 0,
           max_message_bytes: int = 0, max_producers: int = 0,
           max_groups: int = 0, max_members: int = 0, mode: int = 0,
           data_mode: int = 0, ttl: float = 0, expired: str = "skip",
           timestamps: str = "frame", schema: Optional[str] = None,
           durability: str = "none", retain: Optional[Retain] = None,
           prefault: bool = False, mlock: bool = False, huge: bool = False,
           asymmetric: bool = False, owner: Optional[int] = None,
           group_owner: Optional[int] = None, exist_ok: bool = False) -> None:
    """Makes a topic; 0 means the library's default. `ttl` in seconds; records
    that are `expired` are skipped, or go to their groups' dead-letter topics.
    `owner` and `group_owner` (uid, gid) need the right to. `durability` os and
    disk need shmqd, `retain` says what history is kept. With `exist_ok` a topic
    that is there is used as it is."""
    flags = word(EXPIRED, expired) | (1 if asymmetric else 0) | (
        2 if prefault else 0) | (4 if mlock else 0) | (8 if huge else 0) | (
        0 if owner is None else 32) | (0 if group_owner is None else 64)
    attrs = n.TopicAttrs(
        struct_bytes=ctypes.sizeof(n.TopicAttrs), ring=word(RINGS, ring),
        on_full=word(ON_FULL, on_full), capacity_frames=number(capacity, 64),
        arena_bytes=number(arena_bytes, 64),
        max_message_bytes=number(max_message_bytes, 64),
        max_producers=number(max_producers), max_groups=number(max_groups),
        max_members=number(max_members), mode=number(mode),
        data_mode=number(data_mode), flags=flags, ttl_ns=nanoseconds(ttl),
        timestamps=word(TIMESTAMPS, timestamps), owner=number(owner or 0),
        group_owner=number(group_owner or 0), schema=text_or_none(schema),
        durability=word(DURABILITIES, durability))
    try:
        if durability == "none" and retain is None:
            check(n.lib.shmq_topic_create(
                text_or_none(namespace), text(name), ctypes.byref(attrs)))
        else:
            durable_create(name, namespace, attrs, retain)
    except Exists:
        if not exist_ok:
            raise


def unlink(name: str, *, namespace: Optional[str] = None,
           force: bool = False) -> None:
    """Removes a topic; Busy while it is in use, unless forced. A durable one
    keeps its history: see remove_data()."""
    check(n.lib.shmq_topic_unlink(
        text_or_none(namespace), text(name), 1 if force else 0))


def set_retention(name: str, retain: Retain, *,
                  namespace: Optional[str] = None) -> None:
    """Changes what history of a durable topic is kept, live."""
    check(n.lib.shmq_topic_set_retention(
        text_or_none(namespace), text(name), ctypes.byref(retention(retain))))


def topics(namespace: Optional[str] = None) -> List[str]:
    """Names of the topics of a namespace, sorted."""
    names: List[str] = []

    def visit(_ctx: Any, name: bytes) -> int:
        names.append(name.decode())
        return 0

    check(n.lib.shmq_topic_list(text_or_none(namespace), n.VISIT(visit), None))
    return names


class Topic(Handle, Admin):
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

    def attrs(self) -> Dict[str, Any]:
        """What it was made with, see struct shmq_topic_attrs."""
        attrs = n.TopicAttrs(struct_bytes=ctypes.sizeof(n.TopicAttrs))
        check(n.lib.shmq_topic_attrs(self.handle, ctypes.byref(attrs)))
        found: Dict[str, Any] = {
            field[0]: getattr(attrs, field[0]) for field in n.TopicAttrs._fields_
            if field[0] not in ("struct_bytes", "reserved")}
        found["schema"] = attrs.schema.decode() if attrs.schema else None
        return found

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

    def wait_level(self, position: int, level: Optional[str] = None,
                   timeout: Optional[float] = None) -> None:
        """Waits until the record at `position` is published, written or
        durable (None: the topic's own level)."""
        wait(lambda deadline: n.lib.shmq_topic_level_wait(
            self.handle, number(position, 64), word(LEVELS, level), deadline),
            timeout)

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
