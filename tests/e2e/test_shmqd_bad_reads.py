#!/usr/bin/env python3
"""History that cannot be read. Rot in a batch: every reader gets one explicit
gap of reason corrupt, and all that is around it. A sector that the disk refuses
to read: the same for a reader; a shmqd that starts on it serves on when it lies
in the middle, and refuses the topic when it may hide the end of the log, until
it can be read. The errors come from a library that is loaded before libc."""
import glob
import json
import os
import signal
import struct
import subprocess
import sys

from shmqd_support import PATIENCE, SHMQ, Place, check, done, eventually

SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* BAD_INODE's 4 KiB at BAD_OFFSET cannot be read while BAD_WHILE exists. */
ssize_t pread64(int fd, void *buf, size_t len, off_t off)
{
    const char *inode = getenv("BAD_INODE");
    long long bad = inode ? atoll(getenv("BAD_OFFSET")) : 0;
    struct stat st;
    if (inode && off < bad + 4096 && off + (long long)len > bad &&
        fstat(fd, &st) == 0 && st.st_ino == strtoull(inode, 0, 10) &&
        stat(getenv("BAD_WHILE"), &st) == 0) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, buf, len, off);
}
ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
    return pread64(fd, buf, len, off);
}
"""
RING = 64


def lines(first, cnt):
    return b"".join(b"%d of a record\n" % i for i in range(first, first + cnt))


def segments(place):
    return sorted(glob.glob(os.path.join(place.dir, "topics", "*", "*.seg")))


def batches(path):
    """(offset, blocks, payload bytes) of the batches of a segment."""
    with open(path, "rb") as file:
        data = file.read()
    at = 4096
    while at < len(data) and data[at:at + 4] == b"SQB1":
        total, payload = struct.unpack_from("<II", data, at + 8)
        yield at, total, payload
        at += total


class BadSector:
    def __init__(self, place):
        self.place = place
        self.exists = os.path.join(place.work, "bad")
        source = os.path.join(place.work, "shim.c")
        self.library = os.path.join(place.work, "shim.so")
        with open(source, "w") as file:
            file.write(SHIM)
        if subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, source],
                          check=False).returncode != 0:
            print("skipped: no compiler")
            sys.exit(77)

    def at(self, path, offset):
        open(self.exists, "w").close()
        return {"LD_PRELOAD": self.library, "BAD_WHILE": self.exists,
                "BAD_INODE": str(os.stat(path).st_ino),
                "BAD_OFFSET": str(offset)}

    def mend(self):
        os.unlink(self.exists)


def read_all(place, last, env=None):
    """What an ephemeral reader gets from the beginning: records, gaps."""
    run = subprocess.run(
        [SHMQ, "sub", "t", "--from", "earliest", "--read", "durable",
         "--format", "json", "--exit-when-empty"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
        env=dict(place.env, **(env or {})))
    check(run.returncode == 0, run)
    got = [json.loads(line) for line in run.stdout.splitlines()]
    gaps = [one["gap"] for one in got if "gap" in one]
    records = [one["payload"] for one in got if "payload" in one]
    check(records[-1] == last, records[-1])
    return records, gaps


def one_gap(records, gaps, sent):
    """Exactly one gap, told as corrupt, that has the size of what is missing."""
    check(len(gaps) == 1, gaps)
    check(gaps[0]["reason"] == "corrupt", gaps)
    missing = [i for i in range(sent) if "%d of a record" % i not in records]
    check(missing and len(missing) < sent // 2, len(missing))
    check(missing == list(range(missing[0], missing[-1] + 1)), missing)
    check(len(records) == sent - len(missing))
    check(int(gaps[0]["frames"]) == len(missing), gaps, len(missing))


def fill(place, first, cnt):
    for i in range(first, first + cnt, 200):
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(i, 200))


def rot():
    with Place("rot") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--capacity",
                   str(RING))
        fill(place, 0, 2000)
        place.stop(daemon)
        path = segments(place)[0]
        at, _, payload = [b for b in batches(path) if b[2] > 200][3]
        with open(path, "r+b") as file:
            file.seek(at + 128 + payload // 2)
            byte = file.read(1)
            file.seek(at + 128 + payload // 2)
            file.write(bytes([byte[0] ^ 4]))
        place.shmq("log", "verify", os.path.dirname(path), status=8)
        daemon = place.start()
        fill(place, 2000, 200)
        one_gap(*read_all(place, "2199 of a record"), 2200)
        # A group gets the same, and its place goes on behind the gap.
        out = place.shmq("sub", "t", "--group", "g", "--from", "earliest",
                         "--format", "json", "--exit-when-empty")
        check(out.count(b'"reason":"corrupt"') == 1)
        check(b'"2199 of a record"' in out.splitlines()[-1])
        check(place.stat("t")["groups"][0]["lag_messages"] == 0)
        place.stop(daemon)


def to_a_reader():
    """One gap, and everything when the sector is well again."""
    with Place("reader") as place:
        bad = BadSector(place)
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--capacity",
                   str(RING))
        fill(place, 0, 2000)
        path = segments(place)[0]
        middle = [b for b in batches(path) if b[2] > 200][3][0]
        env = bad.at(path, middle)
        one_gap(*read_all(place, "1999 of a record", env), 2000)
        bad.mend()
        records, gaps = read_all(place, "1999 of a record")
        check(len(records) == 2000 and not gaps, gaps)
        place.stop(daemon)


def at_the_end(header):
    """shmqd, started on a sector that may hide where the log ends."""
    with Place("end") as place:
        bad = BadSector(place)
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--capacity",
                   str(RING))
        fill(place, 0, 2000)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        place.empty_shm()
        check(len(segments(place)) == 1)
        path = segments(place)[0]
        offset = 0 if header else list(batches(path))[-1][0]
        daemon = place.start(env=bad.at(path, offset))
        eventually(lambda: place.logged("its log cannot be opened"), "said")
        check(header or
              place.logged("cannot read the block at %d" % offset))
        place.shmq("health", status=1)
        place.shmq("pub", "t", "--wait", "durable", "--timeout", "1s",
                   "--no-create", stdin=b"no\n", status=4)
        bad.mend()
        eventually(lambda: b'"served":true' in subprocess.run(
            [SHMQ, "stat", "t", "--json"], env=place.env, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout,
            "it is served when the sector can be read again")
        fill(place, 2000, 200)
        records, gaps = read_all(place, "2199 of a record")
        check(len(records) == 2200, len(records))
        check([gap["reason"] for gap in gaps] == ["lost"], gaps)
        place.stop(daemon)


def in_the_middle():
    """shmqd, started on a sector that only costs what it holds."""
    with Place("middle") as place:
        bad = BadSector(place)
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--capacity",
                   str(RING))
        fill(place, 0, 2000)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        place.empty_shm()
        check(len(segments(place)) == 1)
        path = segments(place)[0]
        offset = [b for b in batches(path) if b[2] > 200][3][0]
        env = bad.at(path, offset)
        daemon = place.start(env=env)
        check(place.stat("t")["durable_state"] == "degraded")
        check(place.logged('"gaps":1'))
        fill(place, 2000, 200)
        records, gaps = read_all(place, "2199 of a record", env)
        check(sorted(gap["reason"] for gap in gaps) == ["corrupt", "lost"])
        bad.mend()
        records, gaps = read_all(place, "2199 of a record")
        check(len(records) == 2200, len(records))
        check([gap["reason"] for gap in gaps] == ["lost"], gaps)
        place.stop(daemon)


def headless(ring):
    """The header of the last segment rots while the ring lives: how far the log
    went nobody can tell. What is acknowledged from then on is on the disk, and
    a group is handed it, also after the loss of the ring."""
    more = ["--exclusive"] if ring == "spsc" else []
    with Place("headless") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk", "--ring", ring)
        place.shmq("group", "create", "t", "g", *more)
        fill(place, 0, 200)
        place.shmq("sub", "t", "--group", "g", "--count", "200", "--timeout",
                   "60", *more)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        check(len(segments(place)) == 1)
        with open(segments(place)[0], "r+b") as file:
            file.write(bytes(4096))
        daemon = place.start()
        fill(place, 1000, 200)
        records, _ = read_all(place, "1199 of a record")
        check(records == ["%d of a record" % i for i in range(1000, 1200)],
              len(records))
        out = place.shmq("sub", "t", "--group", "g", "--format", "json",
                         "--exit-when-empty", *more)
        check(out.count(b" of a record") == 200, ring, out[:200])
        check(b'"reason":"lost"' in out, out[:200])
        place.stop(daemon)
        place.empty_shm()
        daemon = place.start()
        records, _ = read_all(place, "1199 of a record")
        check(len(records) == 200, len(records))
        place.stop(daemon)


rot()
headless("mpmc")
headless("spsc")
to_a_reader()
at_the_end(True)
at_the_end(False)
in_the_middle()
done()
