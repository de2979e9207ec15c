#!/usr/bin/env python3
"""A disk that fails under the real daemon: writes and flushes return EIO, once
or for good. Nothing is acknowledged falsely, nothing acknowledged is lost; once:
service goes on in a new segment; twice: the topic is read-only, waiters are
told, and a restart serves again; an os topic stays honest. The errors come from
a library that is loaded before libc; so the daemon writes by pwritev2."""
import glob
import json
import os
import subprocess
import sys

from shmqd_support import PATIENCE, Place, check, done, eventually

SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* `once` fails one call and goes; `always` fails each. */
static int fails(const char *what)
{
    const char *once = getenv(what);
    struct stat st; /* access(2) is not among the daemon's calls */
    if (!once || (unlink(once) != 0 && stat(getenv("FAIL_ALWAYS"), &st) != 0))
        return 0;
    errno = EIO;
    return 1;
}
int fdatasync(int fd)
{
    return fails("FAIL_SYNC") ? -1 : (int)syscall(SYS_fdatasync, fd);
}
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    if (fails("FAIL_WRITE") || ((flags & RWF_DSYNC) && fails("FAIL_SYNC")))
        return -1;
    return syscall(SYS_pwritev2, fd, v, n, at, (long)0, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    return pwritev2(fd, v, n, at, flags);
}
"""


class BadDisk:
    def __init__(self, place):
        self.place = place
        source = os.path.join(place.work, "shim.c")
        self.library = os.path.join(place.work, "shim.so")
        with open(source, "w") as file:
            file.write(SHIM)
        if subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, source],
                          check=False).returncode != 0:
            print("skipped: no compiler")
            sys.exit(77)

    def path(self, name):
        return os.path.join(self.place.work, name)

    def start(self):
        return self.place.start("--io", "pwritev2", env={
            "LD_PRELOAD": self.library,
            "FAIL_SYNC": self.path("sync"),
            "FAIL_WRITE": self.path("write"),
            "FAIL_ALWAYS": self.path("always")})

    def fail(self, name):
        open(self.path(name), "w").close()

    def mend(self, name):
        os.unlink(self.path(name))

    def used(self, name):
        return not os.path.exists(self.path(name))


def lines(first, cnt):
    return b"".join(b"%d\n" % i for i in range(first, first + cnt))


def marks(place):
    """Ends of what is written and of what is durable."""
    stat = place.stat("t")["positions"]
    return int(stat["written"]), int(stat["durable"])


def recovery(place):
    """What the daemon says of opening the topic's log."""
    path = glob.glob(os.path.join(place.dir, "topics", "*", "recovery.json"))[0]
    with open(path) as file:
        return json.loads(file.read().rstrip("\0"))


def once(name):
    with Place("once") as place:
        disk = BadDisk(place)
        daemon = disk.start()
        place.shmq("create", "t", "--durability", "disk")
        sent = 0
        for _ in range(5):
            place.shmq("pub", "t", "--wait", "durable", stdin=lines(sent, 100))
            sent += 100
            disk.fail(name)
            place.shmq("pub", "t", "--wait", "durable", stdin=lines(sent, 100))
            sent += 100
            check(disk.used(name), "the error was met")
        got = place.shmq("sub", "t", "--group", "g", "--count", str(sent))
        check(got == lines(0, sent))
        eventually(lambda: place.stat("t")["io_errors"] >= 5, "they are counted")
        place.stop(daemon)
        place.empty_shm()
        daemon = place.start()
        got = place.shmq("sub", "t", "--group", "h", "--count", str(sent),
                         "--timeout", "60")
        check(got == lines(0, sent), "after a reboot")
        place.stop(daemon)


def spoil(place):
    """One byte of the topic's first batch: of its first frame, as the batch may
    hold no more."""
    path = sorted(glob.glob(os.path.join(place.dir, "topics", "*", "*.seg")))[0]
    with open(path, "r+b") as file:
        file.seek(4096 + 128 + 20)
        byte = file.read(1)
        file.seek(4096 + 128 + 20)
        file.write(bytes([byte[0] ^ 1]))


def os_topic(damage):
    """A sync in the background fails: what was written goes on being called
    written, durable it is only once a restart has read it from the disk; what
    is not there is told (`damage`)."""
    with Place("os") as place:
        disk = BadDisk(place)
        daemon = disk.start()
        place.shmq("create", "t", "--durability", "os")
        place.shmq("pub", "t", stdin=lines(0, 100))
        eventually(lambda: marks(place)[1] == marks(place)[0],
                   "synced in the background")
        disk.fail("sync")
        place.shmq("pub", "t", "--wait", "written", stdin=lines(100, 100))
        eventually(lambda: disk.used("sync"), "the error was met")
        eventually(lambda: place.stat("t")["durable_state"] == "degraded",
                   "the topic says so")
        frozen = marks(place)[1]
        place.shmq("health", status=1)
        place.shmq("pub", "t", "--wait", "written", stdin=lines(200, 100))
        written, durable = marks(place)
        check(durable == frozen < written, durable, frozen, written)
        daemon.kill()
        daemon.wait()
        place.empty_shm()
        if damage:
            spoil(place)
        daemon = place.start()
        report = recovery(place)
        check(report["segments_scanned"] >= 2, report)
        check(report["gaps"] == int(damage), report)
        if damage:
            check(report["degraded"] and
                  place.stat("t")["durable_state"] == "degraded", report)
            place.stop(daemon)
            return
        eventually(lambda: place.stat("t")["durable_state"] == "ok",
                   "it is well again")
        written, durable = marks(place)
        check(written == durable > frozen, written, durable, frozen)
        # What was looked at once is not looked at again.
        place.shmq("pub", "t", "--wait", "written", stdin=lines(300, 100))
        daemon.kill()
        daemon.wait()
        daemon = place.start()
        report = recovery(place)
        check(report["segments_scanned"] == 1, report)
        got = place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(got == lines(0, 400), len(got.split()))
        place.stop(daemon)


def for_good():
    with Place("twice") as place:
        disk = BadDisk(place)
        daemon = disk.start()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(0, 100))
        waiter = place.begin("pub", "t", "--wait", "durable", "--positions",
                             stdin=subprocess.PIPE)
        disk.fail("always")
        out, err = waiter.communicate(lines(100, 1000), timeout=PATIENCE)
        check(waiter.returncode not in (0, 3), waiter.returncode)
        acked = len(out.split())
        check(b"acknowledged %d of " % acked in err, err)
        last = out.split()[-1] if acked else b"none"
        check(b" of 1000, last %s\n" % last in err, err)
        check(b"the library returned" not in err, err)
        eventually(lambda: place.stat("t")["durable_state"] in
                   ("read_only", "failed"), "the topic says so")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"no\n", status=1)
        check("acknowledged 0 of " in place.said, place.said)
        check("takes no records" in place.said, place.said)
        place.shmq("health", status=1)
        check(place.logged("the disk failed twice"))
        disk.mend("always")
        # What is in the ring is not lost: a restart drains it.
        daemon.terminate()
        check(daemon.wait(PATIENCE) == 1, "what is not drained is no clean end")
        daemon = place.start()
        place.shmq("pub", "t", "--wait", "durable", stdin=b"yes\n")
        got = place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        numbers = got.split()
        check(numbers[:100 + acked] == lines(0, 100 + acked).split())
        check(numbers[-1] == b"yes")
        place.shmq("health")
        place.stop(daemon)


for kind in ("sync", "write"):
    once(kind)
for damaged in (False, True):
    os_topic(damaged)
for_good()
done()
