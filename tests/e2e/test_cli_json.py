#!/usr/bin/env python3
"""What shmq prints as JSON, read by another JSON reader, and what it reads,
written by another one. Needs SHMQ_BIN_DIR, the folder of the programs."""
import base64
import json
import os
import random
import re
import struct
import subprocess
import sys

SHMQ = os.path.join(os.environ["SHMQ_BIN_DIR"], "shmq")
NAMESPACE = "json-%d" % os.getpid()
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
SEED = int(os.environ.get("SHMQ_SEED", random.SystemRandom().getrandbits(32)))
checks = 0


def shmq(*args, stdin=b"", status=0):
    """Runs the command; returns its stdout."""
    global checks
    checks += 1
    done = subprocess.run(
        [SHMQ, "--namespace", NAMESPACE, *args], input=stdin,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == status, (args, done)
    return done.stdout


def check(what, *more):
    global checks
    checks += 1
    assert what, more


def has_types(value, types, where):
    """Every key of `types` is there with its type."""
    for key, wanted in types.items():
        check(key in value, where, key)
        if isinstance(wanted, re.Pattern):
            check(isinstance(value[key], str) and wanted.match(value[key]),
                  where, key, value[key])
        else:
            check(isinstance(value[key], wanted) and
                  (wanted is bool or not isinstance(value[key], bool)),
                  where, key, value[key])


POSITION = re.compile(r"^\d+$")
NULL = type(None)
GROUP = {
    "group": str, "kind": re.compile("^(shared|exclusive)$"),
    "floor": POSITION, "lag_messages": int, "lag_bytes": int,
    "oldest_unread_seconds": (int, float), "members": int, "claimed": int,
    "redelivered": int, "dead_lettered": int, "dead_waits": int,
    "idle_since": (str, NULL),
}
ENDPOINT = {
    "id": int, "role": re.compile("^(producer|member|ephemeral|admin)$"),
    "pid": int, "comm": str, "state": re.compile("^(running|stopped|dead)$"),
    "since": TIME, "holds_frames": int, "blocks": list,
}
STAT = {
    "topic": str, "namespace": str, "ring": str, "durability": str,
    "on_full": str, "capacity_frames": int, "max_message_bytes": int,
    "segment_bytes": int, "positions": dict, "depth": dict, "total": dict,
    "dropped": dict, "groups": list, "endpoints": list,
}
RECORD = {
    "topic": str, "position": POSITION, "time": TIME, "producer": POSITION,
    "sequence": int, "attempt": int, "redelivered": bool, "size": int,
}


def test_views():
    shmq("create", "t")
    shmq("group", "create", "t", "shared")
    shmq("group", "create", "t", "exclusive", "--exclusive")
    shmq("pub", "t", stdin=b"a\nbb\n")
    shmq("sub", "t", "--group", "shared", "--count", "1")
    sub = subprocess.Popen(
        [SHMQ, "--namespace", NAMESPACE, "sub", "t", "--group", "exclusive",
         "--exclusive"], stdout=subprocess.PIPE)
    sub.stdout.readline()
    stat = json.loads(shmq("stat", "t", "--json"))
    has_types(stat, STAT, "stat")
    has_types(stat["positions"], {"earliest": POSITION,
                                  "published": POSITION}, "positions")
    check(stat["positions"]["written"] is None)
    check(stat["positions"]["durable"] is None)
    check(stat["depth"] == {"messages": 2, "bytes": 3}, stat["depth"])
    check(stat["total"] == {"messages": 2, "bytes": 3}, stat["total"])
    check(all(isinstance(n, int) for n in stat["dropped"].values()))
    check(len(stat["endpoints"]) == 1)
    has_types(stat["endpoints"][0], ENDPOINT, "endpoint")
    check(stat["endpoints"][0]["pid"] == sub.pid)
    check(stat["endpoints"][0]["comm"] == "shmq")
    groups = json.loads(shmq("groups", "t", "--json"))
    check([g["group"] for g in groups] == ["exclusive", "shared"])
    for group in groups:
        has_types(group, GROUP, "group")
    check(groups[1]["lag_messages"] == 1 and groups[1]["members"] == 0)
    check(groups[0]["members"] == 1 and groups[0]["idle_since"] is None)
    check(json.loads(shmq("ls", "--json")) == ["t"])
    sub.terminate()
    check(sub.wait() == 143)
    groups = json.loads(shmq("groups", "t", "--json"))
    check(groups[0]["idle_since"] is None or TIME.match(
        groups[0]["idle_since"]), groups[0])


def random_bytes(rng, most):
    kind = rng.randrange(4)
    n = rng.choice([0, 1, 3, rng.randrange(most)])
    if kind == 0:
        return rng.randbytes(n)
    if kind == 1:
        return bytes(rng.choices(b'"\\/\b\f\n\r\t\x00\x1f\x7f a{}[],:', k=n))
    text = "".join(chr(rng.choice([rng.randrange(0x80), rng.randrange(0xd800),
                                   rng.randrange(0xe000, 0x110000)]))
                   for _ in range(n))
    return text.encode()[:most]


def put_bytes(record, name, data):
    """NAME where it is UTF-8, else NAME_base64: as shmq prints it."""
    try:
        record[name] = data.decode()
    except UnicodeDecodeError:
        record[name + "_base64"] = base64.b64encode(data).decode()


def get_bytes(record, name):
    if name in record:
        return record[name].encode()
    if name + "_base64" in record:
        return base64.b64decode(record[name + "_base64"], validate=True)
    return None


def random_record(rng):
    record = {}
    put_bytes(record, "payload", random_bytes(rng, 3000))
    for name in ("key", "content_type", "reply_to", "correlation_id"):
        if rng.random() < 0.3:
            put_bytes(record, name, random_bytes(rng, 100))
    for i in range(rng.choice([0, 0, 1, 4])):
        name = random_bytes(rng, 40).replace(b"\x00", b"")[:200] + b"%d" % i
        value = random_bytes(rng, 60)
        try:
            values = [value.decode()] * rng.choice([1, 1, 3])
            headers = record.setdefault("headers", {})
            headers[name.decode()] = values if len(values) > 1 else values[0]
        except UnicodeDecodeError:
            record.setdefault("headers_base64", []).append(
                [base64.b64encode(x).decode() for x in (name, value)])
    if not record.get("headers", True):
        del record["headers"]
    return record


def test_round_trip():
    """Records of another writer: out again with the same content."""
    rng = random.Random(SEED)
    records = [random_record(rng) for _ in range(400)]
    lines = "".join(
        json.dumps(r, ensure_ascii=rng.random() < 0.5,
                   separators=rng.choice([(",", ":"), (" , ", " : ")])) + "\n"
        for r in records).encode()
    shmq("create", "a", "--arena", "16M")
    shmq("create", "b", "--arena", "16M")
    shmq("pub", "a", "--format", "json", "--batch", "37", stdin=lines)
    first = shmq("sub", "a", "--from", "earliest", "--exit-when-empty",
                 "--format", "json")
    shmq("pub", "b", "--format", "json", stdin=first)
    second = shmq("sub", "b", "--from", "earliest", "--exit-when-empty",
                  "--format", "json")
    prefixed = shmq("sub", "b", "--from", "earliest", "--exit-when-empty",
                    "--format", "length-prefixed")
    for topic, out in (("a", first), ("b", second)):
        lines = out.splitlines()
        check(len(lines) == len(records), topic, len(lines))
        before = -1
        for line, record in zip(lines, records):
            got = json.loads(line)
            has_types(got, RECORD, topic)
            check(got["topic"] == topic)
            check(int(got["position"]) > before)
            before = int(got["position"])
            check(got["size"] == len(get_bytes(record, "payload")))
            for name in ("payload", "key", "content_type", "reply_to",
                         "correlation_id"):
                check(get_bytes(got, name) == get_bytes(record, name),
                      topic, name, got, record)
            for name in ("headers", "headers_base64"):
                check(got.get(name) == record.get(name), name, got, record)
    at = 0
    for record in records:
        size = struct.unpack_from("<I", prefixed, at)[0]
        check(prefixed[at + 4:at + 4 + size] == get_bytes(record, "payload"))
        at += 4 + size
    check(at == len(prefixed))


def test_mutations():
    """Damaged lines: refused with status 8, or read; never anything else."""
    rng = random.Random(SEED + 1)
    good = json.dumps({
        "payload": "text \u20ac\n", "key": "k", "headers": {"a": ["1", "2"]},
        "headers_base64": [["YQ==", "/w=="]], "n": [1.5e3, True, None, {}],
    }).encode()
    shmq("create", "m", "--on-full", "drop-old")
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 5])):
            at = rng.randrange(len(bad))
            if rng.random() < 0.3:
                del bad[at]
            else:
                bad[at] = rng.choice([rng.randrange(256),
                                      rng.choice(b'"\\{}[],:0u')])
        bad = bytes(bad).replace(b"\n", b" ")
        done = subprocess.run(
            [SHMQ, "--namespace", NAMESPACE, "pub", "m", "--format", "json"],
            input=bad + b"\n", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60)
        check(done.returncode in (0, 8), bad, done)
        if done.returncode == 0:
            value = json.loads(bad)
            check("payload" in value or "payload_base64" in value or
                  "gap" in value, bad)


def main():
    try:
        for name, test in sorted(globals().items()):
            if name.startswith("test_"):
                test()
                shmq("rm", "--all", "--force")
    except AssertionError as failure:
        print("test_cli_json: FAILED with SHMQ_SEED=%d: %s" % (SEED, failure))
        raise
    finally:
        subprocess.run([SHMQ, "--namespace", NAMESPACE, "rm", "--all",
                        "--force"], check=False)
        for name in os.listdir("/dev/shm"):
            if name.startswith("shmq.%s." % NAMESPACE):
                os.unlink(os.path.join("/dev/shm", name))
    print("test_cli_json: %d checks passed, SHMQ_SEED=%d" % (checks, SEED))
    return 0


if __name__ == "__main__":
    sys.exit(main())
