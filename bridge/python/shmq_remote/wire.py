"""Bytes of the wire protocol, written from docs/wire.md alone."""
from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from .crc32c import crc32c
from .errors import ProtocolFault

VERSION = 1
NONE = 2 ** 64 - 1
CONTROL_MAX = 65536
RANGES_MAX = 4095
RECORDS_MAX = 4096

HELLO, WELCOME, LIST, DESCRIBE, CREATE = 1, 2, 3, 4, 5
ATTACH, CREDIT, DELIVER, COMMIT, SEEK, DETACH = 7, 8, 9, 10, 11, 12
PUBLISH, PUBACK, GAP, PING, PONG, REVOKE = 14, 15, 16, 17, 18, 19
ERROR, BYE, ACK, NACK, CHECK, END = 21, 22, 23, 24, 25, 26

REPLY, MORE, PAYLOAD = 1, 2, 4

TEXT, NAME, TOPIC, GROUP, NAMESPACE, DEAD_LETTER, SCHEMA, FEED = range(1, 9)
PATTERN, RANGES, POSITIONS, GROUP_STAT, ENDPOINT_STAT, MEMBER = range(9, 15)
_REPEATABLE = {GROUP_STAT, ENDPOINT_STAT}
_MUST_UNDERSTAND = 0x8000

_HEADER = struct.Struct("<2sBBHHIIIHH")
_TLV = struct.Struct("<HH")


class _Fixed:
    """A fixed part: field names and their struct format; names that begin with
    an underscore are reserved fields."""

    def __init__(self, form: str, names: str) -> None:
        self.form = struct.Struct("<" + form)
        self.names = names.split()

    def pack(self, **values: int) -> bytes:
        unknown = set(values) - set(self.names)
        if unknown:
            raise TypeError(f"no such field: {unknown}")
        return self.form.pack(*(values.get(name, 0) for name in self.names))

    def unpack(self, data: bytes) -> Dict[str, int]:
        if len(data) < self.form.size:
            raise ProtocolFault("a fixed part is too short")
        return {name: value for name, value in
                zip(self.names, self.form.unpack_from(data))
                if not name.startswith("_")}


_CREATE = ("IIIIQQQIIIIIIQ", "ring on_full durability flags capacity_frames "
           "arena_bytes max_message_bytes max_producers max_groups max_members "
           "mode data_mode timestamps ttl_ns")
_GENERATION = _Fixed("Q", "generation")
_DONE = _Fixed("Q", "_reserved")

ASKED: Dict[int, _Fixed] = {
    HELLO: _Fixed("BBHIQQQ", "proto_min proto_max _r lease_ms features "
                  "session_id session_token"),
    LIST: _Fixed("II", "max _r"),
    DESCRIBE: _Fixed("II", "what _r"),
    CREATE: _Fixed(*_CREATE),
    ATTACH: _Fixed("IBBBBQQQIIQQII", "flags kind absent start read_level "
                   "start_value until group_lease_ns max_attempts "
                   "prefetch_frames credit_bytes credit_records max_batch _r"),
    CREDIT: _Fixed("QQ", "bytes records"),
    DELIVER: _Fixed("QQQQQQIIIIQ", "generation delivery prev_pos base_pos "
                    "published durable record_cnt payload_crc32c epoch _r "
                    "end_pos"),
    COMMIT: _Fixed("QQB3xI", "generation position level timeout_ms"),
    SEEK: _Fixed("QB7xQ", "generation start value"),
    DETACH: _GENERATION,
    PUBLISH: _Fixed("QQQQIIIIB7x", "producer_id sequence settled since epoch "
                    "record_cnt payload_crc32c timeout_ms level"),
    GAP: _Fixed("QQQQQQII", "generation delivery from to frames records "
                "reason epoch"),
    PING: _Fixed("Q", "nonce"),
    REVOKE: _GENERATION,
    ERROR: _Fixed("QQIIQ", "low high retry_after_ms command _r"),
    BYE: _Fixed("II", "drain_ms _r"),
    ACK: _GENERATION,
    NACK: _Fixed("QQ", "generation delay_ns"),
    CHECK: _GENERATION,
    END: _Fixed("QQQ", "generation delivery next"),
}

