#!/usr/bin/env python3
"""Publishing exactly once: the connection is cut between PUBLISH and PUBACK
again and again, the bridge killed and started anew among it, and every line is
in the topic once, in order. With both clients.

usage: test_remote_once.py [--cuts N] (default 25; the full proof takes 1000)
"""
import argparse
import subprocess
import sys
import time

import remote_support
from remote_support import BIN, PATIENCE, Proxy, World, log_lines, until

remote_support.need_zmq()
import shmq_remote  # noqa: E402
import shmq_remote.engine  # noqa: E402

RESTART_EACH = 10
DAEMON_EACH = 35


def restart_some(world, i):
    if i % RESTART_EACH == RESTART_EACH - 1:
        world.kill_bridge()
        world.start_bridge()
    if i % DAEMON_EACH == DAEMON_EACH - 1 and world.durable:
        world.shmqd.kill()
        world.shmqd.wait()
        world.start_shmqd()


def check_topic(world, topic, lines):
    got = world.shmq("sub", topic, "--from", "earliest", "--exit-when-empty",
                     "--timeout", "60s", "--format", "length-prefixed")
    records = []
    at = 0
    while at < len(got):
        size = int.from_bytes(got[at:at + 4], "little")
        records.append(got[at + 4:at + 4 + size])
        at += 4 + size
    assert records == lines, (
        f"{topic}: {len(records)} records of {len(lines)} lines, "
        f"{len(records) - len(set(records))} of them twice")


def with_python(world, proxy, topic, lines):
    """Returns how many publishes were found to be there already."""
    again = 0
    with shmq_remote.Remote(proxy.endpoint, timeout=2 * PATIENCE) as remote:
        with remote.producer(topic) as producer:
            for i, line in enumerate(lines):
                proxy.cut_answers()
                cuts = proxy.cuts
                result = producer.publish(line, timeout=2 * PATIENCE)
                again += result.again
                assert proxy.cuts > cuts, "the answer was not held back"
                restart_some(world, i)
    return again


def with_c(world, proxy, topic, lines):
    pub = world.spawn(BIN / "shmq", "pub", topic, "--remote", proxy.endpoint,
                      "--positions", "--no-create", stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
    last = -1
    for i, line in enumerate(lines):
        proxy.cut_answers()
        pub.stdin.write(line + b"\n")
        pub.stdin.flush()
        position = int(pub.stdout.readline())
        assert position > last
        last = position
        restart_some(world, i)
    pub.stdin.close()
    assert pub.wait(PATIENCE) == 0


def several_underway(world, proxy, topic, lines):
    """Cuts while many publishes are underway: they go again, in order."""
    with shmq_remote.Remote(proxy.endpoint, timeout=2 * PATIENCE) as remote:
        producer = remote.producer(topic)
        for i, line in enumerate(lines):
            if i % 40 == 20:
                proxy.cut_answers()
            producer.begin([(line, b"")])
            if i % 200 == 150:
                world.kill_bridge()
                world.start_bridge()
        producer.drain(timeout=2 * PATIENCE)
        producer.close()


def control():
    """A client that forgets who it was must be caught: its repetitions are
    new publishes to the bridge."""
    core = shmq_remote.engine.ProducerCore
    honest = core._send

    def forgetful(self, one):
        self.id += 1
        honest(self, one)
    lines = [b"line %d" % i for i in range(4)]
    core._send = forgetful
    try:
        with World() as world:
            world.start_bridge()
            world.shmq("create", "t")
            proxy = Proxy(world.dir / "proxy", world.dir / "router")
            with_python(world, proxy, "t", lines)
            proxy.close()
            try:
                check_topic(world, "t", lines)
            except AssertionError as found:
                print(f"seeded bug found: {found}")
                return
    finally:
        core._send = honest
    raise AssertionError("a client that publishes twice was not noticed")


def run(durable, cuts):
    lines = [b"%06d %s" % (i, line)
             for i, line in enumerate(log_lines(cuts * 20))]
    begin = time.monotonic()
    with World(durable) as world:
        world.start_bridge()
        with shmq_remote.Remote(world.router) as remote:
            for topic in ("python", "c", "many"):
                remote.create(topic, durability=2 if durable else 0,
                              arena_bytes=16 << 20, capacity_frames=65536)
        world.shmq("group", "create", "python", "keep")
        proxy = Proxy(world.dir / "proxy", world.dir / "router")
        again = with_python(world, proxy, "python", lines[:cuts])
        check_topic(world, "python", lines[:cuts])
        assert again >= cuts * 9 // 10, f"only {again} of {cuts} were repeated"
        with_c(world, proxy, "c", lines[:cuts])
        check_topic(world, "c", lines[:cuts])
        several_underway(world, proxy, "many", lines)
        check_topic(world, "many", lines)
        print(f"{'durable' if durable else 'memory'} topics: {proxy.cuts} "
              f"connections cut, {again} of {cuts} lost answers recognised, "
              f"{2 * cuts + len(lines)} lines once each, "
              f"{time.monotonic() - begin:.1f} s")
        proxy.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=25)
    cuts = parser.parse_args().cuts
    control()
    run(False, max(cuts // 2, 20))
    if (BIN / "shmqd").exists():
        run(True, cuts)
    else:
        print("no shmqd was built: durable topics are left out")


if __name__ == "__main__":
    sys.exit(main())
