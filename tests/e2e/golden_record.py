"""golden_record.py [SESSION...] - records tests/data/wire/sessions anew, from a
bridge that runs: what the bridge sends is written down as it came. To be read
by whoever changes it; the sessions are part of the protocol."""
import struct

from golden_play import *
from golden_support import *

# Fields that differ from run to run, and what they are called.
_VARY = {"session_id": "session", "session_token": "token", "boot_id": "boot",
         "server_time_ns": "time", "time_ns": "time", "generation": "generation",
         "epoch": "epoch", "producer": "endpoint", "owner": "uid",
         "group_owner": "gid", "pid": "pid", "identity": "endpoint",
         "since_ns": "time", "idle_since_ns": "time", "oldest_unread_ns": "age"}
_GROUP = "IIIIIIQQQQqQQQq", ("kind absent max_attempts member_cnt claimed gates "
    "lease_ns floor lag_messages lag_bytes oldest_unread_ns redelivered "
    "dead_lettered expired idle_since_ns")
_ENDPOINT = "IIIiQqQQII64s16s", ("id role state pid identity since_ns "
    "holds_frames messages waiting block_cnt blocks comm")
_RUN = "QQQqIIHHI", ("position producer sequence time_ns record_cnt run_bytes "
                     "attempt flags reserved")
_FEED = "BBHIQQQqII", ("version flags r epoch prev_pos pos durable time_ns size "
                       "crc32c")
_BARE = {"epoch": (wire.PUBLISH,)}  # where the name means something chosen


def wrap(words, indent="  ", width=78):
    lines, line = [], indent.rstrip()
    for word in words:
        if len(line) + 1 + len(word) > width and len(line) > len(indent):
            lines.append(line)
            line = indent.rstrip()
        line = (line or " ") + " " + word
    return lines + [line]