ANSWERED: Dict[int, _Fixed] = {
    WELCOME: _Fixed("BBHIQQQQqIIIIQQIIII", "proto _r0 _r1 lease_ms features "
                    "session_id session_token boot_id server_time_ns "
                    "heartbeat_ms max_payload max_streams max_attrs "
                    "max_credit_bytes max_credit_records publish_msgs "
                    "publish_bytes feed_max_bytes _r2"),
    LIST: _DONE,
    DESCRIBE: _Fixed(_CREATE[0] + "QQQQ" + "Q" * 13 + "IIIIIIII",
                     _CREATE[1] + " earliest published written durable gate "
                     "depth_messages depth_bytes total_messages total_bytes "
                     "dropped_new dropped_old dropped_corrupt expired reaped "
                     "segment_bytes capacity_bytes leaked_loan_bytes "
                     "producer_cnt member_cnt group_cnt ring_full epoch owner "
                     "group_owner _r"),
    CREATE: _DONE,
    ATTACH: _Fixed("QQQQIBBHII", "generation position earliest published "
                   "epoch kind created _r0 endpoint _r1"),
    COMMIT: _Fixed("QB7x", "floor level"),
    SEEK: _Fixed("QQ", "generation position"),
    DETACH: _DONE,
    PUBACK: _Fixed("QQQQIBBHIIII", "sequence base_pos end_pos expected "
                   "record_cnt level flags _r0 window_msgs window_bytes "
                   "retry_after_ms _r1"),
    PONG: _Fixed("Qq", "nonce time_ns"),
    ERROR: ASKED[ERROR],
    BYE: ASKED[BYE],
    ACK: _Fixed("QQ", "done stale"),
    NACK: _Fixed("QQQ", "done stale generation"),
    CHECK: _Fixed("B7xQQ", "drained position published"),
}

_GROUP_FIXED = _Fixed("IIIIIIQQQQqQQQq", "kind absent max_attempts member_cnt "
                      "claimed gates lease_ns floor lag_messages lag_bytes "
                      "oldest_unread_ns redelivered dead_lettered expired "
                      "idle_since_ns")
_ENDPOINT_FIXED = struct.Struct("<IIIiQqQQII16I16s")


@dataclass
class Control:
    """A control frame, taken apart."""

    command: int
    flags: int = 0
    status: int = 0
    corr_id: int = 0
    stream_id: int = 0
    fixed: Dict[str, int] = field(default_factory=dict)
    tlvs: List[Tuple[int, bytes]] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        return bool(self.flags & REPLY)

    def get(self, kind: int) -> Optional[bytes]:
        """The first TLV of a type."""
        for found, value in self.tlvs:
            if found == kind:
                return value
        return None

    def all(self, kind: int) -> Iterator[bytes]:
        return (value for found, value in self.tlvs if found == kind)

    def text(self, kind: int = TEXT) -> str:
        return (self.get(kind) or b"").decode("utf-8", "replace")


def pack_control(command: int, *, fixed: bytes,
                 tlvs: Iterable[Tuple[int, bytes]] = (), corr_id: int = 0,
                 stream_id: int = 0, flags: int = 0, status: int = 0) -> bytes:
    """Encodes a control frame, with its CRC."""
    if command in (PUBLISH, DELIVER):
        flags |= PAYLOAD
    body = fixed + b"".join(_TLV.pack(kind, len(value)) + value
                            for kind, value in tlvs)
    head = _HEADER.pack(b"SQ", VERSION, command, flags, status, corr_id,
                        stream_id, 0, len(fixed), 0)
    crc = crc32c(head + body)
    frame = head[:16] + struct.pack("<I", crc) + head[20:] + body
    if len(frame) > CONTROL_MAX:
        raise ValueError("the control frame is too long")
    return frame


