#!/usr/bin/env python3
"""Dead letters of durable topics: their topic is as durable as the one they come
from, and what a group is done with has arrived there. shmqd is killed in the
middle, then /dev/shm is emptied as by a reboot."""
import json
import os
import random
import signal
import sys
import time

from shmqd_support import PATIENCE, Place, check, done, eventually


def group(place, topic, name):
    for found in json.loads(place.shmq("groups", topic, "--json")):
        if found["group"] == name:
            return found
    return None


def letters(place, topic):
    """Payload -> how often it stands in the dead-letter topic of `topic`."""
    text = place.shmq("cat", "@dead." + topic, "--format", "json").decode()
    cnt = {}
    for line in text.splitlines():
        record = json.loads(line)
        if "payload" not in record:
            continue  # a gap: where the memory was lost
        assert record["dead_letter"].startswith(topic + " "), record
        cnt[record["payload"]] = cnt.get(record["payload"], 0) + 1
    return cnt


def reboot(place, daemon):
    """The power goes: nobody says goodbye, memory is lost."""
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    place.empty_shm()
    return place.start()


def try_once(place, topic, want):
    """A worker that is killed by what it reads."""
    worker = place.begin("sub", topic, "--group", "g", "--ack", "none")
    check(worker.stdout.readline().decode().strip() == want)
    worker.kill()
    worker.wait()


def attempts_are_used_up(durability):
    with Place("deadletter") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", durability)
        place.shmq("group", "create", "t", "g", "--max-attempts", "2")
        level = "durable" if durability == "disk" else "written"
        place.shmq("pub", "t", "--wait", level, stdin=b"poison\n")
        try_once(place, "t", "poison")
        try_once(place, "t", "poison")
        # Not before: a worker that is killed late would have taken it, too.
        place.shmq("pub", "t", "--wait", level, stdin=b"good\n")
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        # Nobody can make the topic: the record stays, the other one comes.
        worker = place.begin("sub", "t", "--group", "g", "--exit-when-empty")
        check(worker.stdout.readline() == b"good\n")
        eventually(lambda: group(place, "t", "g")["dead_waits"] > 0,
                   "the wait is counted")
        check(group(place, "t", "g")["dead_lettered"] == 0)
        check(group(place, "t", "g")["lag_messages"] > 0)
        check(worker.poll() is None)
        daemon = place.start()
        check(worker.wait(PATIENCE) == 0)
        check(worker.stdout.read() == b"")
        check(group(place, "t", "g")["dead_lettered"] == 1)
        check(group(place, "t", "g")["lag_messages"] == 0)
        stat = json.loads(place.shmq("stat", "@dead.t", "--json"))
        check(stat["durability"] == durability, stat)
        if durability == "os":
            return
        daemon = reboot(place, daemon)
        check(letters(place, "t").get("poison", 0) >= 1)
        # The shelf life of the group's place is its own: at least once.
        out = place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(set(out.decode().split()) <= {"poison", "good"}, out)
        place.stop(daemon)


def on_disk():
    attempts_are_used_up("disk")


def written():
    attempts_are_used_up("os")


def a_topic_in_memory_takes_none_and_doctor_says_so():
    with Place("deadweak") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("create", "grave")
        place.shmq("group", "create", "t", "g", "--max-attempts", "2",
                   "--dead-letter", "grave")
        place.shmq("doctor", status=1)
        place.shmq("health", status=1)
        place.shmq("pub", "t", "--wait", "durable", stdin=b"poison\n")
        try_once(place, "t", "poison")
        try_once(place, "t", "poison")
        def waits():
            place.shmq("sub", "t", "--group", "g", "--timeout", "0.3s", status=3)
            found = group(place, "t", "g")
            check(found["dead_lettered"] == 0 and found["lag_messages"] == 1)
            return found["dead_waits"] > 0
        eventually(waits, "a wait is counted")
        said = place.shmq("doctor", status=1).decode()
        check("bad   dead-letters: t: grave, to which group g" in said, said)
        # As it says: removed, it is made anew.
        place.shmq("rm", "grave")
        place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(group(place, "t", "g")["dead_lettered"] == 1)
        stat = json.loads(place.shmq("stat", "grave", "--json"))
        check(stat["durability"] == "disk", stat)
        said = place.shmq("doctor").decode()
        check("hint  dead-letters: t: records of group g have waited" in said,
              said)
        place.stop(daemon)


def the_largest_records_have_a_dead_letter_topic():
    """Though it cannot be larger than theirs."""
    with Place("deadlarge") as place:
        daemon = place.start()
        arena = 256 << 20
        place.shmq("create", "t", "--durability", "os", "--arena", str(arena),
                   "--max-message", str(arena // 2 - 128),
                   "--max-producers", "1")
        place.shmq("group", "create", "t", "g", "--max-attempts", "2")
        place.shmq("pub", "t", stdin=b"poison\n")
        try_once(place, "t", "poison")
        try_once(place, "t", "poison")
        place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(letters(place, "t") == {"poison": 1})
        stat = json.loads(place.shmq("stat", "@dead.t", "--json"))
        check(stat["max_message_bytes"] == arena // 2 - 128, stat)
        place.stop(daemon)


def flood(kind, seed):
    """Many records expire; shmqd is killed while they are being moved, the
    memory is lost, and no record is missing in the end."""
    dice = random.Random(seed)
    want = {str(i) for i in range(600)}
    with Place("deadflood") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--ttl", "20ms",
                   "--expired", "dead-letter")
        sub = ("sub", "t", "--group", "g", "--exit-when-empty", *(
            ["--exclusive"] if kind == "exclusive" else []))
        place.shmq("group", "create", "t", "g", *sub[5:])
        place.shmq("pub", "t", "--wait", "durable",
                   stdin="".join(w + "\n" for w in sorted(want)).encode())
        time.sleep(0.05)
        late = set()
        for _ in range(3):
            worker = place.begin(*sub)
            time.sleep(dice.uniform(0.01, 0.12))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            worker.kill()
            late |= set(worker.stdout.read().decode().split())
            worker.wait()
            place.empty_shm()
            daemon = place.start()
        out = place.shmq(*sub)
        late |= set(out.decode().split())
        buried = letters(place, "t")
        check(set(buried) | late == want,
              sorted(want - set(buried) - late)[:10])
        check(group(place, "t", "g")["lag_messages"] == 0)
        print("  %s: %d buried, %d of them more than once, %d came late" % (
            kind, len(buried), sum(n > 1 for n in buried.values()),
            len(late - set(buried))))
        place.stop(daemon)


def a_flood_in_a_shared_group():
    flood("shared", 1)


def a_flood_in_an_exclusive_group():
    flood("exclusive", 2)


CASES = [
    on_disk,
    written,
    a_topic_in_memory_takes_none_and_doctor_says_so,
    the_largest_records_have_a_dead_letter_topic,
    a_flood_in_a_shared_group,
    a_flood_in_an_exclusive_group,
]

for case in CASES:
    if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
        begin = time.monotonic()
        case()
        print("%s: %.1f s" % (case.__name__, time.monotonic() - begin), flush=True)
done()