class Recorder:
    def __init__(self, stage, title, with_shmqd=False):
        self.stage = stage
        self.out = [f"# {title}"] + (["with shmqd"] if with_shmqd else [])
        self.names = {}
        self.counts = {}
        self.asking = False

    # -- what differs -----------------------------------------------------------

    def vary(self, field, value, size, command):
        """The placeholder of a field, or None."""
        kind = _VARY.get(field)
        if not kind or command in _BARE.get(field, ()) or \
                (kind not in ("uid", "gid") and value in (0, 2 ** 64 - 1)):
            return None
        key = (kind, value)
        if key not in self.names:
            if self.asking:  # chosen by the peer
                return None
            self.counts[kind] = self.counts.get(kind, 0) + 1
            number = self.counts[kind]
            self.names[key] = kind if number == 1 else f"{kind}-{number}"
        return "{%s:%d}" % (self.names[key], size)

    def fields(self, form, names, data, command=0, payload=False):
        words, at = [], 0
        for code, name in zip(_codes(form), names):
            size = struct.calcsize("<" + code)
            chunk = data[at:at + size]
            word = chunk.hex() or None
            if code[-1] in "IiQq":
                value = int.from_bytes(chunk, "little")
                word = self.vary(name, value, size, command) or word
            if name == "payload_crc32c" and payload:
                word = "{payload}"
            if word:
                words.append(word)
            at += size
        return words + ([data[at:].hex()] if data[at:] else [])

    def text(self, value):
        ns = self.stage.ns.encode()
        return ("{namespace:%d}" % NAMESPACE_BYTES).join(
            piece.hex() for piece in value.split(ns))

    def form_tlv(self, kind, value):
        if kind == wire.TEXT and b" pid " in value:
            return ["{tlv-text}"]
        head = struct.pack("<HH", kind, len(value))
        words = [head[:2].hex(), head[2:].hex()]
        if kind == wire.GROUP_STAT:
            return words + self.fields(_GROUP[0], _GROUP[1].split(), value)
        if kind == wire.ENDPOINT_STAT:
            return words + self.fields(_ENDPOINT[0], _ENDPOINT[1].split(),
                                       value)
        return words + ([self.text(value)] if value else [])

    def form_record(self, payload, at):
        size, attrs, _ = struct.unpack_from("<IHH", payload, at)
        end = at + 8 + attrs + -attrs % 8 + size + -size % 8
        return payload[at:at + 8].hex() + " " + payload[at + 8:end].hex(), end

    def form_payload(self, payload, runs):
        """Lines of words."""
        lines, at = [], 0
        while at < len(payload):
            count = 1
            if runs:
                count = struct.unpack_from("<I", payload, at + 32)[0]
                lines.append(self.fields(_RUN[0], _RUN[1].split(),
                                         payload[at:at + 48]))
                at += 48
            for _ in range(count):
                text, at = self.form_record(payload, at)
                lines.append(text.split())
        return lines

    def form_control(self, parts):
        frame = parts[0]
        c = wire.unpack_control(frame, len(parts) > 1)
        fixed_bytes = struct.unpack_from("<H", frame, 20)[0]
        rules = wire.ANSWERED if c.is_reply else wire.ASKED
        rule = rules[c.command]
        payload = self.form_payload(parts[1], c.command == wire.DELIVER) \
            if len(parts) > 1 else []
        varies = any("{" in word for line in payload for word in line)
        fixed = self.fields(rule.form.format.lstrip("<"), rule.names,
                            frame[24:24 + fixed_bytes], c.command, varies)
        tlvs = [self.form_tlv(kind, value) for kind, value in c.tlvs]
        varies = any("{" in w for line in [fixed] + tlvs for w in line)
        head = self.fields("2sBBHHIIIHH", ["x"] * 10, frame[:24])
        if varies:
            head[7] = "{crc}"
        return [head, fixed] + tlvs, payload

    def meaning(self, who, parts):
        """What is told of it, with names in place of what differs."""
        text = tell(who, parts)
        for (kind, value), name in self.names.items():
            size = 4 if kind in ("epoch", "uid", "gid", "pid") else 8
            fields = "|".join(f for f, k in _VARY.items() if k == kind)
            text = re.sub(rf"\b({fields})={value}\b",
                          r"\1={%s:%d}" % (name, size), text)
            if kind in ("endpoint", "time"):
                text = re.sub(rf"(at\([^)]*?\b){value}\b",
                              r"\1{%s:%d}" % (name, size), text)
        if text.startswith("PUBLISH"):  # its epoch is the producer's
            text = re.sub(r"\bepoch=\{[^}]*\}", "epoch=" + str(
                wire.unpack_control(parts[0], True).fixed["epoch"]), text)
        text = re.sub(r'TEXT="[^"]* pid [^"]*"', 'TEXT="{text}"', text)
        return text.replace(self.stage.ns, "{namespace:%d}" % NAMESPACE_BYTES)

    def write(self, arrow, who, parts):
        self.asking = arrow == ">"
        if who == "sub":
            first, rest = self.form_feed(parts)
        elif who == "push":
            first, rest = [[parts[0].hex()]], [[[p.hex()]] for p in parts[1:]]
        else:
            first, payload = self.form_control(parts)
            rest = [payload] if payload else []
        said = self.meaning(who, parts)
        if "{payload}" in str(first):
            said = re.sub(r"payload_crc32c=\d+", "payload_crc32c={payload}",
                          said)
        self.out += ["", f"{arrow} {who} {said}"]
        for line in first:
            self.out += wrap(line)
        for part in rest:
            self.out.append("+")
            for line in part:
                self.out += wrap(line)

    def form_feed(self, parts):
        if len(parts) == 1:
            return [[parts[0][:3].hex(), "{boot:8}"]], []
        head = self.fields(_FEED[0], _FEED[1].split(), parts[1])
        return [[parts[0].hex()]], [[head]] + [
            [[p.hex()]] if p else [] for p in parts[2:]]

    # -- what a session is made of ----------------------------------------------

    def note(self, text):
        self.out += [""] + wrap(text.split(), "# ")

    def act(self, command):
        self.out += ["", f"! {command}"]
        self.stage.act(command)

    def send(self, who, command, fixed=b"", tlvs=b"", payload=None, corr=0,
             stream=0, parts=None):
        flags = PAYLOAD if payload is not None else 0
        if parts is None:
            parts = [control(command, fixed, tlvs, flags, corr, stream)]
            parts += [payload] if payload is not None else []
        self.write(">", who, parts)
        self.stage.send(who, parts)

    def receive(self, who="a", skip=lambda parts: False):
        while True:
            parts = self.stage.receive(who)
            assert parts is not None, "nothing came"
            if not skip(parts):
                break
        if who == "sub" and len(parts) == 1:
            boot = struct.unpack("<Q", parts[0][3:])[0]
            self.vary("boot_id", boot, 8, 0)
        self.write("<", who, parts)
        return parts if who in ("sub", "push") else Message(parts)

    def ask(self, who, *args, **kwargs):
        self.corr = getattr(self, "corr", 0) + 1
        self.send(who, *args, corr=self.corr, **kwargs)
        while (m := self.receive(who)).flags & MORE:
            assert m.corr == self.corr
        assert m.corr == self.corr, m
        return m

    def hello(self, who="a", lease_ms=0, session=(0, 0)):
        m = self.ask(who, HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, lease_ms, 0,
                                             *session), tlv(NAME, "golden"))
        return m.unpack("BBHIQQQ")[5:7]

    def attach(self, who="a", group=None, start=0, value=0, until=NONE, kind=0,
               prefetch=64, credit=0, records=0, level=0, flags=0):
        tlvs = tlv(TOPIC, "t") + (tlv(GROUP, group) if group else b"")
        m = self.ask(who, ATTACH, struct.pack(
            "<IBBBBQQQIIQQII", flags, kind, 0, start, level, value, until, 0, 0,
            prefetch, credit, records, 0, 0), tlvs)
        self.stream, self.generation = m.stream, m.unpack("Q")[0]
        return m

    def on(self, command, fixed=b"", tlvs=b"", generation=None, who="a"):
        g = self.generation if generation is None else generation
        return self.ask(who, command, struct.pack("<Q", g) + fixed, tlvs,
                        stream=self.stream)

    def credit(self, nbytes, records, who="a"):
        self.send(who, CREDIT, struct.pack("<QQ", nbytes, records),
                  stream=self.stream)

    def publish(self, records, producer=0, sequence=0, settled=0, since=0,
                epoch=1, level=1, who="a", timeout_ms=0, crc=0):
        body = b"".join(records)
        fixed = struct.pack("<QQQQIIIIB7x", producer, sequence, settled, since,
                            epoch if producer else 0, len(records),
                            crc32c(body) ^ crc, timeout_ms, level)
        return self.ask(who, PUBLISH, fixed, tlv(TOPIC, "t"), payload=body)


