#!/usr/bin/env python3
"""Where shmqd may run, and what it says when it may not: the data directory's
rules, second daemons, standby, settings, memory topics of the same name, the
control socket, io_uring that is forbidden."""
import glob
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

from shmqd_support import BIN, PATIENCE, SHMQD, Place, check, done, eventually


def directory_is_made_private_and_tightened():
    with Place("dirmode") as place:
        daemon = place.start()
        check(stat.S_IMODE(os.stat(place.dir).st_mode) == 0o700)
        place.stop(daemon)
        os.chmod(place.dir, 0o755)
        daemon = place.start()
        check(stat.S_IMODE(os.stat(place.dir).st_mode) == 0o700)
        place.stop(daemon)


def directory_of_another_namespace_is_refused():
    with Place("dirns") as place:
        place.stop(place.start())
        said = place.run_daemon(
            "--data-dir", place.dir, "--namespace", "other", status=8)
        check("namespace" in said and said.count("\n") == 1, said)


def directory_of_somebody_else_is_refused():
    if os.geteuid() != 0:
        return
    with Place("dirowner") as place:
        os.mkdir(place.dir, 0o700)
        os.chown(place.dir, 12345, 12345)
        said = place.run_daemon("--data-dir", place.dir, status=6)
        check(said.count("\n") == 1, said)
        check(os.listdir(place.dir) == [], "nothing was touched")


def directory_that_cannot_be_is_refused():
    with Place("dirmissing") as place:
        missing = os.path.join(place.work, "no/such/parent")
        said = place.run_daemon("--data-dir", missing, status=4)
        check(missing in said, said)
        file = os.path.join(place.work, "file")
        open(file, "w").close()
        check(place.run_daemon("--data-dir", file, status=1))


def directory_that_is_read_only_is_refused():
    """In a mount namespace of its own, where that is possible."""
    with Place("dirro") as place:
        os.mkdir(place.dir, 0o700)
        script = ("mount --bind %s %s && mount -o remount,bind,ro %s && "
                  "exec \"$@\"" % ((place.dir,) * 3))
        wrapper = ["unshare", "-rm", "sh", "-c", script, "sh"]
        if subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            print("no mount namespace here: read-only directory left out")
            return
        said = place.run_daemon(
            "--data-dir", place.dir, status=6, wrapper=wrapper)
        check("ead-only" in said, said)


def defaults_for_the_directory():
    with Place("dirdefault") as place:
        home = os.path.join(place.work, "home")
        os.mkdir(home)
        drop = [] if os.geteuid() != 0 else [
            "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
        os.chmod(place.work, 0o755)
        if drop:
            os.chown(home, 12345, 12345)
        log = os.path.join(place.work, "log")
        with open(log, "wb") as out:
            child = subprocess.Popen(
                [*drop, SHMQD], env=dict(place.env, XDG_STATE_HOME=home),
                stderr=out)
        place.children.append(child)
        eventually(lambda: place.answers() or child.poll() is not None,
                   "a daemon without root")
        check(child.poll() is None, open(log).read())
        mine = os.path.join(home, "shmq", place.namespace)
        check(os.path.isdir(mine), os.listdir(home))
        place.stop(child)


def a_second_daemon_ends_with_75():
    with Place("second") as place:
        first = place.start()
        inodes = sorted(os.listdir(place.dir))
        begin = time.monotonic()
        said = place.run_daemon("--data-dir", place.dir, status=75)
        check(said.count("\n") == 1 and "another" in said, said)
        check(time.monotonic() - begin < PATIENCE)
        # Another directory, but the same namespace.
        place.run_daemon("--data-dir", place.dir + "2", status=75)
        # The same directory by another name, in another namespace: whoever
        # comes second does not touch it.
        link = os.path.join(place.work, "link")
        os.symlink(place.dir, link)
        place.run_daemon(
            "--data-dir", link, "--namespace", place.namespace + "b", status=75)
        check(sorted(os.listdir(place.dir)) == inodes)
        place.stop(first)
        check(not os.path.exists("/dev/shm/shmq.%s.s" % place.namespace))
        check(not os.path.exists("/dev/shm/shmq.%s.s.lock" % place.namespace))


def a_standby_serves_within_a_second():
    with Place("standby") as place:
        first = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"a\nb\n")
        second = place.start("--standby", wait=False)
        eventually(lambda: place.logged("stands by", 1), "it stands by")
        check(second.poll() is None)
        took = []
        # (A machine that is busy with something else has the standby wait.)
        while len(took) < 3 or (min(took) > 1 and len(took) < 10):
            first.send_signal(signal.SIGKILL)
            begin = time.monotonic()
            place.shmq("pub", "t", "--wait", "durable", stdin=b"c\n")
            took.append(time.monotonic() - begin)
            first.wait()
            first = second
            second = place.start("--standby", wait=False)
            eventually(lambda: place.logged(
                "stands by", len(took) + 1), "the next one")
        check(min(took) < 1, took)
        print("standby: an acknowledgement %.0f ms after the kill at most" %
              (max(took) * 1000))
        second.send_signal(signal.SIGTERM)
        check(second.wait(PATIENCE) == 0, "a standby ends at once")
        place.stop(first)


