#!/usr/bin/env python3
"""After the loss of /dev/shm a group is handed nothing twice without the flag,
however far it had read beyond what the journal says; the history of a topic is
the same one; a group that had done everything is handed nothing again."""
import glob
import json
import os
import shutil
import signal
import time

from shmqd_support import PATIENCE, Place, check, done, eventually

RECORDS = 2000
HALF = RECORDS // 2


def read(place, group, cnt, *more):
    """(position, redelivered) of the next `cnt` records; None: of all."""
    end = ["--count", str(cnt)] if cnt else ["--exit-when-empty"]
    lines = place.shmq("sub", "t", "--group", group, "--timeout", "60",
                       "--format", "json", *end, *more)
    return [(int(one["position"]), one["redelivered"])
            for one in map(json.loads, lines.splitlines()) if "gap" not in one]


def redelivered(place, group):
    groups = json.loads(place.shmq("groups", "t", "--json"))
    return next(one["redelivered"] for one in groups if one["group"] == group)


def journaled(place, groups):
    """Whether the journal names them all."""
    said = b""
    for path in glob.glob(os.path.join(place.dir, "groups", "*.seg")):
        with open(path, "rb") as file:
            said += file.read()
    return all(name.encode() in said for name in groups)


def begin(name, ring="mpmc"):
    place = Place(name)
    daemon = place.start()
    place.shmq("create", "t", "--durability", "disk", "--ring", ring)
    groups = (("one", "--exclusive"), ("many",))
    for group, *kind in groups[:1] if ring == "spsc" else groups:
        place.shmq("group", "create", "t", group, *kind)
    place.shmq("pub", "t", stdin=b"".join(
        b"%d\n" % i for i in range(RECORDS)))
    return place, daemon


def check_flags(place, group, before, *more):
    after = read(place, group, None, *more)
    check(len({p for p, _ in before + after}) == RECORDS, "all arrived")
    seen = {position for position, _ in before}
    twice = [p for p, again in after if p in seen and not again]
    check(twice == [], group, len(twice), twice[:3])
    flagged = sum(again for _, again in after)
    check(flagged <= redelivered(place, group), flagged)
    return sum(p in seen for p, _ in after)


def read_on_without_daemon(stop, name, ring="mpmc"):
    """The daemon is away, its journal stands still, the readers go on; then
    everything is gone but the disk."""
    place, daemon = begin(name, ring)
    with place:
        first = {"one": read(place, "one", 10, "--exclusive")}
        if ring == "mpmc":
            first["many"] = read(place, "many", 10)
        eventually(lambda: journaled(place, first), "the journal knows them")
        if stop is None:  # a clean end, with a member that stays and goes on
            stays = place.begin("sub", "t", "--group", "many", "--ack", "none",
                                "--format", "json", "--from", "latest")
            eventually(lambda: any(
                one["members"] for one in json.loads(
                    place.shmq("groups", "t", "--json"))), "it is a member")
            place.stop(daemon)
            stays.kill()
            stays.wait()
        else:
            daemon.send_signal(stop)
            if stop == signal.SIGKILL:
                daemon.wait()
        groups = list(first) if stop is not None else ["many"]
        for group in groups:
            more = ["--exclusive"] if group == "one" else []
            first[group] += read(place, group, HALF, *more)
        daemon.kill()
        daemon.wait()
        place.empty_shm()
        daemon = place.start()
        again = [check_flags(place, group, first[group],
                             *(["--exclusive"] if group == "one" else []))
                 for group in groups]
        check(any(again), "the control: some did come again")
        place.stop(daemon)
    print("%s: %s came again, flagged" % (name, again))


def nothing_again_when_all_was_done():
    place, daemon = begin("reboot-done")
    with place:
        read(place, "one", RECORDS, "--exclusive")
        read(place, "many", RECORDS)
        eventually(lambda: all(
            one["lag_messages"] == 0 for one in json.loads(
                place.shmq("groups", "t", "--json"))), "all is done")
        place.stop(daemon)
        place.empty_shm()
        daemon = place.start()
        for group, more in (("one", ["--exclusive"]), ("many", [])):
            place.shmq("sub", "t", "--group", group, "--timeout", "0.5", *more,
                       status=3)
            check(redelivered(place, group) == 0)
        place.stop(daemon)


def who_waits_comes_after_the_groups():
    """Readers wait for the topic while shmqd makes it anew: their groups are
    there before them, at their places."""
    place = Place("reboot-waits")
    groups = ["g%d" % i for i in range(12)]
    with place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        for group in groups:
            place.shmq("group", "create", "t", group)
        place.shmq("pub", "t", stdin=b"1\n2\n3\n")
        for group in groups:
            check(len(read(place, group, 3)) == 3)
        for reboot in range(6):
            place.stop(daemon)
            place.empty_shm()
            waiting = [place.begin("sub", "t", "--group", group, "--count", "1",
                                   "--timeout", "60") for group in groups]
            time.sleep(0.2)
            daemon = place.start()
            number = b"%d\n" % (100 + reboot)
            place.shmq("pub", "t", "--no-create", "--wait", "durable",
                       stdin=number)
            for one in waiting:
                out, _ = one.communicate(timeout=PATIENCE)
                check(out == number, "from its place on", out)
        place.stop(daemon)
    print("%d groups, 6 reboots: none was made anew" % len(groups))


