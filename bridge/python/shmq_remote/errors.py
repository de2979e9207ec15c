"""One exception for each status of the wire protocol (docs/wire.md, section 6).

All are RemoteError; `status` is the number, `text` the bridge's sentence. Two
more are the client's own: Unreachable and Timeout.
"""
from __future__ import annotations

from typing import Dict, Type


class RemoteError(Exception):
    """Something that the bridge, or the way to it, did not do."""

    status: int = -1

    def __init__(self, text: str = "", *, low: int = 0, high: int = 0,
                 retry_after: float = 0.0) -> None:
        super().__init__(text or type(self).__name__)
        self.text = text
        self.low = low
        self.high = high
        self.retry_after = retry_after


class Unreachable(RemoteError):
    """No bridge answered before the timeout."""


class Timeout(RemoteError):
    """The bridge is there, but what was waited for did not happen in time."""


class ProtocolFault(RemoteError):
    """What came is not what docs/wire.md says."""


_NAMES = (
    "BadFrame UnsupportedVersion UnknownCommand Unauthenticated Forbidden "
    "NoSuchTopic TopicExists OutOfRange DataCorrupt LogTruncated NoSpace "
    "ReadOnly TooLarge CreditExceeded FencedGeneration UnknownMember GroupBusy "
    "OutOfOrder ProducerFenced TimeoutLevel Overloaded DurabilityFailed "
    "CommitBeyondEnd ShuttingDown CrcMismatch HistoryGone Limit Stale Closed "
    "Invalid NoSuchGroup GroupExists NoDaemon Internal UnknownSession "
    "UnknownStream Full").split()


class BadFrame(RemoteError):
    """The bridge cannot read a message."""


class UnsupportedVersion(RemoteError):
    """No common version of the protocol."""


class UnknownCommand(RemoteError):
    """The bridge does not know the command."""


class Unauthenticated(RemoteError):
    """The bridge does not know this client."""


class Forbidden(RemoteError):
    """The bridge's access list does not allow it."""


class NoSuchTopic(RemoteError):
    """There is no topic of that name."""


class TopicExists(RemoteError):
    """There is a topic of that name."""


class OutOfRange(RemoteError):
    """The position is outside [low, high)."""


class DataCorrupt(RemoteError):
    """Ring or log are damaged in [low, high)."""


class LogTruncated(RemoteError):
    """The log ended earlier than believed."""


class NoSpace(RemoteError):
    """Memory or disk of the bridge's host is full."""


class ReadOnly(RemoteError):
    """The topic takes no records now."""


class TooLarge(RemoteError):
    """Record, frame or message is too large."""


class CreditExceeded(RemoteError):
    """More credit, or more publishes, than the bridge allows."""


class FencedGeneration(RemoteError):
    """The stream has begun another generation."""


class UnknownMember(RemoteError):
    """Reserved."""


class GroupBusy(RemoteError):
    """The exclusive group has a living reader."""


class OutOfOrder(RemoteError):
    """A sequence beyond the expected one; the client repeats by itself."""


class ProducerFenced(RemoteError):
    """A higher epoch of this producer id has published."""


class TimeoutLevel(RemoteError):
    """Published; the level was not reached in time."""


class Overloaded(RemoteError):
    """No room now; nothing was done."""


class DurabilityFailed(RemoteError):
    """Published, but it cannot become durable."""


class CommitBeyondEnd(RemoteError):
    """The position is above the published end."""


class ShuttingDown(RemoteError):
    """The bridge is going away."""


class CrcMismatch(RemoteError):
    """A frame was damaged on its way."""


class HistoryGone(RemoteError):
    """It cannot be known any more whether the records are in the topic."""


class Limit(RemoteError):
    """Too many sessions, streams, producers, groups or members."""


class Stale(RemoteError):
    """The claim or the role has moved to somebody else."""


class Closed(RemoteError):
    """Topic or group was removed, the stream has come to its end, or the
    connection was closed."""


class Invalid(RemoteError):
    """A field makes no sense."""


class NoSuchGroup(RemoteError):
    """There is no group of that name."""


class GroupExists(RemoteError):
    """The group has other attributes than asked for."""


class NoDaemon(RemoteError):
    """shmqd is needed and not there."""


class Internal(RemoteError):
    """Something failed inside the bridge."""


class UnknownSession(RemoteError):
    """The session has ended; the client begins a new one by itself."""


class UnknownStream(RemoteError):
    """The stream has ended."""


class Full(RemoteError):
    """The ring is full and the topic drops new records."""


#: The exception of each status.
BY_STATUS: Dict[int, Type[RemoteError]] = {}
for _number, _name in enumerate(_NAMES, 1):
    _class = globals()[_name]
    _class.status = _number
    BY_STATUS[_number] = _class


def error_for(status: int, text: str = "", **details: object) -> RemoteError:
    """The exception object for a status; RemoteError for unknown ones."""
    error = BY_STATUS.get(status, RemoteError)(text, **details)  # type: ignore
    if status not in BY_STATUS:
        error.status = status
    return error