def killed_and_started_at_once():
    """The kernel may still hold what the dead one had open."""
    with Place("race") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        sent = []
        for i in range(10):
            pub = place.begin("pub", "t", "--wait", "durable",
                              stdin=subprocess.PIPE)
            lines = [b"%d-%d" % (i, k) for k in range(200)]
            pub.stdin.write(b"".join(line + b"\n" for line in lines))
            pub.stdin.close()
            sent += lines
            daemon.send_signal(signal.SIGKILL)
            daemon = place.start(wait=False)
            check(pub.wait(PATIENCE) == 0, pub.stderr.read())
        got = place.shmq("sub", "t", "--group", "g", "--count",
                         str(len(sent)), "--timeout", "60")
        check(got.split() == sent)
        place.stop(daemon)


def settings_are_checked():
    with Place("settings") as place:
        conf = os.path.join(place.work, "shmq.conf")

        def write(text):
            with open(conf, "w") as file:
                file.write(text)

        def refuse(text, status, *words):
            write(text)
            said = place.run_daemon(
                "--config", conf, "--check-config", status=status)
            check(said.count("\n") == 1, said)
            for word in words:
                check(word in said, said, word)

        write("data-dir = %s\n[topic a]\nmax-message = 1K\n" % place.dir)
        check(place.run_daemon("--config", conf, "--check-config") == "")
        check(not os.path.exists(place.dir), "a check makes nothing")
        refuse("data-dri = /x\n", 2, conf + ":1", "data-dir")
        refuse("io = aio\n", 2, "uring|pwritev2")
        refuse("[topic .a]\n", 2, conf + ":1", "legal")
        refuse("[topic a]\nmax-message = 1G\n", 2, conf)
        said = place.run_daemon("--namespace", "a/b", status=2)
        check("--namespace" in said, said)


def topics_of_the_settings_are_made():
    with Place("sections") as place:
        conf = os.path.join(place.work, "shmq.conf")
        with open(conf, "w") as file:
            file.write("[topic orders]\nmax-message = 4K\nretain-age = 1h\n"
                       "prefault = yes\nttl = 1h\nexpired = dead-letter\n"
                       "owner = %d\ngroup-owner = %d\nasymmetric = yes\n"
                       "huge = yes\nmlock = no\n"
                       "[topic ticks]\nring = spsc\ndurability = os\n"
                       % (os.geteuid(), os.getegid()))
        daemon = place.start("--config", conf)
        check(place.shmq("ls") == b"orders\nticks\n")
        orders = place.stat("orders")
        check(orders["durability"] == "disk" and
              orders["max_message_bytes"] == 4096, orders)
        check(orders["expired"] == "dead-letter" and orders["asymmetric"] and
              orders["prefault"] and orders["huge"] and not orders["mlock"] and
              orders["owner"] == os.geteuid() and
              orders["group_owner"] == os.getegid(), orders)
        check(place.stat("ticks")["durability"] == "os")
        place.shmq("pub", "orders", "--wait", "durable", stdin=b"x\n")
        place.shmq("pub", "ticks", "--wait", "written", stdin=b"y\n")
        place.stop(daemon)
        with open(conf, "w") as file:
            file.write("[topic orders]\nmax-message = 8K\n"
                       "[topic ticks]\nmlock = yes\n")
        daemon = place.start("--config", conf)
        check(place.logged("max-message differs"))
        check(place.logged("mlock differs"))
        check(place.shmq("sub", "orders", "--group", "g", "--count", "1") ==
              b"x\n")
        check(place.shmq("sub", "ticks", "--group", "g", "--count", "1") ==
              b"y\n")
        place.stop(daemon)