def _codes(form):
    """One code for each field of a struct format; 7x is none."""
    out = []
    for count, code in re.findall(r"(\d*)([A-Za-z])", form):
        if code in "sx":
            out.append(count + code)
        else:
            out += [code] * int(count or 1)
    return out


# -- the sessions ---------------------------------------------------------------

def session_topics(r):
    """Hello, topics made, listed and described, errors, goodbye"""
    r.note("Nothing goes without HELLO; a version that nobody knows is refused.")
    r.ask("a", PING, struct.pack("<Q", 1))
    r.ask("a", HELLO, struct.pack("<BBHIQQQ", 9, 9, 0, 0, 0, 0, 0))
    r.hello()
    r.ask("a", PING, struct.pack("<Q", 77))
    body = struct.pack("<IIIIQQQIIIIIIQ", 1, 0, 0, 0, 64, 65536, 1024, 0, 0, 0,
                       0, 0, 0, 0)
    r.ask("a", CREATE, body, tlv(TOPIC, "t") + tlv(SCHEMA, "order:3"))
    r.ask("a", CREATE, body, tlv(TOPIC, "t"))
    r.act("create u.v")
    r.ask("a", LIST, bytes(8))
    r.ask("a", LIST, struct.pack("<II", 1, 0), tlv(PATTERN, "*") +
          tlv(TOPIC, "t"))
    r.act('pub t < "1\\n22\\n"')
    r.act("group create t g")
    r.ask("a", DESCRIBE, struct.pack("<II", 1, 0), tlv(TOPIC, "t"))
    r.ask("a", DESCRIBE, bytes(8), tlv(TOPIC, "nope"))
    r.note("Names and verbs that make no sense.")
    r.ask("a", DESCRIBE, bytes(8), tlv(TOPIC, ".hidden"))
    r.ask("a", ERROR, bytes(32))
    r.note("A second peer names the session of the first, which ends by that.")
    session = r.hello()
    r.hello("b", 2000, session)
    r.ask("a", PING, struct.pack("<Q", 2))
    r.ask("b", BYE, bytes(8), tlv(TEXT, "done"))
    r.ask("b", PING, struct.pack("<Q", 3))


