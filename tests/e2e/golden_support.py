"""Recorded sessions of the wire protocol (tests/data/wire/sessions/*.session):
reading them, filling in what differs from run to run, and telling what a frame
says.

A session is lines:

    # a remark                      with shmqd         (first line: needs shmqd)
    ! create t --ring spsc          a local command of shmq, on the topics
    ! pub t < "one\\ntwo\\n"          ... with an input (a JSON string)
    ! TERM                          a signal to the bridge
    > a HELLO corr_id=1 ...         peer `a` sends a message
    < a WELCOME ...                 peer `a` receives one
      5351 01 02 ...                its bytes
    + ...                           next part of the message

Peers a, b, ... are DEALERs, `sub` a SUB of topic t, `push` a PUSH. What stands
behind the peer's name is what a decoder has to tell of the message. {name:8} are
8 bytes that differ from run to run, but within a run are the same wherever the
name stands; {crc} is the checksum of its control frame, {payload} that of the
payload frame; all other bytes are as recorded. {tlv-text} is a TLV TEXT that names processes. Times ({time:8}, {time-2:8}, {age:8}) may be any at each place.
"""
import hashlib
import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "bridge", "python"))
from shmq_remote import wire  # noqa: E402
from shmq_remote.crc32c import crc32c  # noqa: E402
from shmq_remote.errors import ProtocolFault  # noqa: E402

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data",
                      "wire", "sessions")
NAMESPACE_BYTES = 16
CRC, PAYLOAD_CRC = "crc", "payload"
FREE = ("time", "age", "tlv-text")
SOME_TEXT = "a text for people"
CRC_AT = 16
_TOKEN = re.compile(r"\{([a-z0-9-]+)(?::(\d+))?\}|([0-9a-f]{2})")


class Mismatch(Exception):
    pass


class Step:
    """kind is `!`, `>` or `<`; rest: the command, or what the message says."""

    def __init__(self, line, kind, who, rest):
        self.line, self.kind, self.who, self.rest = line, kind, who, rest
        self.parts = []


def read(path):
    """(whether shmqd is needed, steps)"""
    steps, needs_shmqd = [], False
    with open(path, encoding="ascii") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line == "with shmqd":
                needs_shmqd = True
            elif line.startswith("! "):
                steps.append(Step(number, "!", None, line[2:]))
            elif line[:2] in ("> ", "< "):
                who, _, rest = line[2:].partition(" ")
                steps.append(Step(number, line[0], who, rest))
                steps[-1].parts.append([])
            elif line.startswith("+"):
                steps[-1].parts.append(parse(line[1:], number))
            elif line.startswith("  "):
                steps[-1].parts[-1] += parse(line, number)
            elif line and not line.startswith("#"):
                raise ValueError(f"{path}:{number}: {line}")
    return needs_shmqd, steps


def parse(text, number):
    """Bytes, and (name, length) for what differs."""
    pieces, at = [], 0
    text = text.replace(" ", "")
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise ValueError(f"line {number}: {text[at:at + 20]}")
        name, length, byte = found.groups()
        pieces.append((name, int(length or 4)) if name
                      else bytes.fromhex(byte))
        at = found.end()
    return pieces


def fill(parts, values):
    """The bytes of a message; `values` by name."""
    out = []
    for part in parts:
        out.append(b"".join(
            p if isinstance(p, bytes) else
            bytes(p[1]) if p[0] in (CRC, PAYLOAD_CRC) else values(*p)
            for p in part))
    at = 0
    for p in parts[0]:
        if not isinstance(p, bytes) and p[0] == PAYLOAD_CRC:
            crc = struct.pack("<I", crc32c(out[1]))
            out[0] = out[0][:at] + crc + out[0][at + 4:]
        at += 1 if isinstance(p, bytes) else p[1]
    if any(p[0] == CRC for p in parts[0] if not isinstance(p, bytes)):
        crc = struct.pack("<I", crc32c(out[0]))
        out[0] = out[0][:CRC_AT] + crc + out[0][CRC_AT + 4:]
    return out