def a_flood_holds_no_other_topic_up():
    """Three producers that never pause, and one that waits for each of its
    records to be on the disk."""
    with Place("flood") as place:
        daemon = place.start()
        for name in ("f0", "f1", "f2", "quiet"):
            place.shmq("create", name, "--durability", "disk",
                       "--retain-bytes", "1M")
        floods = []
        for i in range(3):
            source = subprocess.Popen(["yes", "x" * 500],
                                      stdout=subprocess.PIPE)
            place.children.append(source)
            floods.append(place.begin(
                "pub", "f%d" % i, "--batch", "64", "--wait", "published",
                stdin=source.stdout, stdout=subprocess.DEVNULL))

        def ends():
            return [int(place.stat("f%d" % i)["positions"]["durable"])
                    for i in range(3)]
        eventually(lambda: min(ends()) > 0, "all floods are drained")
        before = ends()
        place.shmq("pub", "quiet", "--wait", "durable", "--window", "1",
                   stdin=b"y\n" * 200)
        eventually(lambda: all(a > b for a, b in zip(ends(), before)),
                   "and go on")
        check(all(flood.poll() is None for flood in floods))
        for child in place.children[1:]:
            child.kill()
            child.wait()
        place.stop(daemon)


def the_marker_of_a_clean_end():
    with Place("clean") as place:
        def report():
            path = glob.glob(os.path.join(
                place.dir, "topics", "*", "recovery.json"))[0]
            with open(path) as file:
                return json.loads(file.read().rstrip("\0"))
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        waits = place.begin("pub", "t", "--wait", "published",
                            stdin=subprocess.PIPE)
        waits.stdin.write(b"x\n" * 5000)
        waits.stdin.close()
        check(waits.wait() == 0)
        place.stop(daemon)
        marks = place.stat("t")["positions"]
        check(marks["durable"] == marks["published"] != "0", marks)
        check(glob.glob(os.path.join(place.dir, "topics", "*", "clean")))
        daemon = place.start()
        check(report()["clean"] and report()["segments_scanned"] == 0 and
              report()["end"] == marks["durable"], report())
        place.shmq("pub", "t", "--wait", "durable", stdin=b"y\n")
        daemon.kill()
        daemon.wait()
        daemon = place.start()
        check(not report()["clean"] and report()["segments_scanned"] == 1,
              report())
        check(place.shmq("cat", "t") == b"x\n" * 5000 + b"y\n")
        place.stop(daemon)


def memory_is_of_jemalloc():
    with Place("jemalloc") as place:
        daemon = place.start()
        with open("/proc/%d/maps" % daemon.pid) as file:
            mapped = "libjemalloc" in file.read()
        linked = subprocess.run(["ldd", SHMQD], stdout=subprocess.PIPE,
                                check=True).stdout
        found = subprocess.run(
            ["cc", "-shared", "-x", "c", "/dev/null", "-ljemalloc", "-o",
             os.path.join(place.work, "empty.so")],
            stderr=subprocess.DEVNULL, check=False).returncode == 0
        if found and b"asan" not in linked and b"tsan" not in linked:
            check(mapped, "shmqd does without jemalloc though it is installed")
        place.stop(daemon)


