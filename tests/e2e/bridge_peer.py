"""bridge_peer.py - a bare peer of shmq-bridge for its tests: every byte by hand
from docs/wire.md, so that a test can also send what no client would send.
"""
import os
import signal
import struct
import subprocess
import sys
import time

try:
    import zmq
except ImportError:
    # The distribution's pyzmq belongs to the distribution's Python.
    if sys.executable != "/usr/bin/python3" and \
            os.access("/usr/bin/python3", os.X_OK):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    print("no pyzmq (python3-zmq): skipped")
    sys.exit(77)

# The long run: more of everything, and the figures of the task.
FULL = "--full" in sys.argv
if FULL:
    sys.argv.remove("--full")

BIN = os.environ["SHMQ_BIN_DIR"]
NONE = 2**64 - 1
# Seconds to wait for what has to come, however slow the machine is. (Waits for
# what must not come are short: they can only overlook something.)
PATIENCE = 60.0

(HELLO, WELCOME, LIST, DESCRIBE, CREATE) = range(1, 6)
(ATTACH, CREDIT, DELIVER, COMMIT, SEEK, DETACH) = range(7, 13)
(PUBLISH, PUBACK, GAP, PING, PONG, REVOKE) = range(14, 20)
(ERROR, BYE, ACK, NACK, CHECK, END) = range(21, 27)
REPLY, MORE, PAYLOAD = 1, 2, 4
(TEXT, NAME, TOPIC, GROUP, NAMESPACE, DEAD_LETTER, SCHEMA, FEED, PATTERN,
 RANGES, POSITIONS, GROUP_STAT, ENDPOINT_STAT, MEMBER) = range(1, 15)
STATUS = """OK BAD_FRAME UNSUPPORTED_VERSION UNKNOWN_COMMAND UNAUTHENTICATED
    FORBIDDEN NO_SUCH_TOPIC TOPIC_EXISTS OUT_OF_RANGE DATA_CORRUPT
    LOG_TRUNCATED NO_SPACE READ_ONLY TOO_LARGE CREDIT_EXCEEDED
    FENCED_GENERATION UNKNOWN_MEMBER GROUP_BUSY OUT_OF_ORDER PRODUCER_FENCED
    TIMEOUT_LEVEL OVERLOADED DURABILITY_FAILED COMMIT_BEYOND_END SHUTTING_DOWN
    CRC_MISMATCH HISTORY_GONE LIMIT STALE CLOSED INVALID NO_SUCH_GROUP
    GROUP_EXISTS NO_DAEMON INTERNAL UNKNOWN_SESSION UNKNOWN_STREAM
    FULL""".split()


def _table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def tlv(kind, value):
    if isinstance(value, str):
        value = value.encode()
    return struct.pack("<HH", kind, len(value)) + value


def ranges(*pairs):
    return tlv(RANGES, b"".join(struct.pack("<QQ", *p) for p in pairs))


def control(command, fixed=b"", tlvs=b"", flags=0, corr=0, stream=0):
    head = struct.pack("<2sBBHHIIIHH", b"SQ", 1, command, flags, 0, corr,
                       stream, 0, len(fixed), 0)
    frame = bytearray(head + fixed + tlvs)
    frame[16:20] = struct.pack("<I", crc32c(frame))
    return bytes(frame)


def pad8(data):
    return data + bytes(-len(data) % 8)


def record(payload, attrs=b""):
    return struct.pack("<IHH", len(payload), len(attrs), 0) + pad8(attrs) + \
        pad8(payload)