def unpack_control(frame: bytes, has_payload: bool) -> Control:
    """Decodes a control frame; ProtocolFault for anything that is none."""
    if not _HEADER.size <= len(frame) <= CONTROL_MAX:
        raise ProtocolFault("a control frame's length is wrong")
    (magic, version, command, flags, status, corr_id, stream_id, crc,
     fixed_bytes, _) = _HEADER.unpack_from(frame)
    if magic != b"SQ" or version != VERSION:
        raise ProtocolFault("no control frame of this version")
    if crc32c(frame[:16] + b"\0\0\0\0" + frame[20:]) != crc:
        raise ProtocolFault("a control frame's CRC is wrong")
    if bool(flags & PAYLOAD) != has_payload or \
            has_payload != (command in (PUBLISH, DELIVER)):
        raise ProtocolFault("a payload frame is missing, or too many")
    rules = ANSWERED if flags & REPLY else ASKED
    control = Control(command, flags, status, corr_id, stream_id)
    if _HEADER.size + fixed_bytes > len(frame):
        raise ProtocolFault("a fixed part is too long")
    if command in rules:
        control.fixed = rules[command].unpack(
            frame[_HEADER.size:_HEADER.size + fixed_bytes])
    elif command in ASKED or command in ANSWERED:
        raise ProtocolFault("a reply that is none, or the reverse")
    control.tlvs = list(_unpack_tlvs(frame, _HEADER.size + fixed_bytes,
                                     command == LIST))
    return control


def _unpack_tlvs(frame: bytes, at: int, listing: bool
                 ) -> Iterator[Tuple[int, bytes]]:
    seen = set()
    while at < len(frame):
        if len(frame) - at < _TLV.size:
            raise ProtocolFault("half a TLV")
        kind, length = _TLV.unpack_from(frame, at)
        at += _TLV.size
        if kind == 0 or length > len(frame) - at:
            raise ProtocolFault("a TLV is longer than its frame")
        if kind & _MUST_UNDERSTAND:
            raise ProtocolFault("a TLV that must be understood is not")
        may_repeat = kind in _REPEATABLE or (listing and kind == TOPIC)
        if kind <= MEMBER and kind in seen and not may_repeat:
            raise ProtocolFault("a TLV stands twice")
        seen.add(kind)
        yield kind, frame[at:at + length]
        at += length


def pack_ranges(ranges: Sequence[Tuple[int, int]]) -> Tuple[int, bytes]:
    return RANGES, b"".join(struct.pack("<QQ", *one) for one in ranges)


def unpack_positions(control: Control) -> List[int]:
    value = control.get(POSITIONS) or b""
    if len(value) % 8:
        raise ProtocolFault("half a position")
    return list(struct.unpack(f"<{len(value) // 8}Q", value))


def unpack_group_stat(value: bytes) -> Dict[str, object]:
    group: Dict[str, object] = dict(_GROUP_FIXED.unpack(value))
    name, rest = _take_short(value[_GROUP_FIXED.form.size:])
    dead_letter, _ = _take_short(rest)
    group.update(name=name, dead_letter=dead_letter)
    return group


def unpack_endpoint_stat(value: bytes) -> Dict[str, object]:
    if len(value) < _ENDPOINT_FIXED.size:
        raise ProtocolFault("an endpoint's entry is too short")
    fields = _ENDPOINT_FIXED.unpack_from(value)
    names = ("id role state pid identity since_ns holds_frames messages "
             "waiting").split()
    endpoint: Dict[str, object] = dict(zip(names, fields))
    endpoint["blocks"] = list(fields[10:10 + min(fields[9], 16)])
    endpoint["comm"] = fields[26].split(b"\0")[0].decode("utf-8", "replace")
    endpoint["group"], _ = _take_short(value[_ENDPOINT_FIXED.size:])
    return endpoint


def _take_short(value: bytes) -> Tuple[str, bytes]:
    if not value or value[0] > len(value) - 1:
        raise ProtocolFault("a name is longer than its entry")
    end = 1 + value[0]
    return value[1:end].decode("ascii", "replace"), value[end:]


# -- records ------------------------------------------------------------------

_RECORD = struct.Struct("<IHH")
_RUN = struct.Struct("<QQQqIIHHI")
KEY, CONTENT_TYPE, REPLY_TO, CORRELATION_ID, HEADER = 1, 2, 3, 4, 5
RECORD_TIME, EXPIRY, DEAD_LETTER_ATTR, ORIGIN = 6, 7, 8, 9