def a_memory_topic_of_the_name_is_left_alone():
    with Place("memory") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"kept\n")
        place.stop(daemon)
        place.empty_shm()
        place.shmq("create", "t")
        place.shmq("group", "create", "t", "m")
        place.shmq("pub", "t", stdin=b"memory\n")
        daemon = place.start()
        check(place.logged("left alone"))
        place.shmq("health", status=1)
        check(place.shmq("sub", "t", "--group", "m", "--count", "1") ==
              b"memory\n")
        place.shmq("rm", "t")
        eventually(lambda: place.shmq("ls") == b"t\n", "it is served again")
        check(place.shmq("sub", "t", "--group", "d", "--count", "1") ==
              b"kept\n")
        place.shmq("health")
        place.stop(daemon)


def a_section_whose_name_is_taken_harms_no_other():
    with Place("taken") as place:
        conf = os.path.join(place.work, "shmq.conf")
        with open(conf, "w") as file:
            file.write("[topic x]\n[topic y]\n")
        place.shmq("create", "x")
        daemon = place.start("--config", conf)
        check(place.logged("not made: x: exists already"))
        place.shmq("pub", "y", "--wait", "durable", stdin=b"a\n")
        said = place.shmq("doctor", status=1)
        check(b'"failed":["x"]' in said, said)
        place.shmq("health", status=1)
        place.shmq("rm", "x")
        place.shmq("create", "x", "--durability", "disk")
        place.shmq("health")
        place.stop(daemon)
        daemon = place.start("--config", conf)
        check(place.shmq("ls") == b"x\ny\n")
        place.shmq("health")
        place.stop(daemon)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def describe_as_later(place):
    """Adds a line of a later version to the description of the only topic;
    returns the file's name and what it holds then."""
    folder = os.path.join(place.dir, "topics")
    path = os.path.join(folder, os.listdir(folder)[0], "meta")
    with open(path, "rb") as file:
        head, text = file.read().split(b"\n", 1)
    words = head.split()
    topic = words[3]
    check(words[5] == b"%08x" % crc32c(topic + text), head)
    text += b"later=1\n"
    words[4:] = [b"%x" % len(text), b"%08x" % crc32c(topic + text)]
    with open(path, "wb") as file:
        file.write(b" ".join(words) + b"\n" + text)
    with open(path, "rb") as file:
        return path, file.read()


def a_topic_of_a_later_version_is_kept_as_it_is():
    """Who does not know what it means neither serves nor describes it."""
    with Place("later") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.stop(daemon)
        place.empty_shm()
        path, meta = describe_as_later(place)
        conf = os.path.join(place.work, "shmq.conf")
        with open(conf, "w") as file:
            file.write("[topic t]\nretain-age = 1h\n")

        def is_kept():
            with open(path, "rb") as file:
                return file.read() == meta

        daemon = place.start("--config", conf)
        check(place.logged("of a later version"))
        check(is_kept(), "a section [topic t] changes nothing")
        place.shmq("set", "t", "retain-bytes=1G", status=8)
        check("of a later version" in place.said, place.said)
        check(is_kept(), "shmq set changes nothing")
        place.shmq("health", status=1)
        place.stop(daemon, status=1)


def processor_seconds(process):
    with open("/proc/%d/stat" % process.pid) as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def a_topic_that_is_not_known_keeps_nobody_awake():
    with Place("awake") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        place.stop(daemon)
        describe_as_later(place)
        daemon = place.start()
        time.sleep(1.2)  # until then others would be tried again

        def sleeps():
            begin = processor_seconds(daemon)
            time.sleep(1)
            return processor_seconds(daemon) - begin < 0.1

        eventually(sleeps, "it sleeps when there is nothing to do")
        place.stop(daemon, status=1)


def only_names_of_groups_are_consumed():
    """Other texts would keep history for ever, or end the description."""
    with Place("consumed") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        for words in ("a\nb=c", "a,a", "a, b", "a,", "\x01"):
            place.shmq("set", "t", "retain-consumed=" + words, status=2)
            check(place.said.count("\n") == 1, place.said)
            place.shmq("create", "u", "--durability", "disk",
                       "--retain-consumed", words, status=2)
        place.shmq("set", "t", "retain-consumed=a,b")
        place.stop(daemon)
        daemon = place.start()
        check(place.shmq("ls") == b"t\n")
        place.shmq("health")
        place.stop(daemon)