def killed_before_the_groups_are_there():
    """shmqd dies between the ring and its groups: its successor goes on, and
    nobody opened it meanwhile."""
    place, daemon = begin("reboot-between")
    with place:
        before = {group: read(place, group, 10, *more)
                  for group, more in (("one", ["--exclusive"]), ("many", []))}
        place.stop(daemon)
        for _ in range(20):
            place.empty_shm()
            daemon = place.start(wait=False)
            data = "/dev/shm/shmq.%s.d.t" % place.namespace
            while not os.path.exists(data) and daemon.poll() is None:
                pass
            daemon.kill()
            daemon.wait()
            daemon = place.start()
            there = json.loads(place.shmq("groups", "t", "--json"))
            check({one["group"] for one in there} == set(before), there)
            place.stop(daemon)
        daemon = place.start()
        for group, more in (("one", ["--exclusive"]), ("many", [])):
            after = read(place, group, 10, *more)
            check(after[0][0] > before[group][-1][0], "goes on", group, after[0])
        place.stop(daemon)


def the_log_lost_more_than_a_ring(ring, *attrs):
    """A power cut takes what an os topic had not flushed, but nothing of the
    journal: the group stands far beyond the log's end. It is handed all that is
    published then, at positions of which none was there before."""
    place = Place("reboot-short")
    more = ["--exclusive"] if ring == "spsc" else []
    with place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "os", "--ring", ring, *attrs)
        place.shmq("group", "create", "t", "g", *more)
        place.shmq("pub", "t", "--wait", "written", stdin=b"old\n" * 20)
        place.stop(daemon)
        flushed = os.path.join(place.work, "flushed")
        shutil.copytree(os.path.join(place.dir, "topics"), flushed)
        daemon = place.start()
        place.shmq("pub", "t", "--wait", "written", stdin=b"lost\n" * 4000)
        before = read(place, "g", 4020, *more)
        place.stop(daemon)

        place.empty_shm()
        shutil.rmtree(os.path.join(place.dir, "topics"))
        shutil.copytree(flushed, os.path.join(place.dir, "topics"))
        for marker in glob.glob(os.path.join(place.dir, "topics/*/clean")):
            os.unlink(marker)
        daemon = place.start()
        place.shmq("pub", "t", "--wait", "written", stdin=b"new\n" * 100)
        lines = [json.loads(line) for line in place.shmq(
            "sub", "t", "--group", "g", "--format", "json", "--timeout", "60",
            "--exit-when-empty", *more).splitlines()]
        after = [int(one["position"]) for one in lines if "gap" not in one]
        check(len(after) == 100, ring, "all that is new", len(after), lines[:2])
        check(min(after) > max(p for p, _ in before), "at positions of its own")
        check(any("gap" in one for one in lines), "what was lost is told")
        place.stop(daemon)
    print("%s: a log that lost more than a ring: %d of 100" % (ring, len(after)))


def segments_of_the_journal(place):
    return sorted(glob.glob(os.path.join(place.dir, "groups", "*.seg")))


def unreadable_for_a_while():
    """A topic whose description is damaged during two runs, while the journal
    is shortened: when it is well again, its group goes on where it was."""
    place = Place("reboot-unread")
    with place:
        daemon = place.start()
        for topic in ("t", "u"):
            place.shmq("create", topic, "--durability", "disk")
            place.shmq("pub", topic, "--wait", "durable", stdin=b"1\n" * 100)
        check(len(read(place, "g", 100)) == 100)
        place.stop(daemon)
        place.empty_shm()
        first = segments_of_the_journal(place)[-1]
        metas = []
        for path in glob.glob(os.path.join(place.dir, "topics", "*", "meta")):
            with open(path, "rb") as file:
                metas.append((path, file.read()))
        path, good = next(one for one in metas if b" t " in one[1])
        with open(path, "wb") as file:
            file.write(good[:-1] + b"X")

        # Killed, it leaves a journal that is to be shortened at once.
        daemon = place.start()
        place.shmq("sub", "u", "--group", "h", "--count", "100", "--timeout",
                   "60", "--from", "earliest")
        eventually(lambda: segments_of_the_journal(place)[-1] != first,
                   "the journal goes on")
        daemon.kill()
        daemon.wait()
        daemon = place.start()
        place.shmq("group", "create", "u", "i")
        eventually(lambda: first not in segments_of_the_journal(place),
                   "the journal is shortened")
        place.stop(daemon)
        place.empty_shm()
        with open(path, "wb") as file:
            file.write(good)

        daemon = place.start()
        place.shmq("pub", "t", "--wait", "durable", stdin=b"2\n")
        out = place.shmq("sub", "t", "--group", "g", "--from", "earliest",
                         "--timeout", "60", "--exit-when-empty")
        check(out == b"2\n", "from its place on", out.count(b"\n"))
        place.stop(daemon)
    print("a topic that was unreadable for a while: its group goes on")


unreadable_for_a_while()
the_log_lost_more_than_a_ring("mpmc", "--capacity", "64")
the_log_lost_more_than_a_ring("spsc", "--arena", "64K", "--max-message", "1K")
who_waits_comes_after_the_groups()
killed_before_the_groups_are_there()
read_on_without_daemon(signal.SIGKILL, "reboot-killed")
read_on_without_daemon(signal.SIGKILL, "reboot-spsc", "spsc")
read_on_without_daemon(signal.SIGSTOP, "reboot-stopped")
read_on_without_daemon(None, "reboot-ended")
nothing_again_when_all_was_done()
done()
