#!/usr/bin/env python3
"""Each event and gap that `shmq events` and `shmq top` promise, whoever caused
it: a member, another process, shmqd."""
import json
import os
import signal
import struct
import subprocess
import sys
import time

from shmqd_support import PATIENCE, Place, check, done, eventually

CONTROL_GAPS = 552  # retention, truncated, lost: docs/shm-layout.md 4.3


class Events:
    """A running `shmq events`; what it has told so far."""

    def __init__(self, place, *args):
        self.path = os.path.join(place.work, "events-%d" % len(place.children))
        with open(self.path, "wb") as out:
            self.child = place.begin("events", *args, stdout=out)
        # Not before it has looked for the first time.
        eventually(self.watches, "events watches")

    def watches(self):
        with open("/proc/%d/status" % self.child.pid) as status:
            text = status.read()
        caught = text.split("SigCgt:")[1].split()[0]
        return "Name:\tshmq\n" in text and int(caught, 16) & 0x4000

    def all(self, event, **fields):
        with open(self.path) as file:
            text = file.read()
        found = [json.loads(line) for line in text.splitlines(True)
                 if line.endswith("\n")]
        return [e for e in found if e["event"] == event and
                all(e[key] == value for key, value in fields.items())]

    def one(self, event, **fields):
        eventually(lambda: self.all(event, **fields), "%s %s" % (event, fields))
        found = self.all(event, **fields)
        check(len(found) == 1, event, fields, found)
        check({"event", "time", "topic"} <= set(found[0]), found)
        return found[0]


def total(events, event, unit="messages", **fields):
    return sum(e[unit] for e in events.all(event, **fields))


def held_by(place, topic, group):
    """A member that holds a record."""
    member = place.begin("sub", topic, "--group", group, "--ack", "none")
    check(member.stdout.readline() != b"")
    return member


def murder(child):
    child.kill()
    child.wait()


def group_events():
    """redelivered, dead_lettered, expired: in one interval or many, the sum is
    what happened."""
    with Place("evgroup") as place:
        place.shmq("create", "t")
        place.shmq("group", "create", "t", "g", "--max-attempts", "2")
        place.shmq("create", "e", "--ttl", "20ms")
        place.shmq("group", "create", "e", "g")
        place.shmq("create", "d", "--ttl", "20ms", "--expired", "dead-letter")
        place.shmq("group", "create", "d", "g")
        events = Events(place)
        place.shmq("pub", "t", stdin=b"poison\n")
        for _ in range(2):
            murder(held_by(place, "t", "g"))
        place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        event = events.one("dead_lettered", topic="t", group="g")
        check(event["messages"] == 1 and event["total"] == 1, event)
        check(total(events, "redelivered", topic="t", group="g") >= 1)
        for topic in "ed":
            place.shmq("pub", topic, stdin=b"1\n2\n3\n")
            time.sleep(0.05)
            place.shmq("sub", topic, "--group", "g", "--exit-when-empty")
            eventually(lambda: total(events, "expired", topic=topic,
                                     group="g") == 3, "three expired")
        check(events.all("expired", topic="d")[-1]["total"] == 3)
        check(not events.all("dead_lettered", topic="d"))
        made = events.one("topic_made", topic="@dead.t")
        check(made["time"].endswith("Z"))


def held_up_and_released():
    with Place("evheld") as place:
        place.shmq("create", "t", "--capacity", "4", "--arena", "4K",
                   "--max-message", "1K")
        place.shmq("group", "create", "t", "g")
        events = Events(place, "--topic", "t")
        place.shmq("pub", "t", stdin=b"1\n2\n3\n4\n")
        member = held_by(place, "t", "g")
        member.send_signal(signal.SIGSTOP)
        publisher = place.begin("pub", "t", stdin=subprocess.PIPE)
        publisher.stdin.write(b"5\n")
        publisher.stdin.close()
        event = events.one("held_up", pid=member.pid, state="stopped")
        check(event["producers"] == 1 and event["group"] == "g", event)
        check(event["role"] == "member" and event["comm"] == "shmq", event)
        member.send_signal(signal.SIGCONT)
        murder(member)
        reader = place.begin("sub", "t", "--group", "g")
        check(publisher.wait(PATIENCE) == 0)
        events.one("released", pid=member.pid)
        murder(reader)


def died_and_reaped_by_others():
    """Whoever clears the dead away, it is told, with whom it was; and of two
    that go within one look only the one that died."""
    with Place("evreaped") as place:
        place.shmq("create", "t")
        place.shmq("group", "create", "t", "g")
        events = Events(place, "--topic", "t")
        place.shmq("pub", "t", stdin=b"1\n")
        member = held_by(place, "t", "g")
        joined = events.one("joined", pid=member.pid)
        member.send_signal(signal.SIGSTOP)
        place.shmq("group", "evict", "t", str(joined["endpoint"]), "--kill")
        member.wait()
        for event in ("died", "reaped"):
            event = events.one(event, pid=member.pid)
            check(event["identity"] == joined["identity"], event, joined)
            check(event["group"] == "g" and event["role"] == "member", event)
        check(not events.all("left", pid=member.pid))
        # One look in which one leaves, one dies and is reaped.
        leaves, dies = (place.begin("sub", "t", "--group", "g")
                        for _ in range(2))
        for child in leaves, dies:
            events.one("joined", pid=child.pid)
        events.child.send_signal(signal.SIGSTOP)
        murder(dies)
        leaves.send_signal(signal.SIGTERM)
        check(leaves.wait(PATIENCE) == 143)
        place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(place.stat("t")["reaped"] == 2)
        events.child.send_signal(signal.SIGCONT)
        pair = {leaves.pid, dies.pid}
        eventually(lambda: len([e for e in events.all("left") +
                                events.all("reaped")
                                if e["pid"] in pair]) == 2, "both are told")
        for event in "died", "reaped", "left":
            told = [e for e in events.all(event) if e["pid"] in pair]
            check(len(told) == 1, event, told)