def a_ring_that_is_deleted_is_made_anew():
    """Somebody empties /dev/shm under a running shmqd; it goes on in a new ring,
    behind all positions that were used."""
    with Place("deleted") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        last = 0
        for i in range(3):
            out = place.shmq("pub", "t", "--wait", "durable", "--positions",
                             stdin=b"%d\n" % i)
            check(int(out) > last or i == 0, out, last)
            last = int(out)
            for name in os.listdir("/dev/shm"):
                if (name.startswith("shmq.%s." % place.namespace) and
                        not name.endswith((".s", ".s.lock"))):
                    os.unlink("/dev/shm/" + name)
            eventually(lambda: place.logged("its ring was removed", i + 1),
                       "it is noticed")
            eventually(lambda: place.logged("ring made anew", i + 1),
                       "it is made anew")
        check(daemon.poll() is None)
        got = place.shmq("sub", "t", "--group", "g", "--exit-when-empty")
        check(got == b"0\n1\n2\n", got)
        place.shmq("health")
        place.stop(daemon)


def watches(daemon, pid):
    """Whether the daemon holds a pidfd of that process."""
    folder = "/proc/%d/fdinfo" % daemon.pid
    try:
        for name in os.listdir(folder):
            try:
                with open(os.path.join(folder, name)) as file:
                    if "\nPid:\t%d\n" % pid in file.read():
                        return True
            except FileNotFoundError:
                pass
    except PermissionError:
        return True  # only root may look
    return False


def the_dead_are_cleared_away():
    """By shmqd itself: nobody else looks at the topic."""
    with Place("reap") as place:
        daemon = place.start()
        place.shmq("create", "t", "--durability", "disk")
        for number in range(1, 3):
            reader = place.begin("sub", "t", "--group", "g%d" % number)
            eventually(lambda: len(place.stat("t")["groups"]) == number,
                       "it reads")
            eventually(lambda: watches(daemon, reader.pid), "it is watched")
            reader.kill()
            begin = time.monotonic()
            eventually(lambda: place.logged(
                "cleared away after 1 dead endpoints", number), "reaped")
            print("reaped after %.0f ms" % ((time.monotonic() - begin) * 1000))
            reader.wait()
        place.stop(daemon)


def the_socket_takes_nonsense():
    with Place("socket") as place:
        daemon = place.start()
        path = "/dev/shm/shmq.%s.s" % place.namespace
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600)
        crowd = []
        for size in (0, 1, 7, 100, 4096, 100000):
            with socket.socket(
                    socket.AF_UNIX, socket.SOCK_SEQPACKET) as asker:
                asker.settimeout(PATIENCE)
                asker.connect(path)
                asker.send(os.urandom(size))
                check(asker.recv(10000) == b"", "nonsense ends a connection")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asker:
            asker.settimeout(PATIENCE)
            asker.connect(path)
            file = os.open("/dev/null", os.O_RDONLY)
            socket.send_fds(asker, [b"x" * 100], [file])
            check(asker.recv(10000) == b"", "a descriptor ends a connection")
        for _ in range(100): # more than are taken
            asker = socket.socket(
                socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            try:
                asker.connect(path)
            except OSError:
                pass
            crowd.append(asker)
        for asker in crowd:
            asker.close()
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"x\n")
        # The name goes (a cleaner of /dev/shm): it is made anew.
        os.unlink(path)
        eventually(place.answers, "the socket is there again")
        place.stop(daemon)


def two_signals_and_a_hangup():
    with Place("signals") as place:
        daemon = place.start()
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: place.logged("SIGHUP"), "a hangup is answered")
        check(daemon.poll() is None)
        daemon.send_signal(signal.SIGINT)
        check(daemon.wait(PATIENCE) == 0)


