#!/usr/bin/env python3
"""The main job on disk. Real log lines go through four producers with
--wait durable while shmqd is killed five times; one group reads all along, one
starts afterwards: both get every line, in order per producer, byte for byte.
Then everything is stopped, /dev/shm is emptied as a reboot does, and all of it
goes on: history, places of groups, positions.

usage: test_shmqd_main_job.py [LINES-PER-PRODUCER]"""
import glob
import json
import os
import signal
import subprocess
import sys
import threading
import time

from shmqd_support import Place, check, done, eventually

PRODUCERS = 4
KILLS = 5
LINES = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
TOPIC = "log"


def real_lines(cnt):
    """So many lines of log files, the same for every run."""
    folder = os.environ.get("SHMQ_REAL_LOGS") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../data/logs")
    lines = []
    for name in sorted(glob.glob(os.path.join(folder, "*.log"))):
        with open(name, "rb") as file:
            text = file.read(4 << 20)
        lines += text[:text.rfind(b"\n")].split(b"\n")
    assert lines, folder
    return [lines[i % len(lines)] for i in range(cnt)]


def lengths(lines):
    return b"".join(len(line).to_bytes(4, "little") + line for line in lines)


def split(data):
    """Payloads of length-prefixed records; a cut one at the end is left out."""
    records = []
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at:at + 4], "little")
        if at + 4 + size > len(data):
            break
        records.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return records


def by_producer(records):
    """Records as lists per producer; each begins with "P:I:", who and which."""
    lists = [[] for _ in range(PRODUCERS)]
    for record in records:
        who, which, _ = record.split(b":", 2)
        lists[int(who)].append((int(which), record))
    return lists


def check_complete(records, sent, name):
    """Every line once or more, in order, equal; a repeat is an equal one."""
    repeated = 0
    for who, got in enumerate(by_producer(records)):
        next_one = 0
        for which, record in got:
            check(which <= next_one, name, who, which, next_one)
            check(record == sent[who][which], name, who, which)
            repeated += which < next_one
            next_one = max(next_one, which + 1)
        check(next_one == len(sent[who]), name, who, next_one)
    return repeated


def feed(producer, lines, killed):
    """In portions, so that the kills fall into the middle; the last one comes
    when they are over."""
    portion = max(1, len(lines) // 100)
    for at in range(0, len(lines), portion):
        if at + portion >= len(lines):
            killed.wait()
        producer.stdin.write(lengths(lines[at:at + portion]))
        producer.stdin.flush()
        time.sleep(0.025)
    producer.stdin.close()


def read_group(place, group, cnt):
    """All records that the group has not seen, by one member."""
    return split(place.shmq(
        "sub", TOPIC, "--group", group, "--exclusive", "--format",
        "length-prefixed", "--count", str(cnt), "--timeout", "60"))


def restart_after_kill(place, daemon):
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    begin = time.monotonic()
    daemon = place.start()
    return daemon, time.monotonic() - begin


def publish_under_kills(place, daemon, sent):
    producers = [
        place.begin("pub", TOPIC, "--wait", "durable", "--format",
                    "length-prefixed", "--positions", "--window", "64",
                    stdin=subprocess.PIPE) for _ in range(PRODUCERS)]
    out = [[] for _ in producers]
    killed = threading.Event()
    threads = [threading.Thread(target=feed, args=(producer, lines, killed))
               for producer, lines in zip(producers, sent)]
    threads += [
        threading.Thread(target=lambda p=producer, o=positions: o.extend(
            p.stdout.read().split()))
        for producer, positions in zip(producers, out)]
    for thread in threads:
        thread.start()
    slowest = 0
    for _ in range(KILLS):
        time.sleep(0.3)
        check(all(producer.poll() is None for producer in producers))
        daemon, took = restart_after_kill(place, daemon)
        slowest = max(slowest, took)
    killed.set()
    for thread in threads:
        thread.join()
    for producer, positions in zip(producers, out):
        check(producer.wait() == 0, producer.stderr.read())
        check(len(positions) == LINES, len(positions))
        numbers = [int(position) for position in positions]
        check(numbers == sorted(set(numbers)), "positions grow")
    return daemon, slowest, [int(p) for positions in out for p in positions]


def main():
    text = real_lines(PRODUCERS * LINES)
    sent = [[b"%d:%d:" % (who, i) + text[i * PRODUCERS + who]
             for i in range(LINES)] for who in range(PRODUCERS)]
    with Place("mainjob") as place:
        daemon = place.start()
        place.shmq("create", TOPIC, "--durability", "disk")
        all_along = os.path.join(place.work, "all-along")
        with open(all_along, "wb") as out:
            reader = place.begin(
                "sub", TOPIC, "--group", "all-along", "--exclusive",
                "--format", "length-prefixed", stdout=out)
        daemon, slowest, positions = publish_under_kills(place, daemon, sent)
        total = PRODUCERS * LINES
        check(len(set(positions)) == total, "no position twice")

        def all_read():
            with open(all_along, "rb") as file:
                return len(split(file.read())) >= total
        eventually(all_read, "the reader has all lines")
        reader.send_signal(signal.SIGINT)
        reader.wait()
        with open(all_along, "rb") as file:
            repeats = check_complete(split(file.read()), sent, "all-along")
        afterwards = read_group(place, "afterwards", total)
        check_complete(afterwards, sent, "afterwards")
        half = read_group(place, "half", total // 2)

        # The reboot.
        place.stop(daemon)
        place.empty_shm()
        daemon = place.start()
        stat = place.stat(TOPIC)
        check(int(stat["positions"]["durable"]) > max(positions))
        half += read_group(place, "half", total - total // 2)
        check_complete(half, sent, "half, before and after the reboot")
        check_complete(read_group(place, "again", total), sent, "again")
        place.shmq("sub", TOPIC, "--group", "afterwards", "--exclusive",
                   "--timeout", "1", status=3)
        later = place.shmq("pub", TOPIC, "--wait", "durable", "--positions",
                           stdin=b"later\n")
        check(int(later) > max(positions), "positions go on")
        check(read_group(place, "afterwards", 1) == [b"later"])
        health = json.loads(place.shmq("health", "--json"))
        check(health is not None)
        place.stop(daemon)
    print("%d lines, %d kills, slowest restart %.0f ms, %d redelivered" %
          (total, KILLS, slowest * 1000, repeats))
    done()


main()