def session_publish(r):
    """Publishing, once"""
    r.act("create t --capacity 64")
    r.hello()
    attrs = wire.pack_attrs([(wire.KEY, b"k1"), (wire.HEADER, b"n\0v")])
    r.note("Without a producer id: two records, the first with attributes.")
    r.publish([record(b"one", attrs), record(b"")])
    r.note("With one: published, repeated, beyond what is expected, across its "
           "end.")
    r.publish([record(b"a"), record(b"bb")], 7, 0)
    r.publish([record(b"a"), record(b"bb")], 7, 0)
    r.publish([record(b"far")], 7, 5, settled=2)
    r.publish([record(b"bb"), record(b"ccc")], 7, 1)
    r.note("A higher epoch, and the one it fenced off.")
    r.publish([record(b"x")], 7, 0, epoch=2)
    r.publish([record(b"y")], 7, 2, settled=2, epoch=1)
    r.note("A payload's checksum, attributes that clients may not send, a topic "
           "that is not there, and a level that a topic in memory has not.")
    r.publish([record(b"z")], crc=1)
    r.publish([record(b"z", wire.pack_attrs([(9, bytes(24))]))])
    body = record(b"z")
    r.ask("a", PUBLISH, struct.pack("<QQQQIIIIB7x", 0, 0, 0, 0, 0, 1,
                                    crc32c(body), 0, 1), tlv(TOPIC, "nope"),
          payload=body)
    r.publish([record(b"z")], level=3)


def session_group(r):
    """A member of a shared group"""
    r.act("create t --capacity 64")
    r.act('pub t --batch 2 < "1\\n2\\n3\\n4\\n5\\n6\\n"')
    r.hello()
    r.attach(group="g", start=1)
    r.note("Three records, and no more until they are paid for again.")
    r.credit(65536, 3)
    m = r.receive()
    first = m.unpack("QQQQ")[3]
    last = m.records()[-1][0]
    m = r.receive() if len(m.records()) < 3 else m
    r.on(ACK, b"", ranges((first, first + 1)))
    r.note("What is given back comes again, flagged; the second range holds "
           "nothing.")
    r.on(NACK, struct.pack("<Q", 0), ranges((first + 1, first + 2),
                                            (1 << 40, 1 << 41)))
    r.credit(65536, 7)
    m = r.receive()
    end = r.drain(m, 4)
    r.on(CHECK)
    r.on(COMMIT, struct.pack("<QB3xI", end, 1, 1000))
    r.on(CHECK)
    r.on(COMMIT, struct.pack("<QB3xI", 1 << 50, 1, 0))
    r.note("Another generation, another stream, too much credit, a member's "
           "seek.")
    r.on(ACK, b"", ranges((0, NONE)), generation=1)
    r.ask("a", ACK, struct.pack("<Q", 1), ranges((0, 1)), stream=99)
    r.credit(1 << 40, 8)
    r.receive()
    r.on(SEEK, struct.pack("<B7xQ", 1, 0))
    r.ask("a", DESCRIBE, struct.pack("<II", 3, 0), tlv(TOPIC, "t"))
    r.on(DETACH)
    assert last


