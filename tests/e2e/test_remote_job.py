#!/usr/bin/env python3
"""The main job from afar: real log lines, published here and through the bridge
into a durable topic (a memory topic where there is no shmqd), read by a plain
SUB, by a remote member in Python, by one in C and by a local member of one
group, and by a second group. In the middle the bridge is killed and started
anew, one remote member is killed, one stopped for twice its lease. Every
acknowledged line reaches every group, byte for byte."""
import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

import remote_support
from remote_support import BIN, PACKAGE, PATIENCE, World, log_lines, until

remote_support.need_zmq()
import shmq_remote  # noqa: E402

LINES = int(os.environ.get("LINES_EACH", 1500))
LEASE = 2.0
SHARE = 0.03  # each member does at least so much of the work


class Feed(threading.Thread):
    """A SUB that makes its gaps good."""

    def __init__(self, world, topic):
        super().__init__(daemon=True)
        self.remote = shmq_remote.Remote(world.router, timeout=None)
        self.live = self.remote.live(topic, start="earliest")
        self.got, self.gaps, self.ended = {}, [], False
        self.error = None

    def run(self):
        try:
            while not self.ended:
                try:
                    item = self.live.receive(timeout=0.2)
                except shmq_remote.Timeout:
                    continue
                if isinstance(item, shmq_remote.Gap):
                    self.gaps.append(item)
                else:
                    assert item.position not in self.got, "twice"
                    self.got[item.position] = item.data
        except Exception as error:  # told by the main thread
            self.error = error


def read_json(path):
    """Position and payload of each line of `sub --format json`; a line that
    its writer did not finish counts as not written."""
    got = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        record = json.loads(line)
        if "gap" in record:
            raise AssertionError(f"a gap: {record}")
        payload = record["payload"].encode() if "payload" in record else \
            base64.b64decode(record["payload_base64"])
        got.append((int(record["position"]), payload))
    return got


def read_hex(path):
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [(int(position), bytes.fromhex(data)) for position, _, data in
            (line.partition(" ") for line in lines)]