def pack_attrs(attrs: Iterable[Tuple[int, bytes]]) -> bytes:
    return b"".join(_TLV.pack(kind, len(value)) + value
                    for kind, value in attrs)


def unpack_attrs(data: bytes) -> List[Tuple[int, bytes]]:
    attrs, at = [], 0
    while at < len(data):
        if len(data) - at < _TLV.size:
            raise ProtocolFault("half an attribute")
        kind, length = _TLV.unpack_from(data, at)
        at += _TLV.size
        if kind == 0 or length > len(data) - at:
            raise ProtocolFault("an attribute is longer than its record")
        attrs.append((kind, data[at:at + length]))
        at += length
    return attrs


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 8)


def pack_record(data: bytes, attrs: bytes = b"") -> bytes:
    return _RECORD.pack(len(data), len(attrs), 0) + _pad(attrs) + _pad(data)


def _unpack_record(payload: bytes, at: int, end: int
                   ) -> Tuple[bytes, bytes, int]:
    if end - at < _RECORD.size:
        raise ProtocolFault("half a record")
    size, attr_bytes, _ = _RECORD.unpack_from(payload, at)
    attrs = at + _RECORD.size
    data = attrs + attr_bytes + -attr_bytes % 8
    after = data + size + -size % 8
    if after > end:
        raise ProtocolFault("a record is longer than its run")
    return payload[data:data + size], payload[attrs:attrs + attr_bytes], after


def unpack_records(payload: bytes) -> Iterator[Tuple[bytes, bytes]]:
    """(data, attributes) of each record of a PUBLISH."""
    at = 0
    while at < len(payload):
        data, attrs, at = _unpack_record(payload, at, len(payload))
        yield data, attrs


@dataclass
class Delivered:
    """A record as it came in a DELIVER."""

    data: bytes
    attrs: bytes
    position: int
    producer: int
    sequence: int
    time_ns: int
    attempt: int
    redelivered: bool


def unpack_runs(payload: bytes) -> Iterator[Delivered]:
    at = 0
    while at < len(payload):
        if len(payload) - at < _RUN.size:
            raise ProtocolFault("half a run")
        (position, producer, sequence, time_ns, count, length, attempt, flags,
         _) = _RUN.unpack_from(payload, at)
        end = at + length
        if end > len(payload) or length % 8 or not 1 <= count <= RECORDS_MAX:
            raise ProtocolFault("a run's header is wrong")
        at += _RUN.size
        for index in range(count):
            data, attrs, at = _unpack_record(payload, at, end)
            yield Delivered(data, attrs, position + index, producer,
                            sequence + index, time_ns, attempt,
                            bool(flags & 1))
        if at != end:
            raise ProtocolFault("a run's length is wrong")


# -- feed ---------------------------------------------------------------------

_FEED = _Fixed("BBHIQQQqII", "version flags _r epoch prev_pos pos durable "
               "time_ns size crc32c")
FEED_HEARTBEAT, FEED_OMITTED, FEED_ATTRS = 1, 2, 4


def feed_topics(topic: str) -> Tuple[bytes, bytes]:
    """What to subscribe to: the topic's records, its heartbeats."""
    name = topic.encode("ascii")
    return name + b"\0", b"\0HB" + name + b"\0"


def unpack_feed(parts: Sequence[bytes]) -> Dict[str, int]:
    """The header of a feed message; checks the payload against it."""
    if not 3 <= len(parts) <= 4 or len(parts[1]) != _FEED.form.size:
        raise ProtocolFault("no message of a feed")
    head = _FEED.unpack(parts[1])
    if head["version"] != VERSION:
        raise ProtocolFault("a feed of another version")
    whole = not head["flags"] & (FEED_HEARTBEAT | FEED_OMITTED)
    if whole and (head["size"] != len(parts[2]) or
                  head["crc32c"] != crc32c(parts[2])):
        raise ProtocolFault("a feed message's payload is damaged")
    return head
