#!/usr/bin/env python3
"""`shmq doctor` and `shmq health`: each trouble is found, named and given a
remedy, with the right status; what cannot be made happen is written into the
file that tells of it."""
import os
import signal
import struct
import subprocess
import sys
import time

from shmqd_support import PATIENCE, SHMQ, Place, check, done, eventually

MARKS_STATE = 168  # docs/shm-layout.md, 9
ROOT = os.geteuid() == 0
with open(SHMQ, "rb") as program:
    # A sanitizer needs address space without limits, and /proc.
    text = program.read()
    SANITIZED = b"__asan_init" in text or b"__tsan_init" in text


def found(place, command, status, *wanted):
    """Each of `wanted` is a line's beginning and a word of its remedy."""
    lines = place.shmq(command, status=status).decode().splitlines()
    for begin, remedy in wanted:
        check([line for line in lines if line.startswith(begin) and
               remedy in line.partition("; ")[2]], begin, remedy, lines)
    return lines


def states_of_durable_topics():
    with Place("docstates") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        check(found(place, "health", 0) == [])
        found(place, "doctor", 0)
        path = "/dev/shm/shmq.%s.m.t" % place.namespace
        daemon.send_signal(signal.SIGSTOP)
        found(place, "health", 1, ("bad   shmqd: does not answer", "stopped"))
        daemon.kill()
        daemon.wait()
        for state, name in ((1, "low_space"), (2, "no_space"), (3, "read_only"),
                            (4, "failed"), (5, "degraded"), (77, "unknown")):
            with open(path, "r+b") as file:
                file.seek(MARKS_STATE)
                file.write(struct.pack("<Q", state))
            check(place.stat("t")["durable_state"] == name, name)
            if state == 1:
                found(place, "doctor", 1, ("hint  disk: t: its disk is nearly "
                                           "full", "retain-bytes"))
            else:
                found(place, "health", 9, (
                    "bad   disk: t: its state is " + name, "shmqd's log"))
        found(place, "health", 9, (
            "bad   durable: t: is durable, and shmqd", "start shmqd"))
        found(place, "doctor", 1, ("bad   durable: t:", "start shmqd"))
        place.stop(place.start())


def who_holds_whom():
    with Place("docheld") as place:
        place.shmq("create", "t", "--capacity", "4", "--arena", "4K",
                   "--max-message", "1K")
        place.shmq("group", "create", "t", "g")
        place.shmq("pub", "t", stdin=b"1\n2\n3\n4\n")
        member = place.begin(
            "sub", "t", "--group", "g", "--ack", "none", "--prefetch", "8")
        check(member.stdout.readline() == b"1\n")
        eventually(lambda: place.stat("t")["endpoints"][0]["holds_frames"] == 4,
                   "it holds all")
        publisher = place.begin("pub", "t", stdin=subprocess.PIPE)
        publisher.stdin.write(b"5\n")
        publisher.stdin.close()
        begin = "held-up: t: 1 producers wait for pid %d, " % member.pid
        # Somebody who runs is slow, and nothing is wrong yet.
        eventually(lambda: b"hint  " + begin.encode() + b"running" in
                   place.shmq("doctor"), "who is slow is named")
        check(found(place, "health", 0) == [])
        member.send_signal(signal.SIGSTOP)
        eventually(lambda: any(
            e["state"] == "stopped" for e in place.stat("t")["endpoints"]),
            "it is stopped")
        found(place, "health", 1,
              ("bad   " + begin + "stopped", "evict"),
              ("bad   stopped: t: pid %d is stopped and holds 4 frames of "
               "group g" % member.pid, "kill -CONT"))
        member.kill()
        member.wait()
        eventually(lambda: publisher.poll() is not None or
                   b"has no member" in subprocess.run(
                       [SHMQ, "health"], env=place.env,
                       stdout=subprocess.PIPE).stdout,
                   "the group has no member")
        found(place, "health", 1, ("bad   held-up: t: is full, and group g has "
                                   "no member", "group rm"))


