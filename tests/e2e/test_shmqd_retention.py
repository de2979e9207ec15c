#!/usr/bin/env python3
"""How much history a topic keeps, with a real daemon and segments of 1 MiB:
retain-bytes, retain-age, retain-consumed (all, a list, a group that is not
there) and max-lag-bytes, each changed live by `shmq set`; and that nothing else
goes. What must not be deleted is looked at when another topic, which asks for
it, has lost its history since: a witness."""
import json
import sys
import time

from shmqd_support import Place, check, done, eventually

MB = 1 << 20
LINE = 1000


def lines(first, cnt):
    return b"".join((b"%08d" % i).ljust(LINE - 1, b".") + b"\n"
                    for i in range(first, first + cnt))


class Topic:
    """A durable topic that is filled by megabytes."""

    def __init__(self, place, name, *options):
        self.place = place
        self.name = name
        self.sent = 0
        place.shmq("create", name, "--durability", "disk", *options)

    def fill(self, megabytes):
        cnt = megabytes * MB // LINE
        self.place.shmq("pub", self.name, "--wait", "durable",
                        stdin=lines(self.sent, cnt))
        self.sent += cnt

    def stat(self):
        return self.place.stat(self.name)

    def earliest(self):
        return int(self.stat()["positions"]["earliest"])

    def kept(self):
        """Megabytes that can be read. (What stat says of the disk is a second
        old.)"""
        first = int(self.place.shmq("cat", self.name, "--count", "1")[:8])
        return (self.sent - first) * LINE / MB

    def set(self, *pairs):
        self.place.shmq("set", self.name, *pairs)

    def read(self, group):
        """The group reads and acknowledges everything."""
        return self.place.shmq("sub", self.name, "--group", group,
                               "--exit-when-empty", "--format", "json")


class Witness:
    """A topic whose history goes when it is asked for; after that, what others
    may lose they have lost, too."""

    def __init__(self, place):
        self.topic = Topic(place, "witness")
        self.rounds = 0

    def looks(self):
        """Returns when retention has been at work, twice."""
        for _ in range(2):
            before = self.topic.earliest()
            self.topic.set("retain-bytes=0")
            self.topic.fill(3)
            self.topic.set("retain-bytes=1M")
            eventually(lambda: self.topic.earliest() > before,
                       "the witness loses history")


def by_bytes():
    with Place("retbytes") as place:
        daemon = place.start("--segment-size", "1M")
        t = Topic(place, "t", "--retain-bytes", "3M")
        t.fill(12)
        # What is asked for, rounded up to whole segments.
        eventually(lambda: t.kept() <= 4.1, "it shrinks")
        check(t.kept() >= 2.7, t.kept())
        t.set("retain-bytes=1M")
        eventually(lambda: t.kept() <= 2.1, "it shrinks again")
        check(t.kept() >= 0.9, t.kept())
        t.set("retain-bytes=0")
        before = t.earliest()
        t.fill(6)
        Witness(place).looks()
        check(t.earliest() == before, "without a limit nothing goes")
        check(t.stat()["retain_bytes"] == 0)
        place.stop(daemon)


def by_age():
    with Place("retage") as place:
        daemon = place.start("--segment-size", "1M")
        t = Topic(place, "t")
        t.fill(6)
        witness = Witness(place)
        witness.looks()
        check(t.earliest() == 0)
        t.set("retain-age=1h")
        place.shmq("set", "witness", "retain-age=1s")
        eventually(lambda: witness.topic.kept() <= 1.1, "what is old goes")
        check(t.earliest() == 0, "what is young stays")
        t.set("retain-age=1s")
        # The segment that is being written stays however old.
        eventually(lambda: t.kept() <= 1.1, "what is old goes")
        check(t.kept() > 0)
        t.set("retain-age=0")
        place.stop(daemon)


def by_all_groups():
    with Place("retall") as place:
        daemon = place.start("--segment-size", "1M")
        witness = Witness(place)
        t = Topic(place, "t", "--retain-consumed", "all")
        t.fill(6)
        witness.looks()
        check(t.earliest() == 0, "without a group nothing is consumed")
        place.shmq("group", "create", "t", "b", "--from", "earliest")
        t.read("a")
        witness.looks()
        check(t.earliest() == 0, "b has read nothing")
        t.read("b")
        eventually(lambda: t.kept() <= 1.1, "all have read all")
        t.set("retain-consumed=")
        t.fill(3)
        before = t.earliest()
        t.read("a")
        t.read("b")
        witness.looks()
        check(t.earliest() == before, "switched off")
        place.stop(daemon)


def by_listed_groups():
    with Place("retlist") as place:
        daemon = place.start("--segment-size", "1M")
        witness = Witness(place)
        t = Topic(place, "t", "--retain-consumed", "a,c")
        place.shmq("group", "create", "t", "b", "--from", "earliest")
        t.fill(6)
        t.read("a")
        witness.looks()
        check(t.earliest() == 0, "c does not exist: it has read nothing")
        place.shmq("group", "create", "t", "c", "--from", "earliest")
        witness.looks()
        check(t.earliest() == 0, "c has read nothing")
        t.read("c")
        eventually(lambda: t.kept() <= 1.1, "b is not asked")
        t.fill(3)
        t.set("retain-consumed=b")
        before = t.earliest()
        t.read("a")
        t.read("c")
        witness.looks()
        check(t.earliest() == before, "now b is asked")
        got = t.read("b").splitlines()
        check(b'"gap"' in got[0] and b'"retention"' in got[0], got[0])
        eventually(lambda: t.kept() <= 1.1, "b has read all")
        place.stop(daemon)


def by_lag():
    with Place("retlag") as place:
        daemon = place.start("--segment-size", "1M")
        witness = Witness(place)
        t = Topic(place, "t", "--max-lag-bytes", "2M")
        t.fill(6)
        witness.looks()
        check(t.earliest() == 0, "nobody lags")
        t.read("quick")
        witness.looks()
        check(t.earliest() == 0, "the only group is at the end")
        t.set("max-lag-bytes=0")
        place.shmq("group", "create", "t", "slow", "--from", "earliest")
        t.fill(3)
        witness.looks()
        check(t.earliest() == 0, "without a limit nobody is left behind")
        t.set("max-lag-bytes=2M")
        eventually(lambda: t.kept() <= 3.1, "slow is left")
        got = t.read("slow").splitlines()
        check(b'"gap"' in got[0] and b'"retention"' in got[0], got[0])
        check(json.loads(got[-1])["payload"][:8] == "%08d" % (t.sent - 1))
        # One that keeps history back, and is not there.
        t.set("retain-consumed=never", "max-lag-bytes=1M")
        before = t.earliest()
        t.fill(4)
        eventually(lambda: t.earliest() > before, "nobody keeps more back")
        place.stop(daemon)


def quickly():
    """Many segments go at once, not one in each second."""
    with Place("retquick") as place:
        daemon = place.start("--segment-size", "1M")
        t = Topic(place, "t")
        t.fill(40)
        many = int(t.kept())
        begin = time.monotonic()
        t.set("retain-bytes=1M")
        eventually(lambda: t.kept() <= 2.1, "they go")
        took = time.monotonic() - begin
        print("%d segments in %.2f s" % (many, took))
        check(took < many / 2, took)
        place.stop(daemon)


for case in (by_bytes, by_age, by_all_groups, by_listed_groups, by_lag,
             quickly):
    if len(sys.argv) < 2 or case.__name__ in sys.argv:
        started = time.monotonic()
        case()
        print("%s: %.1f s" % (case.__name__, time.monotonic() - started))
done()