def publish_here(world, lines, acked):
    pub = world.spawn(BIN / "shmq", "pub", "logs", "--wait", "published",
                      "--positions", "--rate", LINES / 8,
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    threading.Thread(target=lambda: (pub.stdin.write(b"\n".join(lines) + b"\n"),
                                     pub.stdin.close()), daemon=True).start()
    for line, position in zip(lines, pub.stdout):
        acked[int(position)] = line
    assert pub.wait(2 * PATIENCE) == 0


def publish_far(world, lines, acked):
    with shmq_remote.Remote(world.router, timeout=None) as remote:
        producer = remote.producer(
            "logs", level="durable" if world.durable else "published")
        for i in range(0, len(lines), 5):
            batch = [(line, b"") for line in lines[i:i + 5]]
            result = producer.publish_batch(batch)
            for position, (line, _) in zip(result.positions, batch):
                acked[position] = line
            time.sleep(8 * len(batch) / LINES)


def members(world):
    """The group `work`: here, in C from afar, two in Python from afar."""
    def sub(path, *more):
        return world.spawn(BIN / "shmq", "sub", "logs", "--group", "work",
                           "--format", "json", *more,
                           stdout=open(path, "ab"))

    def slow_sub(path):
        """Whoever takes its lines is slow, so that others get some, too."""
        one = world.spawn(BIN / "shmq", "sub", "logs", "--group", "work",
                          "--format", "json", "--prefetch", 1,
                          stdout=subprocess.PIPE)
        fcntl.fcntl(one.stdout, fcntl.F_SETPIPE_SZ, 4096)
        one.copier = Copier(one.stdout, path)
        one.copier.start()
        return one

    def python(path, *more):
        return world.spawn("/usr/bin/env", sys.executable,
                           remote_support.ROOT / "tests/e2e/remote_member.py",
                           PACKAGE, world.router, "logs", "work", path, *more)
    here = slow_sub(world.dir / "here")
    far_c = sub(world.dir / "far_c", "--prefetch", 64,
                "--remote", world.router)
    return here, far_c, python(world.dir / "far_py", "slow"), \
        python(world.dir / "far_victim", "hold")


class Copier(threading.Thread):
    """Copies lines to a file, slowly as long as `slow` is set."""

    def __init__(self, source, path):
        super().__init__(daemon=True)
        self.source, self.path, self.slow = source, path, True

    def run(self):
        with open(self.path, "ab", buffering=0) as out:
            for line in self.source:
                out.write(line)
                time.sleep(0.02 if self.slow else 0)


def trouble(world, far_c, victim):
    time.sleep(1.2)
    world.kill_bridge()
    time.sleep(0.3)
    world.start_bridge()
    time.sleep(1.0)
    victim.send_signal(signal.SIGKILL)
    time.sleep(0.3)
    far_c.send_signal(signal.SIGSTOP)
    time.sleep(2 * LEASE)
    far_c.send_signal(signal.SIGCONT)
    until(lambda: of_group(world, "work", "members") == 3,
          "the stopped member is back, the killed one gone")


def of_group(world, group, key):
    groups = json.loads(world.shmq("groups", "logs", "--json"))
    return next(g[key] for g in groups if g["group"] == group)


def check(group, got, acked):
    by_position = {}
    for position, data in got:
        assert by_position.setdefault(position, data) == data
    missing = [p for p in acked if p not in by_position]
    wrong = [p for p in acked if p in by_position and
             by_position[p] != acked[p]]
    assert not missing and not wrong, \
        f"{group}: {len(missing)} lines missing, {len(wrong)} changed"
    print(f"{group}: {len(acked)} acknowledged lines, "
          f"{len(got) - len(by_position)} of them delivered again")


def control(got, acked):
    """A lost line, and a changed one, must be found."""
    for seeded in (got[1:], [(got[0][0], got[0][1] + b" ")] + got[1:]):
        try:
            check("seeded bug", seeded, acked)
        except AssertionError:
            continue
        raise RuntimeError("a seeded bug was not found")


def main():
    begin = time.monotonic()
    lines = [b"%d %s" % (i, line.replace(b"\r", b"~"))
             for i, line in enumerate(log_lines(2 * LINES))]
    with World((BIN / "shmqd").exists()) as world:
        world.bridge_args = ["--lease", f"{LEASE}s", "--heartbeat", "500ms"]
        world.start_bridge()
        with shmq_remote.Remote(world.router) as remote:
            remote.create("logs", durability=2 if world.durable else 0,
                          arena_bytes=4 << 20, capacity_frames=16384)
        for group in ("work", "audit"):
            world.shmq("group", "create", "logs", group)
        feed = Feed(world, "logs")
        feed.start()
        here, far_c, far_py, victim = members(world)
        until(lambda: of_group(world, "work", "members") == 4, "members")
        acked, threads = {}, []
        for publish, some in ((publish_here, lines[:LINES]),
                              (publish_far, lines[LINES:])):
            threads.append(threading.Thread(
                target=publish, args=(world, some, acked), daemon=True))
            threads[-1].start()
        trouble(world, far_c, victim)
        for thread in threads:
            thread.join(2 * PATIENCE)
        assert len(acked) == len(lines), f"{len(acked)} acknowledged"
        here.copier.slow = False
        until(lambda: of_group(world, "work", "lag_messages") == 0,
              "work is done", 2 * PATIENCE)
        audit = world.shmq("sub", "logs", "--group", "audit", "--format",
                           "json", "--exit-when-empty", "--prefetch", 64,
                           "--timeout", "60s", "--remote", world.router)
        (world.dir / "audit").write_bytes(audit)
        until(lambda: feed.error or len(feed.got) >= len(acked),
              "the feed has all")
        feed.ended = True
        feed.join(PATIENCE)
        if feed.error:
            raise feed.error
        for member in (here, far_c, far_py):
            assert member.poll() is None, "a member ended by itself"
        for member in (here, far_c):
            member.send_signal(signal.SIGTERM)
            member.wait(PATIENCE)
        here.copier.join(PATIENCE)
        each = {"here": read_json(world.dir / "here"),
                "C": read_json(world.dir / "far_c"),
                "Python": read_hex(world.dir / "far_py")}
        held = read_hex(world.dir / "far_victim")
        for name, got in each.items():
            assert len(got) >= len(lines) * SHARE, f"{name} got {len(got)}"
        check("work", sum(each.values(), []), acked)
        check("audit", read_json(world.dir / "audit"), acked)
        control(list(feed.got.items()), acked)
        assert not feed.gaps, feed.gaps
        check("feed", list(feed.got.items()), acked)
        assert feed.live.backfills > 0, "the SUB noticed no gap"
        counts = ", ".join(f"{name} {len(got)}" for name, got in each.items())
        print(f"{'durable' if world.durable else 'memory'} topic; members: "
              f"{counts}; killed with {len(held)} in hand; the SUB made good {feed.live.backfills} gaps, "
              f"{feed.live.core.backfilled} records; "
              f"{time.monotonic() - begin:.1f} s")
        feed.live.close()
        feed.remote.close()


if __name__ == "__main__":
    sys.exit(main())