def limits():
    with Place("doclimits") as place:
        def with_limits(words):
            out = subprocess.run(
                ["bash", "-c", words + "; exec \"$0\" doctor", SHMQ],
                env=place.env, stdout=subprocess.PIPE, timeout=PATIENCE)
            return out.stdout.decode()
        for words, begin, remedy in (
                ("ulimit -n 100", "hint  limit-files: 100", "ulimit -n"),
                ("ulimit -f 9999", "hint  limit-file-size: 10238976",
                 "ulimit -f"),
                ("ulimit -v 1000000", "hint  limit-address-space: 1024000000",
                 "ulimit -v"),
                ("ulimit -l 64", "hint  limit-locked-memory: 65536",
                 "ulimit -l")):
            if SANITIZED and "-v" in words:
                continue
            said = with_limits(words)
            check(begin + "; " + remedy in said, said)


OTHER_HOSTS = r"""
shmq=$1
sees() { # STATUS LINE REMEDY COMMAND...
    status=$1 line=$2 remedy=$3
    shift 3
    said=$("$@")
    got=$?
    [ $got = $status ] && grep -q "^$line.*; .*$remedy" <<<"$said" && return
    echo "status $got, not $status; no '$line ...; $remedy' in: $said"
    exit 1
}
set -u
mount -t tmpfs -o nr_inodes=40 none /dev/shm || exit 77
sees 1 'bad   shm-files: room for [0-9]* more' 'nr_inodes' "$shmq" health
mount -t tmpfs -o mode=1777 none /dev/shm
"$shmq" create theirs || exit 1
sees 0 'hint  permission: theirs' 'SHMQ_TRUSTED_UIDS' \
    setpriv --reuid 4242 --regid 4242 --clear-groups "$shmq" doctor
chmod 0700 /dev/shm
sees 1 'bad   topics: ' 'may read' setpriv --reuid 4242 --regid 4242 --clear-groups \
    "$shmq" health
mount -t ramfs none /dev/shm
chmod 1777 /dev/shm
sees 0 'hint  shm-kind: is no tmpfs' 'mount a tmpfs' "$shmq" doctor
[[ $said == *"ok    shm-room: has no limit"* ]] || exit 1
mount -t proc -o hidepid=2 none /proc || exit 77
sees 0 'hint  proc-hidden: ' 'hidepid' setpriv --reuid 4242 --regid 4242 --clear-groups \
    "$shmq" doctor
mount -t tmpfs none /proc
sees 1 'bad   proc: /proc: fails' 'mount /proc' "$shmq" doctor
mount -t tmpfs none /dev
sees 1 'bad   shm: /dev/shm: No such file' 'mount a tmpfs' "$shmq" health
echo saw all
"""


def other_hosts():
    if not ROOT or SANITIZED:
        print("  left out: needs root, and no sanitizer")
        return
    # Not in a chroot, for example, whose root is no mount.
    if subprocess.run(["unshare", "-mpf", "true"],
                      stderr=subprocess.DEVNULL).returncode:
        print("  left out: no namespaces of its own")
        return
    with Place("dochosts") as place:
        run = subprocess.run(
            ["unshare", "-mpf", "bash", "-c", OTHER_HOSTS, "bash", SHMQ],
            env=place.env, stdout=subprocess.PIPE, timeout=PATIENCE)
        said = run.stdout.decode()
        if run.returncode == 77:
            print("  left out: cannot mount")
            return
        check(said == "saw all\n", run.returncode, said)


CASES = [
    states_of_durable_topics,
    who_holds_whom,
    limits,
    other_hosts,
]

for case in CASES:
    if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
        begin = time.monotonic()
        case()
        print("%s: %.1f s" % (case.__name__, time.monotonic() - begin), flush=True)
done()