class Message:
    """A control frame, taken apart."""

    def __init__(self, parts):
        while parts and not parts[0]:
            parts = parts[1:]
        frame = parts[0]
        self.payload = parts[1] if len(parts) > 1 else None
        (magic, version, self.command, self.flags, status, self.corr,
         self.stream, crc, fixed, _) = struct.unpack_from("<2sBBHHIIIHH", frame)
        assert magic == b"SQ" and version == 1
        assert crc32c(frame[:16] + bytes(4) + frame[20:]) == crc
        self.status = STATUS[status]
        self.fixed = frame[24:24 + fixed]
        self.tlvs = []
        at = 24 + fixed
        while at < len(frame):
            kind, n = struct.unpack_from("<HH", frame, at)
            self.tlvs.append((kind, frame[at + 4:at + 4 + n]))
            at += 4 + n

    def unpack(self, form):
        return struct.unpack_from("<" + form, self.fixed)

    def tlv(self, kind):
        return next((v for k, v in self.tlvs if k == kind), None)

    def __repr__(self):
        return (f"<{self.command} {self.status} corr={self.corr} "
                f"stream={self.stream} {self.fixed.hex()} {self.tlvs}>")

    def records(self):
        """(position, payload, attempt, redelivered, producer, sequence)"""
        at, out = 0, []
        while at < len(self.payload):
            (position, producer, sequence, _, count, size, attempt, flags,
             _) = struct.unpack_from("<QQQqIIHHI", self.payload, at)
            end, at = at + size, at + 48
            for i in range(count):
                n, attrs, _ = struct.unpack_from("<IHH", self.payload, at)
                data = at + 8 + attrs + -attrs % 8
                out.append((position + i, self.payload[data:data + n], attempt,
                            bool(flags & 1), producer, sequence + i))
                at = data + n + -n % 8
            assert at == end
        return out


class Peer:
    """A DEALER (or REQ) with what its tests need to talk to a bridge."""

    def __init__(self, context, endpoint, keys=None, kind=zmq.DEALER):
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        if keys:
            public, secret, server = (key.encode() for key in keys)
            self.socket.curve_publickey = public
            self.socket.curve_secretkey = secret
            self.socket.curve_serverkey = server
        self.socket.connect(endpoint)
        self.corr = 0
        self.session = (0, 0)
        self.backlog = []
        self.welcome = None

    def close(self):
        self.socket.close(0)

    def send(self, command, fixed=b"", tlvs=b"", payload=None, corr=None,
             stream=0):
        if corr is None:
            self.corr += 1
            corr = self.corr
        flags = PAYLOAD if payload is not None else 0
        parts = [control(command, fixed, tlvs, flags, corr, stream)]
        if payload is not None:
            parts.append(payload)
        self.socket.send_multipart(parts)
        return corr

    def receive(self, timeout=PATIENCE):
        if not self.socket.poll(int(timeout * 1000)):
            return None
        return Message(self.socket.recv_multipart())

    def take(self, want, timeout=PATIENCE):
        """The first message for which `want` holds; others wait their turn."""
        for i, m in enumerate(self.backlog):
            if want(m):
                return self.backlog.pop(i)
        end = time.monotonic() + timeout
        while True:
            m = self.receive(max(0.0, end - time.monotonic()))
            if m is None:
                return None
            if want(m):
                return m
            self.backlog.append(m)

    def ask(self, *args, timeout=PATIENCE, **kwargs):
        corr = self.send(*args, **kwargs)
        m = self.take(lambda m: m.corr == corr and m.flags & REPLY, timeout)
        assert m is not None, ("no answer", args)
        return m

    def hello(self, lease_ms=0, session=(0, 0), timeout=PATIENCE):
        m = self.ask(HELLO, struct.pack("<BBHIQQQ", 1, 1, 0, lease_ms, 0,
                                        *session), tlv(NAME, "test"),
                     timeout=timeout)
        if m.command == WELCOME:
            (_, _, _, self.lease_ms, _, sid, token, self.boot, _,
             self.heartbeat_ms, self.max_payload, self.max_streams, _,
             self.max_credit, self.max_records, self.publish_msgs,
             self.publish_bytes, self.feed_max, _) = m.unpack(
                 "BBHIQQQQqIIIIQQIIII")
            self.session = (sid, token)
        return m

    def attach(self, topic, group=None, start=0, value=0, until=NONE, flags=0,
               kind=0, lease_ns=0, attempts=0, prefetch=64, credit=1 << 20,
               records=4096, batch=0, timeout=PATIENCE):
        tlvs = tlv(TOPIC, topic) + (tlv(GROUP, group) if group else b"")
        m = self.ask(ATTACH, struct.pack(
            "<IBBBBQQQIIQQII", flags, kind, 0, start, 0, value, until, lease_ns,
            attempts, prefetch, credit, records, batch, 0), tlvs, timeout=timeout)
        return Stream(self, m, credit, records) if m.command == ATTACH else m

    def publish(self, topic, payloads, producer=0, sequence=0, settled=0,
                since=0, epoch=1, level=0, timeout_ms=0, corr=None):
        body = b"".join(record(p) if isinstance(p, bytes) else record(*p)
                        for p in payloads)
        fixed = struct.pack("<QQQQIIIIB7x", producer, sequence, settled, since,
                            epoch if producer else 0, len(payloads),
                            crc32c(body), timeout_ms, level)
        return self.send(PUBLISH, fixed, tlv(TOPIC, topic), payload=body,
                         corr=corr)

    def puback(self, corr, timeout=PATIENCE):
        m = self.take(lambda m: m.command == PUBACK and m.corr == corr, timeout)
        return Puback(m) if m else None