def match(parts, got, known):
    """Whether received bytes are the recorded ones; learns what differs.
    `known` is changed only when all of them are."""
    learned = dict(known)
    if len(got) != len(parts):
        raise Mismatch(f"{len(got)} parts instead of {len(parts)}")
    for number, (part, data) in enumerate(zip(parts, got)):
        part = stretch(part, data)
        length = sum(1 if isinstance(p, bytes) else p[1] for p in part)
        if length != len(data):
            raise Mismatch(f"part {number}: {len(data)} bytes instead of "
                           f"{length}: {data.hex()}")
        at = 0
        for p in part:
            size = 1 if isinstance(p, bytes) else p[1]
            here = data[at:at + size]
            want = p if isinstance(p, bytes) else wanted(p, got, learned)
            if not isinstance(p, bytes) and p[0].startswith(FREE):
                pass
            elif want is None:
                learned[p[0]] = here
            elif want != here:
                raise Mismatch(
                    f"part {number}, byte {at}: {here.hex()} instead of "
                    f"{want.hex()}" +
                    ("" if isinstance(p, bytes) else f" ({p[0]})"))
            at += size
    known.update(learned)


def stretch(part, data):
    """The part with the length that its text has in `data`."""
    last = part[-1] if part else b""
    if isinstance(last, bytes) or last[0] != "tlv-text":
        return part
    at = sum(1 if isinstance(p, bytes) else p[1] for p in part[:-1])
    kind, length = struct.unpack_from("<HH", data.ljust(at + 4, b"\0"), at)
    if kind != wire.TEXT or length == 0:
        raise Mismatch("no TEXT at the end")
    return part[:-1] + [(last[0], 4 + length)]


def wanted(piece, got, learned):
    name, size = piece
    if name == CRC:
        frame = got[0][:CRC_AT] + bytes(4) + got[0][CRC_AT + 4:]
        return struct.pack("<I", crc32c(frame))
    if name == PAYLOAD_CRC:
        return struct.pack("<I", crc32c(got[1]))
    if name in learned and len(learned[name]) != size:
        raise ValueError(f"{name} has two lengths")
    return learned.get(name)


def any_value(name, size):
    """Bytes for a name, to decode a session without a bridge."""
    if name == "namespace":
        return namespace_of(0).encode()
    if name == "tlv-text":
        return struct.pack("<HH", wire.TEXT, len(SOME_TEXT)) + \
            SOME_TEXT.encode()
    return hashlib.sha256(name.encode()).digest()[:size]


def namespace_of(number):
    text = f"golden-{number:09d}"
    assert len(text) == NAMESPACE_BYTES
    return text


def expected(step):
    """What decoders have to tell, with any_value() put in."""
    def put(found):
        name, size = found.group(1), int(found.group(2) or 4)
        value = any_value(name, size)
        if name == "namespace":
            return value.decode()
        return str(int.from_bytes(value, "little"))
    parts = fill(step.parts, any_value)
    text = re.sub(r"\{([a-z0-9-]+):(\d+)\}", put, step.rest)
    text = text.replace('TEXT="{text}"', f'TEXT="{SOME_TEXT}"')
    if "{payload}" in text:
        text = text.replace("{payload}", str(crc32c(parts[1])))
    return text


# -- telling --------------------------------------------------------------------

_COMMANDS = {getattr(wire, n): n for n in (
    "HELLO WELCOME LIST DESCRIBE CREATE ATTACH CREDIT DELIVER COMMIT SEEK DETACH "
    "PUBLISH PUBACK GAP PING PONG REVOKE ERROR BYE ACK NACK CHECK END").split()}
