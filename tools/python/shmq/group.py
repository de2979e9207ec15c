"""Groups of a topic, and who uses it."""
from __future__ import annotations

import ctypes
from typing import Any, Dict, List, Optional, Union

from . import _native as n
from ._values import nanoseconds, number, text, text_or_none, word
from .errors import check

KINDS = {None: 0, "shared": 1, "exclusive": 2}
ABSENT = {None: 0, "keep": 1, "release": 2}
STATES = {1: "running", 2: "stopped", 3: "dead", 4: "unknown"}
ROLES = {1: "producer", 2: "member", 3: "ephemeral", 4: "admin"}


def start_of(start: Union[str, int, None]) -> n.Start:
    """Where a reader begins: None (the default), earliest, latest, or a
    position."""
    words: Dict[Any, int] = {None: 0, "earliest": 1, "latest": 2}
    if isinstance(start, int):
        return n.Start(kind=3, value=number(start, 64))
    if start not in words:
        raise ValueError(f"{start!r}: give earliest, latest or a position")
    return n.Start(kind=words[start])


def start_at(time_ns: int) -> n.Start:
    """The first record at or after a CLOCK_REALTIME time."""
    return n.Start(kind=4, value=number(time_ns, 64))


def group_attrs(kind: Optional[str], absent: Optional[str], max_attempts: int,
                lease: float, dead_letter: Optional[str]) -> n.GroupAttrs:
    return n.GroupAttrs(
        struct_bytes=ctypes.sizeof(n.GroupAttrs), kind=word(KINDS, kind),
        absent=word(ABSENT, absent), max_attempts=number(max_attempts),
        lease_ns=nanoseconds(lease), dead_letter=text_or_none(dead_letter))


def _name_of(words: Dict[Any, int], value: int) -> str:
    return next((str(w) for w, v in words.items() if v == value), "unknown")


class Admin:
    """What a Topic can do with its groups."""

    @property
    def handle(self) -> ctypes.c_void_p:
        """Its topic's."""
        raise NotImplementedError

    def _all(self, function: Any, kind: Any) -> List[Any]:
        cap = 16
        while True:
            found, cnt = (kind * cap)(), ctypes.c_uint32()
            check(function(self.handle, found, cap, ctypes.byref(cnt)))
            if cnt.value <= cap:
                return list(found[:cnt.value])
            cap = cnt.value + 16

    def groups(self) -> List[Dict[str, Any]]:
        """Each group with its floor, lag and counts, see struct
        shmq_group_stat."""
        groups = []
        for stat in self._all(n.lib.shmq_topic_groups, n.GroupStat):
            group = {field[0]: getattr(stat, field[0])
                     for field in n.GroupStat._fields_
                     if field[0] != "reserved"}
            group.update(name=stat.name.decode(), gates=bool(stat.gates),
                         dead_letter=stat.dead_letter.decode(),
                         kind=_name_of(KINDS, stat.kind),
                         absent=_name_of(ABSENT, stat.absent))
            groups.append(group)
        return groups

    def endpoints(self) -> List[Dict[str, Any]]:
        """Each producer and consumer, its process and its state, and whom it
        holds up, see struct shmq_endpoint_stat."""
        endpoints = []
        for stat in self._all(n.lib.shmq_topic_endpoints, n.EndpointStat):
            one = {field[0]: getattr(stat, field[0])
                   for field in n.EndpointStat._fields_
                   if field[0] != "block_cnt"}
            one.update(comm=stat.comm.decode(errors="replace"),
                       group=stat.group.decode() or None,
                       role=ROLES.get(stat.role, "unknown"),
                       state=STATES.get(stat.state, "unknown"),
                       blocks=list(stat.blocks[:min(stat.block_cnt, 16)]))
            endpoints.append(one)
        return endpoints

    def create_group(self, name: str, *, kind: Optional[str] = None,
                     absent: Optional[str] = None, max_attempts: int = 0,
                     lease: float = 0, dead_letter: Optional[str] = None,
                     start: Union[str, int, None] = None) -> None:
        """Makes a group; the options are those of Consumer."""
        attrs = group_attrs(kind, absent, max_attempts, lease, dead_letter)
        check(n.lib.shmq_group_create(
            self.handle, text(name), ctypes.byref(attrs),
            ctypes.byref(start_of(start))))

    def remove_group(self, name: str, *, force: bool = False) -> None:
        """Busy while it has members, unless forced."""
        check(n.lib.shmq_group_remove(
            self.handle, text(name), 1 if force else 0))

    def reset_group(self, name: str, start: Union[str, int], *,
                    force: bool = False) -> None:
        """Moves a group; Busy while it has members, unless forced."""
        check(n.lib.shmq_group_reset(
            self.handle, text(name), ctypes.byref(start_of(start)),
            1 if force else 0))

    def evict(self, endpoint: int, *, kill: bool = False) -> None:
        """Takes claims and roles away from a living endpoint; with `kill` its
        process is killed where it may be looking at memory."""
        check(n.lib.shmq_group_evict(
            self.handle, number(endpoint), 2 if kill else 0))