class Puback:
    def __init__(self, m):
        self.status = m.status
        (self.sequence, self.base, self.end, self.expected, self.count,
         self.level, flags, _, self.window_msgs, self.window_bytes,
         self.retry_ms, _) = m.unpack("QQQQIBBHIIII")
        self.dup = bool(flags & 1)
        self.unknown = bool(flags & 2)


class Stream:
    def __init__(self, peer, m, credit, records):
        self.peer, self.id = peer, m.stream
        (self.generation, self.position, self.earliest, self.published,
         self.epoch, self.kind, self.created, _, self.endpoint,
         _) = m.unpack("QQQQIBBHII")
        self.granted, self.granted_records = credit, records
        self.delivery = 0

    def next(self, timeout=PATIENCE):
        m = self.peer.take(
            lambda m: m.stream == self.id and not m.flags & REPLY, timeout)
        if m is not None and m.command in (DELIVER, GAP, END):
            generation, delivery = m.unpack("QQ")
            assert delivery == self.delivery, (delivery, self.delivery)
            self.delivery += 1
        return m

    def credit(self, nbytes, records):
        self.granted += nbytes
        self.granted_records += records
        self.peer.send(CREDIT, struct.pack("<QQ", self.granted,
                                           self.granted_records),
                       corr=0, stream=self.id)

    def collect(self, count, timeout=PATIENCE, ack=False):
        """Records until there are `count`, or nothing more comes."""
        out = []
        while len(out) < count:
            m = self.next(timeout)
            if m is None:
                break
            assert m.command == DELIVER, m
            assert crc32c(m.payload) == m.unpack("QQQQQQII")[7]
            got = m.records()
            out += got
            self.credit(len(m.payload), len(got))
            if ack:
                self.ack(*[(r[0], r[0] + 1) for r in got])
        return out

    def ask(self, command, fixed=b"", tlvs=b"", generation=None):
        g = self.generation if generation is None else generation
        return self.peer.ask(command, struct.pack("<Q", g) + fixed, tlvs,
                             stream=self.id)

    def ack(self, *pairs, generation=None):
        m = self.ask(ACK, b"", ranges(*pairs), generation)
        return m.unpack("QQ") if m.command == ACK else m.status

    def nack(self, *pairs, delay_ns=0):
        m = self.ask(NACK, struct.pack("<Q", delay_ns), ranges(*pairs))
        return m.unpack("QQQ") if m.command == NACK else m.status