_TEXTS = {wire.TEXT: "TEXT", wire.NAME: "NAME", wire.TOPIC: "TOPIC",
          wire.GROUP: "GROUP", wire.NAMESPACE: "NAMESPACE",
          wire.DEAD_LETTER: "DEAD_LETTER", wire.SCHEMA: "SCHEMA",
          wire.FEED: "FEED", wire.PATTERN: "PATTERN", wire.MEMBER: "MEMBER"}


def pairs(fields):
    """a=1 b=2, numbers without sign: all decoders can tell them alike."""
    return " ".join(
        f"{k}={json.dumps(v) if isinstance(v, str) else v % 2 ** 64}"
        for k, v in fields.items() if not isinstance(v, list))


def tell_tlv(kind, value, control):
    if kind in _TEXTS:
        return f"{_TEXTS[kind]}={json.dumps(value.decode())}"
    if kind == wire.RANGES:
        numbers = struct.unpack(f"<{len(value) // 8}Q", value)
        return "RANGES=" + "".join(f"[{a},{b})" for a, b in
                                   zip(numbers[::2], numbers[1::2]))
    if kind == wire.POSITIONS:
        return "POSITIONS=" + ",".join(map(str, wire.unpack_positions(control)))
    if kind == wire.GROUP_STAT:
        return f"GROUP_STAT({pairs(wire.unpack_group_stat(value))})"
    if kind == wire.ENDPOINT_STAT:
        endpoint = wire.unpack_endpoint_stat(value)
        blocks = ",".join(map(str, endpoint["blocks"]))
        return f"ENDPOINT_STAT({pairs(endpoint)} blocks={blocks})"
    return f"TLV{kind}={value.hex()}"


def tell_record(data, attrs):
    text = "".join(f" attr{kind}={value.hex()}"
                   for kind, value in wire.unpack_attrs(attrs))
    return f"record({len(data)} {data.hex()}{text})"


def tell_control(parts):
    """What a message says, by the Python client's codec."""
    c = wire.unpack_control(parts[0], len(parts) > 1)
    words = [_COMMANDS.get(c.command, str(c.command)),
             f"flags={c.flags} status={c.status} corr_id={c.corr_id} "
             f"stream_id={c.stream_id}"]
    if c.fixed:
        words.append(pairs(c.fixed))
    words += [tell_tlv(kind, value, c) for kind, value in c.tlvs]
    if len(parts) > 1:
        whole = crc32c(parts[1]) == c.fixed["payload_crc32c"]
        words.append("payload=" + ("whole" if whole else "damaged"))
    if c.command == wire.PUBLISH:
        words += [tell_record(*r) for r in wire.unpack_records(parts[1])]
    elif c.command == wire.DELIVER:
        words += [f"at({d.position} {d.producer} {d.sequence} {d.time_ns} "
                  f"{d.attempt} {int(d.redelivered)})"
                  f"{tell_record(d.data, d.attrs)}"
                  for d in wire.unpack_runs(parts[1])]
    return " ".join(words)


def tell_feed(parts):
    if len(parts) == 1:
        version, boot = struct.unpack("<BQ", parts[0][2:])
        return f"FEED_WELCOME version={version} boot_id={boot}"
    head = wire.unpack_feed(parts)
    mark = b"\0HB"
    beats = parts[0].startswith(mark)
    topic = parts[0][len(mark) if beats else 0:-1].decode()
    text = f"FEED topic={json.dumps(topic)} heartbeat={int(beats)} " + \
        pairs(head) + f" data={parts[2].hex()}"
    if len(parts) > 3:
        text += "".join(f" attr{kind}={value.hex()}"
                        for kind, value in wire.unpack_attrs(parts[3]))
    return text


def tell_push(parts):
    return "PUSH topic=" + json.dumps(parts[0][:-1].decode()) + \
        f" data={parts[1].hex()}"


def tell(who, parts):
    if who == "sub":
        return tell_feed(parts)
    return tell_push(parts) if who == "push" else tell_control(parts)
