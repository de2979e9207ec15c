#!/usr/bin/env python3
"""What shmqd lacks for a while, or is handed broken: file descriptors, a disk
that takes the journal of groups, records behind a gap, the description of a
topic. It says so, holds up nobody else, and goes on by itself."""
import os
import signal
import subprocess
import sys
import time

from shmqd_support import PATIENCE, Place, check, done, eventually

CLIENT = os.path.join(os.environ["SHMQ_TEST_BIN_DIR"], "shmqd_client")

# While FAIL_GROUPS is there, writing to the journal fails; while SLOW_GROUPS
# is, it takes 60 ms, which is longer than the time between two looks at groups.
SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(int fd)
{
    char name[64], path[1024] = "";
    struct stat st;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (readlink(name, path, sizeof path - 1) < 0 || !strstr(path, "/groups/"))
        return 0;
    if (stat(getenv("SLOW_GROUPS"), &st) == 0)
        usleep(60000);
    if (stat(getenv("FAIL_GROUPS"), &st) != 0)
        return 0;
    errno = EIO;
    return 1;
}
int fdatasync(int fd)
{
    return fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    if (fails(fd))
        return -1;
    return syscall(SYS_pwritev2, fd, v, n, at, (long)0, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    return pwritev2(fd, v, n, at, flags);
}
"""


def flag(place, name):
    return os.path.join(place.work, name)


def start_with_shim(place):
    source = flag(place, "shim.c")
    library = flag(place, "shim.so")
    with open(source, "w") as file:
        file.write(SHIM)
    if subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source],
                      check=False).returncode != 0:
        print("skipped: no compiler")
        sys.exit(77)
    return place.start("--io", "pwritev2", "--no-sandbox", env={
        "LD_PRELOAD": library, "FAIL_GROUPS": flag(place, "fail"),
        "SLOW_GROUPS": flag(place, "slow")})


def client(place, *args, status=0):
    got = subprocess.run([CLIENT, *args], env=place.env, timeout=PATIENCE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(got.returncode == status, args, got)
    return got.stdout.decode()


def lines(first, cnt, size=0):
    return b"".join((b"%d" % i).ljust(size, b".") + b"\n"
                    for i in range(first, first + cnt))


def state(place, topic):
    return place.stat(topic)["durable_state"]


def crowd_takes_no_descriptor_from_logs():
    """Sixty clients of a daemon that may have 64 descriptors: segments are
    still made."""
    with Place("nofile") as place:
        daemon = place.start(
            "--segment-size", "1M",
            wrapper=("sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"))
        place.shmq("create", "t", "--durability", "disk")
        crowd = [place.begin("sub", "t", "--from", "latest",
                             stdout=subprocess.DEVNULL) for _ in range(60)]
        eventually(lambda: sum(e["role"] != "producer" for e in
                               place.stat("t")["endpoints"]) >= 60,
                   "the crowd is there")
        # The daemon has looked at it: a death among them is seen.
        crowd.pop().kill()
        eventually(lambda: place.logged("cleared away after"), "one is reaped")
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(0, 5000, 1000))
        check(state(place, "t") == "ok", place.stat("t"))
        check(not place.logged("the disk failed"))
        for child in crowd:
            child.kill()
            child.wait()
        place.stop(daemon)


def limit_of_descriptors_is_raised():
    with Place("rlimit") as place:
        daemon = place.start(
            wrapper=("sh", "-c", "ulimit -Sn 48 && exec \"$@\"", "sh"))
        with open("/proc/%d/limits" % daemon.pid) as file:
            limit = [text.split()[3:5] for text in file
                     if text.startswith("Max open files")][0]
        check(limit[0] == limit[1] and int(limit[0]) > 48, limit)
        place.stop(daemon)


def journal_that_fails_is_told_and_opened_anew():
    with Place("journal") as place:
        daemon = start_with_shim(place)
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(0, 30000))
        place.shmq("sub", "t", "--group", "g", "--count", "10")
        eventually(lambda: place.stat("t")["groups"][0]["floor"] != "0",
                   "the group moved")
        place.shmq("health")
        open(flag(place, "fail"), "w").close()

        def failed():
            place.shmq("sub", "t", "--group", "g", "--count", "1")
            return place.logged("the journal of groups takes nothing")
        eventually(failed, "the failure is told")
        place.shmq("health", status=1)
        check(state(place, "t") == "ok", "records are none of the journal's")
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(30000, 10))
        os.unlink(flag(place, "fail"))
        eventually(lambda: place.logged("the journal of groups is well"),
                   "it goes on")
        check(client(place, "commit", "t", "60") == "done\n")
        place.shmq("health")
        place.stop(daemon)
        noted = place.stat("t")["groups"][0]["floor"]
        place.empty_shm()
        daemon = place.start()
        check(place.stat("t")["groups"][0]["floor"] == noted != "0", noted)
        place.stop(daemon)


def who_waits_for_a_commit_is_told():
    """Although the group moves faster than its places come to the disk."""
    with Place("commit") as place:
        daemon = start_with_shim(place)
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(0, 60000))
        open(flag(place, "slow"), "w").close()
        check(client(place, "commit", "t", "30") == "done\n")
        os.unlink(flag(place, "slow"))
        place.stop(daemon)


def spsc(place):
    place.shmq("create", "s", "--ring", "spsc", "--durability", "disk",
               "--arena", "64K", "--max-message", "16K")


def pad_at_the_end_keeps_no_stop():
    with Place("pad") as place:
        daemon = place.start()
        spsc(place)
        client(place, "pad", "s", status=-signal.SIGKILL)
        positions = place.stat("s")["positions"]
        check(int(positions["published"]) > int(positions["durable"]),
              "the ring ends with a pad", positions)
        place.stop(daemon)
        check(place.logged("everything published is on disk"))


def damage_with_nothing_behind_is_told():
    """A full ring whose first record is scribbled on: nothing can follow the
    gap before the gap is on the disk."""
    with Place("damage") as place:
        daemon = place.start()
        spsc(place)
        daemon.send_signal(signal.SIGSTOP)
        check(int(client(place, "fill", "s")) > 3)
        path = "/dev/shm/shmq.%s.d.s" % place.namespace
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) - 65536)
            file.write(b"\xff" * 8)
        daemon.send_signal(signal.SIGCONT)
        eventually(lambda: place.logged("is damaged; readers get a gap"),
                   "it is told")
        place.shmq("pub", "s", "--wait", "durable", "--timeout", "60",
                   stdin=b"goes on".ljust(9000, b".") + b"\n")
        got = place.shmq("sub", "s", "--group", "g", "--exit-when-empty",
                         "--format", "json").decode().splitlines()
        check(len(got) == 2 and '"gap"' in got[0] and "goes on" in got[1], got)
        daemon.kill()
        daemon.wait()
        place.empty_shm()
        daemon = place.start()
        check(b"goes on" in place.shmq("cat", "s"), "after a reboot")
        place.stop(daemon)


def topic_that_lost_its_description_is_told():
    with Place("nometa") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=lines(0, 10))
        place.stop(daemon)
        topics = os.path.join(place.dir, "topics")
        uuid = os.listdir(topics)[0]
        os.unlink(os.path.join(topics, uuid, "meta"))
        daemon = place.start()
        check(place.logged("topics/%s of the data directory holds segments and "
                           "no description" % uuid))
        check(place.shmq("log", "dump", os.path.join(topics, uuid)))
        place.stop(daemon)


for case in (crowd_takes_no_descriptor_from_logs,
             limit_of_descriptors_is_raised,
             journal_that_fails_is_told_and_opened_anew,
             who_waits_for_a_commit_is_told, pad_at_the_end_keeps_no_stop,
             damage_with_nothing_behind_is_told,
             topic_that_lost_its_description_is_told):
    if len(sys.argv) < 2 or case.__name__ in sys.argv:
        begin = time.monotonic()
        case()
        print("%s: %.1f s" % (case.__name__, time.monotonic() - begin))
done()