class Bridge:
    """A bridge on endpoints of its own, ended with the test."""

    def __init__(self, namespace, directory, *options, wait=True):
        self.namespace = namespace
        self.router = f"ipc://{directory}/router"
        self.pub = f"ipc://{directory}/pub"
        self.pull = f"ipc://{directory}/pull"
        self.options = list(options)
        self.log_path = f"{directory}/bridge.log"
        self.start(wait)

    def start(self, wait=True):
        command = [f"{BIN}/shmq-bridge", "--namespace", self.namespace]
        for name, at in (("--router", self.router), ("--pub", self.pub),
                         ("--pull", self.pull)):
            if name not in self.options:
                command += [name, at]
        self.log = open(self.log_path, "ab")
        begin = self.log.tell()
        self.process = subprocess.Popen(command + self.options,
                                        stderr=self.log)
        end = time.monotonic() + PATIENCE
        while wait and b"shows namespace" not in self.read_log()[begin:]:
            assert self.process.poll() is None, self.read_log()[begin:]
            assert time.monotonic() < end, "the bridge does not start"
            time.sleep(0.01)

    def read_log(self):
        with open(self.log_path, "rb") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        """Ends it; its status must be 0 whatever it went through."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        status = self.process.wait(PATIENCE)
        self.log.close()
        assert status == 0, (status, self.read_log()[-3000:])


def shmq(namespace, *args, data=None, timeout=2 * PATIENCE):
    return subprocess.run([f"{BIN}/shmq", "--namespace", namespace, *args],
                          input=data, capture_output=True, timeout=timeout,
                          check=False)


def must(result):
    assert result.returncode == 0, (result.args, result.stderr)
    return result.stdout


class World:
    """A namespace with its bridge and peers; everything ends with it."""

    def __init__(self, *options, start=True):
        import tempfile
        World.count = getattr(World, "count", 0) + 1
        self.ns = f"br-{os.getpid()}-{World.count}"
        self.dir = tempfile.TemporaryDirectory(prefix="shmq-br-")
        self.context = zmq.Context()
        self.peers = []
        self.children = []
        self.bridge = Bridge(self.ns, self.dir.name, *options) if start \
            else None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.bridge:
            sys.stderr.write(self.bridge.read_log()[-3000:].decode())
        for p in self.children:
            if p.poll() is None:
                p.kill()
            p.wait()
        self.context.destroy(0)
        try:
            if self.bridge:
                self.bridge.stop()
        finally:
            if self.bridge and self.bridge.process.poll() is None:
                self.bridge.kill()
            shmq(self.ns, "rm", "--all", "--force")
            for name in os.listdir("/dev/shm"):  # a killed daemon's socket
                if name.startswith(f"shmq.{self.ns}."):
                    os.unlink("/dev/shm/" + name)
            self.dir.cleanup()

    def peer(self, hello=True, lease_ms=0, **kwargs):
        p = Peer(self.context, self.bridge.router, **kwargs)
        self.peers.append(p)
        if hello:
            m = p.hello(lease_ms)
            assert m.command == WELCOME, m
        return p

    def shmq(self, *args, data=None):
        return must(shmq(self.ns, *args, data=data))

    def spawn(self, *args, **kwargs):
        p = subprocess.Popen([f"{BIN}/shmq", "--namespace", self.ns, *args],
                             **kwargs)
        self.children.append(p)
        return p

    def sub(self, *prefixes, hwm=0, endpoint=None):
        s = self.context.socket(zmq.SUB)
        s.setsockopt(zmq.LINGER, 0)
        s.setsockopt(zmq.RCVHWM, hwm)
        for p in prefixes + (b"\0W",):
            s.setsockopt(zmq.SUBSCRIBE, p)
        s.connect(endpoint or self.bridge.pub)
        assert s.poll(int(PATIENCE * 1000)), "no welcome"
        s.recv_multipart()
        return s


def fed(socket, *topics):
    """Returns when the bridge has done all that `socket`, a SUB, has subscribed to
    so far, and reads the topics. (The welcome tells of the connection only.)"""
    for topic in topics:
        beat = b"\0HB" + topic + b"\0"
        socket.setsockopt(zmq.SUBSCRIBE, beat)  # done after the earlier ones
        while feed_next(socket, b"\0HB")[0] != beat:
            pass
        socket.setsockopt(zmq.UNSUBSCRIBE, beat)


def feed_next(socket, first, timeout=PATIENCE):
    """The next message of a SUB whose first part is `first`."""
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        if socket.poll(int(left * 1000) + 1):
            parts = socket.recv_multipart()
            if parts[0].startswith(first):
                return parts
    raise AssertionError(f"nothing of {first} in {timeout} s")


def until(condition, timeout=PATIENCE, what="it"):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.01)


def run_all(tests):
    """Runs the functions test_* of a module's globals; those named on the
    command line, or all."""
    wanted = sys.argv[1:]
    for name, function in list(tests.items()):
        if name.startswith("test_") and (not wanted or name in wanted):
            begin = time.monotonic()
            function()
            print(f"{name[5:]}: {time.monotonic() - begin:.2f} s", flush=True)
