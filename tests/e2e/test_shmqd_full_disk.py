#!/usr/bin/env python3
"""A small file system fills up and is freed again, while a producer publishes
and a group reads: nothing acknowledged is lost, producers get the policy's
answer, and service resumes by itself when space returns: within a second where
CYCLES are given, which is for a machine that does nothing else.

usage: test_shmqd_full_disk.py [CYCLES [tmpfs|ext4]]
tmpfs in a mount namespace of its own; ext4 on a loop device needs root."""
import os
import subprocess
import sys
import threading
import time

if os.environ.get("SHMQ_IN_NAMESPACE") != "1":
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    if len(sys.argv) < 3 and subprocess.run(
            probe, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("skipped: no file system can be mounted here")
        sys.exit(77)
    os.environ["SHMQ_IN_NAMESPACE"] = "1"
    how = ["unshare", "-m"] if sys.argv[2:] == ["ext4"] else ["unshare", "-rm"]
    os.execvp("unshare", [*how, sys.executable, *sys.argv])

from shmqd_support import PATIENCE, Place, check, done, eventually

CYCLES = int(sys.argv[1]) if len(sys.argv) > 1 else 4
KIND = sys.argv[2] if len(sys.argv) > 2 else "tmpfs"
SIZE_MB = 48
LINE = 1000
RESUMES_S = 1 if len(sys.argv) > 1 else PATIENCE


class Disk:
    """The small file system."""

    def __init__(self, place):
        self.root = os.path.join(place.work, "disk")
        os.mkdir(self.root)
        if KIND == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", "size=%dM" % SIZE_MB,
                       "none", self.root]
        else:
            image = os.path.join(place.work, "image")
            with open(image, "wb") as file:
                file.truncate(SIZE_MB << 20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
            command = ["mount", "-o", "loop", image, self.root]
        subprocess.run(command, check=True)
        place.dir = os.path.join(self.root, "data")
        self.filler = os.path.join(self.root, "filler")

    def fill(self):
        """Takes all space; goes on as long as retention frees some."""
        for chunk in (1 << 20, 4096):
            try:
                with open(self.filler, "ab", buffering=0) as file:
                    while file.write(b"x" * chunk) == chunk:
                        pass
            except OSError:
                pass

    def leave(self, left):
        """Takes space until so much is left."""
        with open(self.filler, "ab", buffering=0) as file:
            while True:
                now = os.statvfs(self.root)
                more = now.f_bavail * now.f_frsize - left
                if more < 4096:
                    return
                file.write(b"x" * min(more, 1 << 20))

    def free(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def end(self):
        subprocess.run(["umount", "-l", self.root], check=True)


class Publisher:
    """Publishes numbered lines for ever, and counts what is acknowledged."""

    def __init__(self, place, topic):
        self.child = place.begin(
            "pub", topic, "--wait", "durable", "--positions", "--window", "256",
            stdin=subprocess.PIPE)
        self.sent = 0
        self.acked = 0
        self.ended = False
        self.threads = [threading.Thread(target=self.feed),
                        threading.Thread(target=self.count)]
        for thread in self.threads:
            thread.start()

    def feed(self):
        while not self.ended:
            self.child.stdin.write(line(self.sent))
            self.sent += 1
            if self.acked + 20000 < self.sent:
                time.sleep(0.001)
        self.child.stdin.close()

    def count(self):
        for _ in self.child.stdout:
            self.acked += 1

    def end(self):
        self.ended = True
        for thread in self.threads:
            thread.join()
        check(self.child.wait() == 0, self.child.stderr.read())
        check(self.acked == self.sent, self.acked, self.sent)


def line(number):
    return (b"%08d" % number).ljust(LINE, b".") + b"\n"


class Reader:
    """Reads all lines of a group and checks that they are the next ones."""

    def __init__(self, place, topic):
        self.child = place.begin("sub", topic, "--group", "reader",
                                 "--exclusive")
        self.got = 0
        self.wrong = []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for text in self.child.stdout:
            number = int(text[:8])
            if text != line(number) or number > self.got:
                self.wrong.append((self.got, text[:20]))
            self.got = max(self.got, number + 1)

    def end(self):
        self.child.terminate()
        self.thread.join()
        self.child.wait()


def stalled(publisher, place):
    """No acknowledgement for a while, and the topic says why."""
    before = publisher.acked
    time.sleep(0.3)
    return publisher.acked == before and \
        place.stat("t")["durable_state"] == "no_space"


def cycle(disk, publisher, place):
    disk.fill()
    while not stalled(publisher, place):
        disk.fill()
    stuck_at = publisher.acked
    disk.free()
    begin = time.monotonic()
    eventually(lambda: publisher.acked > stuck_at, "service resumes")
    return time.monotonic() - begin


def cycles(place, disk):
    daemon = place.start("--segment-size", "1M", "--min-free", "0")
    place.shmq("create", "t", "--durability", "disk", "--retain-consumed",
               "reader")
    reader = Reader(place, "t")
    eventually(lambda: place.stat("t")["groups"], "the group is there")
    publisher = Publisher(place, "t")
    eventually(lambda: publisher.acked > 1000, "it publishes")
    took = [cycle(disk, publisher, place) for _ in range(CYCLES)]
    publisher.end()
    eventually(lambda: reader.got >= publisher.sent, "all is read")
    reader.end()
    check(reader.wrong == [], reader.wrong[:3])
    check(max(took) < RESUMES_S, took)
    print("%s: %d cycles, %d lines acknowledged and read; resumed after %.0f "
          "ms at most" % (KIND, CYCLES, publisher.acked, max(took) * 1000))
    return daemon


def policies(place, disk):
    """What a producer gets while the disk is full."""
    place.shmq("create", "new", "--durability", "disk", "--on-full",
               "drop-new")
    place.shmq("create", "block", "--durability", "disk")
    many = b"".join(line(i) for i in range(10000))
    disk.fill()
    place.shmq("pub", "new", "--wait", "published", stdin=many, status=7)
    check("acknowledged" in place.said or "dropped" in place.said, place.said)
    place.shmq("pub", "block", "--wait", "durable", "--timeout", "1",
               stdin=many, status=3)
    check("acknowledged" in place.said, place.said)
    place.shmq("health", status=1)
    disk.free()
    place.shmq("pub", "block", "--wait", "durable", "--timeout", "60",
               stdin=b"goes on\n")


def lose_rings(place, names):
    """As a reboot does, but for these topics only."""
    for name in names:
        for kind in "cdm":
            path = "/dev/shm/shmq.%s.%s.%s" % (place.namespace, kind, name)
            if os.path.exists(path):
                os.unlink(path)


def has_rings(place, names):
    return all(os.path.exists("/dev/shm/shmq.%s.c.%s" % (
        place.namespace, name)) for name in names)


def starts_without_space(place, disk):
    """The rings of many topics are lost while the disk has no room for new
    segments: those are made anew when it has, and until then every other topic
    is served."""
    lost = ["lost%02d" % i for i in range(16)]
    small = ("--durability", "disk", "--capacity", "64", "--arena", "64K",
             "--max-message", "4K")
    args = ("--segment-size", "1M", "--min-free", "4M")
    daemon = place.start(*args)
    for name in [*lost, "kept"]:
        place.shmq("create", name, *small)
        place.shmq("pub", name, "--wait", "durable", stdin=b"before\n")
    daemon.kill()
    daemon.wait()
    lose_rings(place, lost)
    disk.leave(2 << 20)
    # Each of them waiting its turn would take longer than start() waits.
    daemon = place.start(*args)
    for name in lost:
        eventually(lambda: place.logged(
            "topic=%s: the disk is full" % name), "it says what it waits for")
    check(not has_rings(place, lost[:1]))
    place.shmq("health", status=1)
    check(place.shmq("sub", "kept", "--group", "g", "--exit-when-empty") ==
          b"before\n")
    place.shmq("set", "kept", "retain-age=1h")
    place.shmq("rm", lost.pop(), "--data", "--force")
    disk.free()
    eventually(lambda: has_rings(place, lost), "the rings are there again")
    for name in lost:
        place.shmq("pub", name, "--wait", "durable", stdin=b"after\n")
        check(place.shmq("cat", name) == b"before\nafter\n")
    eventually(lambda: place.stat(lost[0])["durable_state"] == "ok", "well")
    # What a topic may let go makes room for its own beginning.
    place.shmq("create", "big", *small)
    place.shmq("pub", "big", "--wait", "durable",
               stdin=b"".join(line(i) for i in range(8000)))
    daemon.kill()
    daemon.wait()
    lose_rings(place, ["big"])
    disk.leave(2 << 20)
    daemon = place.start(*args)
    eventually(lambda: place.logged("topic=big: the disk is full"), "it waits")
    place.shmq("set", "big", "retain-bytes=1M")
    eventually(lambda: has_rings(place, ["big"]), "the ring is there again")
    disk.free()
    kept = place.shmq("cat", "big").split()
    check(kept[-1] == line(7999).strip() and len(kept) < 4000, len(kept))
    place.stop(daemon)


def ring_that_cannot_be_made(place):
    """/dev/shm is full at start: the topic waits for room there, and its tries
    cost no segment of its log each."""
    place.dir = os.path.join(place.work, "roomy")
    args = ("--segment-size", "1M")
    daemon = place.start(*args)
    place.shmq("create", "t", "--durability", "disk")
    place.shmq("pub", "t", "--wait", "durable", stdin=b"before\n")
    daemon.kill()
    daemon.wait()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64K", "none",
                    "/dev/shm"], check=True)
    try:
        daemon = place.start(*args)
        eventually(lambda: place.logged("its ring cannot be made"), "it says so")
        topics = os.path.join(place.dir, "topics")
        log = os.path.join(topics, os.listdir(topics)[0])

        def segments():
            return sorted(n for n in os.listdir(log) if n.endswith(".seg"))
        before = segments()
        check(len(before) == 2, before)
        time.sleep(3.5)  # three tries, if the machine is quick
        check(segments() == before, segments())
        place.shmq("health", status=1)
        subprocess.run(["mount", "-o", "remount,size=1G", "/dev/shm"],
                       check=True)
        eventually(lambda: has_rings(place, ["t"]), "the ring is there")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"after\n")
        check(place.shmq("cat", "t") == b"before\nafter\n")
        check(place.logged("its ring cannot be made") and
              not place.logged("its ring cannot be made", 2), "said once")
        place.stop(daemon)
    finally:
        subprocess.run(["umount", "-l", "/dev/shm"], check=True)


def main():
    with Place("fulldisk") as place:
        disk = Disk(place)
        try:
            daemon = cycles(place, disk)
            policies(place, disk)
            for name in ("t", "new", "block"):
                place.shmq("rm", name, "--data", "--force")
            place.stop(daemon)
            starts_without_space(place, disk)
            ring_that_cannot_be_made(place)
        finally:
            for child in place.children:
                if child.poll() is None:
                    child.kill()
                    child.wait()
            disk.end()
    done()


main()