def session_reader(r):
    """A reader of its own: a range, a seek, a gap"""
    r.act("create t --capacity 64 --on-full drop-old")
    r.act('pub t < "1\\n2\\n3\\n4\\n5\\n"')
    r.hello()
    m = r.attach(start=1)
    r.credit(65536, 3)
    m = r.receive()
    third = m.records()[2][0]
    r.on(ACK, b"", ranges((0, NONE)))
    r.note("A seek begins a generation; the old one is over.")
    old = r.generation
    r.generation = r.on(SEEK, struct.pack("<B7xQ", 3, third)).unpack("Q")[0]
    r.on(SEEK, struct.pack("<B7xQ", 3, third), generation=old)
    r.credit(65536, 4)
    assert r.receive().records()[0][0] == third
    r.generation = r.on(SEEK, struct.pack("<B7xQ", 1, 0)).unpack("Q")[0]
    r.credit(65536, 5)
    first = r.receive().records()[0][0]
    r.on(DETACH)
    r.note("Up to the third record, which is not of it.")
    r.attach(start=3, value=first, until=third, credit=65536, records=100)
    r.receive()
    r.receive()
    r.on(CHECK)
    r.note("Overtaken: what it missed is told before what comes next.")
    r.attach(start=1)
    r.act("pub t < " + json.dumps("".join(f"{n}\n" for n in range(200))))
    r.credit(65536, 1)
    r.receive()
    r.receive()


def session_exclusive(r):
    """An exclusive group: given back, seek, busy"""
    r.act("create t --ring spsc")
    r.act('pub t < "1\\n2\\n3\\n"')
    r.hello()
    r.attach(group="x", start=1, kind=2)
    r.credit(65536, 2)
    m = r.receive()
    first, second = (at[0] for at in m.records())
    r.on(ACK, b"", ranges((first, first + 1)))
    m = r.on(NACK, struct.pack("<Q", 0), ranges((second, second + 1)))
    r.generation = m.unpack("QQQ")[2]
    r.credit(65536, 4)
    r.receive()
    r.on(NACK, struct.pack("<Q", 5), ranges((second, second + 1)))
    m = r.on(SEEK, struct.pack("<B7xQ", 1, 0))
    r.hello("b")
    r.ask("b", ATTACH, struct.pack("<IBBBBQQQIIQQII", 0, 0, 0, 0, 0, 0, NONE, 0,
                                   0, 1, 0, 0, 0, 0),
          tlv(TOPIC, "t") + tlv(GROUP, "x"))


def session_revoke(r):
    """What the bridge takes away: a topic that is removed; the bridge ends"""
    r.act("create t")
    r.hello()
    r.attach(group="g", credit=65536, records=10)
    r.act("rm t --force")
    r.receive()
    r.act("TERM")
    r.receive()


def session_feed(r):
    """The live feed and the pull socket"""
    r.act("create t")
    r.receive("sub")
    r.note("The heartbeat tells that the subscription has arrived.")
    r.receive("sub")
    r.send("push", 0, parts=[b"t\0", b"pushed", wire.pack_attrs(
        [(wire.CONTENT_TYPE, b"text/plain")])])
    beat = lambda parts: parts[0].startswith(b"\0HB")
    r.receive("sub", beat)
    r.act('pub t < "local\\n"')
    r.receive("sub", beat)
    r.receive("sub", lambda parts: not beat(parts))


def session_durable(r):
    """A topic on disk: levels of publishing, reading and committing"""
    body = bytearray(72)
    body[8:12] = struct.pack("<I", 2)
    r.hello()
    r.ask("a", CREATE, bytes(body), tlv(TOPIC, "t"))
    r.publish([record(b"one")], 9, 0, level=3)
    r.attach(group="g", start=1, level=3, prefetch=64)
    r.credit(65536, 1)
    m = r.receive()
    r.on(COMMIT, struct.pack("<QB3xI", m.records()[0][0] + 1, 3, 5000))


def drain(r, m, count):
    """Receives until `count` records were handed out; their end."""
    got = m.records()
    while len(got) < count:
        got += r.receive().records()
    return got[-1][0] + 1


Recorder.drain = drain


def main():
    found = {n[8:]: f for n, f in globals().items() if n.startswith("session_")}
    for name in sys.argv[1:] or found:
        session = found[name]
        durable = name == "durable"
        with Stage(durable) as stage:
            r = Recorder(stage, session.__doc__ + ".", durable)
            try:
                session(r)
            finally:
                with open(f"{FOLDER}/{name}.session", "w") as f:
                    f.write("\n".join(r.out) + "\n")


if __name__ == "__main__":
    main()
