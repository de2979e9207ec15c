"""Topics on disk: what history is kept, and the daemon that keeps it."""
from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Union

from . import _native as n
from ._handle import deadline_of
from ._values import nanoseconds, number, text, text_or_none
from .errors import check


@dataclass(frozen=True)
class Retain:
    """What history is kept; None leaves a limit as it is, 0 takes it away.

    Whole segment files go, oldest first: beyond `bytes`; when their newest
    record is older than `age` seconds; when all of the groups in `consumed`
    ("all", or their names) are done with them. No group keeps more than
    `max_lag_bytes` back."""

    bytes: Optional[int] = None
    age: Optional[float] = None
    consumed: Union[str, Sequence[str], None] = None
    max_lag_bytes: Optional[int] = None


def retention(retain: Retain) -> n.Retention:
    consumed = retain.consumed
    if consumed is not None and not isinstance(consumed, str):
        consumed = ",".join(consumed)
    return n.Retention(
        struct_bytes=ctypes.sizeof(n.Retention),
        flags=(0 if retain.bytes is None else 1) |
        (0 if retain.age is None else 2) | (0 if consumed is None else 4) |
        (0 if retain.max_lag_bytes is None else 8),
        retain_bytes=number(retain.bytes or 0, 64),
        retain_age_ns=nanoseconds(retain.age or 0),
        max_lag_bytes=number(retain.max_lag_bytes or 0, 64),
        consumed=text_or_none(consumed))


def durable_create(name: str, namespace: Optional[str], attrs: n.TopicAttrs,
                   retain: Optional[Retain]) -> None:
    """Asks shmqd for a topic."""
    keep = None if retain is None else ctypes.byref(retention(retain))
    check(n.lib.shmq_topic_create_durable(
        text_or_none(namespace), text(name), ctypes.byref(attrs), keep))


def remove_data(name: str, *, namespace: Optional[str] = None,
                force: bool = False) -> None:
    """Removes a durable topic with its history; Busy while it is in use,
    unless forced."""
    check(n.lib.shmq_topic_remove_data(
        text_or_none(namespace), text(name), 1 if force else 0))


def daemon_status(namespace: Optional[str] = None,
                  timeout: float = 2.0) -> Dict[str, Any]:
    """What the shmqd of the namespace says of itself; an Error of name NODAEMON
    when none answers."""
    answer = ctypes.create_string_buffer(1024)
    check(n.lib.shmq_daemon_status(
        text_or_none(namespace), deadline_of(timeout), answer, len(answer)))
    found: Dict[str, Any] = json.loads(answer.value.decode())
    return found