def reaped_by_shmqd():
    with Place("evdaemon") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        events = Events(place, "--topic", "t")
        reader = place.begin("sub", "t", "--group", "g")
        events.one("joined", pid=reader.pid)
        murder(reader)
        for event in "died", "reaped":
            events.one(event, pid=reader.pid)
        check(not events.all("left", pid=reader.pid))
        place.stop(daemon)


def dropped_by_another():
    with Place("evdrop") as place:
        place.shmq("create", "t", "--capacity", "4", "--arena", "4K",
                   "--max-message", "1K", "--on-full", "drop-new")
        place.shmq("group", "create", "t", "g")
        events = Events(place, "--topic", "t")
        with open(os.path.join(place.work, "top"), "w+b") as out:
            top = place.begin("top", "t", "--count", "2", "--interval", "2s",
                              "--json", stdout=out)
            eventually(lambda: os.path.getsize(out.name) > 0, "the first look")
            lines = "".join("%d\n" % i for i in range(4004)).encode()
            place.shmq("pub", "t", stdin=lines, status=7)
            check(top.wait(PATIENCE) == 0)
            out.seek(0)
            first, second = (json.loads(line)["topics"][0] for line in out)
        eventually(lambda: total(events, "dropped", reason="drop_new") == 4000,
                   "4000 dropped")
        check(events.all("dropped")[-1]["total"] == 4000)
        check(first["dropped_per_second"] == 0 and first["full"] is False)
        check(0 < second["dropped_per_second"] <= 2200, second)
        check(first["depth_messages"] == 0 and second["depth_messages"] == 4)
        shown = place.shmq("top", "t", "--count", "1").decode().splitlines()
        check("DEPTH" in shown[1] and "DROPS/S" in shown[1], shown)
        depth = shown[1].split().index("DEPTH")
        check(shown[3].split()[depth] == "4", shown)


def retention_takes_from_a_slow_group():
    with Place("evretain") as place:
        daemon = place.start("--segment-size", "1M")
        place.shmq("create", "t", "--durability", "os", "--capacity", "64",
                   "--arena", "64K", "--max-message", "8K",
                   "--retain-bytes", "1M")
        place.shmq("group", "create", "t", "g")
        events = Events(place, "--topic", "t")
        record = b"x" * 8000 + b"\n"
        earliest = place.stat("t")["positions"]["earliest"]
        place.shmq("pub", "t", "--wait", "written", stdin=record * 500)
        eventually(lambda: place.stat("t")["positions"]["earliest"] != earliest,
                   "retention removes a segment")
        place.shmq("sub", "t", "--group", "g", "--exit-when-empty",
                   "--format", "json")
        check("gap" not in place.said, place.said)
        missed = place.stat("t")["dropped"]
        check(missed["retention"] > 0 and missed["drop_old"] == 0, missed)
        check(missed["lost"] == 0 and missed["truncated"] == 0, missed)
        eventually(lambda: total(events, "gap", "frames", reason="retention") ==
                   missed["retention"], "the gap is told")
        check(not events.all("gap", reason="dropped"))
        check("gaps        retention %d," % missed["retention"] in
              place.shmq("stat", "t").decode())
        place.stop(daemon)


def what_a_reboot_took_is_lost():
    with Place("evlost") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"1\n2\n")
        daemon.send_signal(signal.SIGSTOP)
        place.shmq("pub", "t", "--wait", "published", stdin=b"3\n")
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        place.empty_shm()
        daemon = place.start()
        events = Events(place, "--topic", "t")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"4\n")
        out = place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(out == b"1\n2\n4\n", out)
        event = events.one("gap", reason="lost")
        missed = place.stat("t")["dropped"]
        check(event["total"] == missed["lost"] > 0, event, missed)
        place.stop(daemon)


def each_count_has_its_name():
    """By the words of the layout: three counters of gaps, three names."""
    with Place("evnames") as place:
        place.shmq("create", "t")
        events = Events(place, "--topic", "t")
        path = "/dev/shm/shmq.%s.c.t" % place.namespace
        with open(path, "r+b") as file:
            file.seek(CONTROL_GAPS)
            file.write(struct.pack("<3Q", 11, 22, 33))
        for reason, frames in (
                ("retention", 11), ("truncated", 22), ("lost", 33)):
            event = events.one("gap", reason=reason)
            check(event["frames"] == frames == event["total"], event)
            check(place.stat("t")["dropped"][reason] == frames)


CASES = [
    group_events,
    held_up_and_released,
    died_and_reaped_by_others,
    reaped_by_shmqd,
    dropped_by_another,
    retention_takes_from_a_slow_group,
    what_a_reboot_took_is_lost,
    each_count_has_its_name,
]

for case in CASES:
    if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
        begin = time.monotonic()
        case()
        print("%s: %.1f s" % (case.__name__, time.monotonic() - begin), flush=True)
done()