def readiness_is_told():
    with Place("notify") as place:
        path = os.path.join(place.work, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(PATIENCE)
            daemon = place.start(
                wait=False,
                env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            check(manager.recv(100) == b"READY=1")
            check(place.answers(), "ready means that it answers")
            for _ in range(3):
                check(manager.recv(100) == b"WATCHDOG=1")
            daemon.send_signal(signal.SIGTERM)
            while manager.recv(100) != b"STOPPING=1":
                pass
            check(daemon.wait(PATIENCE) == 0)


def log_as_json():
    with Place("json") as place:
        place.stop(place.start("--log-format", "json"))
        with open(place.log) as log:
            lines = [json.loads(line) for line in log]
        check(len(lines) >= 2)
        for line in lines:
            check(line["level"] in ("info", "warning", "error"), line)
            check(line["program"] == "shmqd" and line["message"], line)


FORBID = r"""
#include <seccomp.h>
#include <errno.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f || seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM),
        SCMP_SYS(io_uring_setup), 0) || seccomp_load(f) || argc < 2) return 3;
    execv(argv[1], argv + 1);
    return 4;
}
"""


def io_uring_that_is_forbidden():
    with Place("nouring") as place:
        source = os.path.join(place.work, "forbid.c")
        forbid = os.path.join(place.work, "forbid")
        with open(source, "w") as file:
            file.write(FORBID)
        if subprocess.run(["cc", "-o", forbid, source, "-lseccomp"],
                          check=False).returncode != 0:
            print("no compiler: forbidden io_uring left out")
            return
        daemon = place.start(wrapper=[forbid])
        check(place.logged("io_uring is not used"))
        place.shmq("create", "t", "--durability", "disk")
        place.shmq("pub", "t", "--wait", "durable", stdin=b"x\n" * 1000)
        place.stop(daemon)
        said = place.run_daemon("--data-dir", place.dir, "--io", "uring",
                                status=1, wrapper=[forbid])
        check("--io pwritev2" in said, said)


def the_unit_is_tight():
    unit = os.path.join(os.path.dirname(BIN), "daemon/shmqd@.service")
    if shutil.which("systemd-analyze") is None or not os.path.exists(unit):
        print("no systemd-analyze here: exposure left out")
        return
    with Place("unit") as place:
        copy = os.path.join(place.work, "shmqd@default.service")
        shutil.copy(unit, copy)
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--no-pager",
             "--threshold=15", copy], stdout=subprocess.PIPE, check=False)
        level = done.stdout.decode().strip().split("\n")[-1]
        check(done.returncode == 0, level)
        print(level.strip())
        # It would delete the rings under living producers.
        with open(unit) as file:
            check("\nRemoveIPC=no\n" in file.read())


CASES = [
    directory_is_made_private_and_tightened,
    directory_of_another_namespace_is_refused,
    directory_of_somebody_else_is_refused,
    directory_that_cannot_be_is_refused,
    directory_that_is_read_only_is_refused,
    defaults_for_the_directory,
    a_second_daemon_ends_with_75,
    a_standby_serves_within_a_second,
    killed_and_started_at_once,
    settings_are_checked,
    topics_of_the_settings_are_made,
    a_flood_holds_no_other_topic_up,
    the_marker_of_a_clean_end,
    memory_is_of_jemalloc,
    a_memory_topic_of_the_name_is_left_alone,
    a_section_whose_name_is_taken_harms_no_other,
    a_topic_of_a_later_version_is_kept_as_it_is,
    a_topic_that_is_not_known_keeps_nobody_awake,
    only_names_of_groups_are_consumed,
    a_ring_that_is_deleted_is_made_anew,
    the_dead_are_cleared_away,
    the_socket_takes_nonsense,
    two_signals_and_a_hangup,
    readiness_is_told,
    log_as_json,
    the_unit_is_tight,
    io_uring_that_is_forbidden,
]

for case in CASES:
    if len(sys.argv) < 2 or case.__name__ in sys.argv[1:]:
        begin = time.monotonic()
        case()
        print("%s: %.1f s" % (case.__name__, time.monotonic() - begin))
done()
