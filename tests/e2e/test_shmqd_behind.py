#!/usr/bin/env python3
"""Consumers of a durable topic that do not keep up hold nobody up: one is
stopped, one starts a hundred rings behind; producers go on at full speed, and
both get everything, byte for byte."""
import os
import signal
import time

from shmqd_support import PATIENCE, Place, check, done, eventually

RING = 64 # frames
RECORDS = 100 * RING


def lines(first, cnt):
    return b"".join(b"%d of a record\n" % i for i in range(first, first + cnt))


def publish(place, first, cnt):
    begin = time.monotonic()
    place.shmq("pub", "t", "--wait", "published", stdin=lines(first, cnt))
    return time.monotonic() - begin


def main():
    with Place("behind") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--capacity",
                   str(RING))
        alone = publish(place, 0, RECORDS)
        path = os.path.join(place.work, "stopped")
        with open(path, "wb") as out:
            stopped = place.begin("sub", "t", "--group", "stopped",
                                  "--exclusive", stdout=out)
            late = place.begin("sub", "t", "--group", "slow", "--count", "1")
        late.wait()
        eventually(lambda: os.path.getsize(path) > 0, "it reads")
        stopped.send_signal(signal.SIGSTOP)
        beside = publish(place, RECORDS, RECORDS)
        # Who is held up by a stopped reader is so for ever.
        check(beside < 10 * alone + PATIENCE / 2, alone, beside)
        group = [group for group in place.stat("t")["groups"]
                 if group["group"] == "slow"][0]
        check(group["lag_messages"] >= RECORDS, group)
        stopped.send_signal(signal.SIGCONT)
        want = lines(0, 2 * RECORDS)
        eventually(lambda: os.path.getsize(path) >= len(want), "it has all")
        with open(path, "rb") as file:
            check(file.read() == want, "the stopped one got everything")
        stopped.send_signal(signal.SIGINT)
        stopped.wait()
        rest = place.shmq("sub", "t", "--group", "slow", "--count",
                          str(2 * RECORDS - 1))
        check(late.stdout.read() + rest == want, "so did the slow one")
        place.stop(daemon)
    print("%d records alone: %.2f s, beside a stopped reader: %.2f s" %
          (RECORDS, alone, beside))
    done()


main()
