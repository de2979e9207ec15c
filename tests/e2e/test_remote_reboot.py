#!/usr/bin/env python3
"""A reader on another host follows the live feed of a durable topic while the
host with the topic reboots: it gets every durable record once, and one gap that
says lost. To a topic that was removed and made again it begins anew."""
import pathlib
import signal

import remote_support
from remote_support import PATIENCE, World, until

remote_support.need_zmq()
import shmq_remote  # noqa: E402

RECORDS = 200


def publish(world, first):
    world.shmq("pub", "t", "--no-create", input=b"".join(
        b"%d\n" % number for number in range(first, first + RECORDS)))


def take(live, cnt):
    """`cnt` records, and the gaps among them."""
    records, gaps = [], []
    while len(records) < cnt:
        item = live.receive(timeout=PATIENCE)
        gap = isinstance(item, shmq_remote.Gap)
        (gaps if gap else records).append(item)
    return [int(one.data) for one in records], gaps


def reboot(world):
    for child in (world.bridge, world.shmqd):
        child.send_signal(signal.SIGKILL)
        child.wait()
        world.children.remove(child)
    for path in pathlib.Path("/dev/shm").glob(f"shmq.{world.namespace}.*"):
        path.unlink()
    world.start_shmqd()
    world.start_bridge()


def nothing_more(live):
    try:
        item = live.receive(timeout=3)
    except shmq_remote.Timeout:
        return
    raise AssertionError(f"twice, or from nowhere: {item}")


def main():
    with World(durable=True) as world:
        world.start_bridge()
        world.shmq("create", "t", "--durability", "disk")
        with shmq_remote.Remote(world.router, timeout=PATIENCE) as remote:
            live = remote.live("t", start="earliest")
            publish(world, 0)
            got, gaps = take(live, RECORDS)
            assert got == list(range(RECORDS)) and not gaps, gaps
            epoch = remote.describe("t")["epoch"]
            reboot(world)
            publish(world, RECORDS)
            got, gaps = take(live, RECORDS)
            assert got == list(range(RECORDS, 2 * RECORDS)), got[:3]
            assert [gap.reason for gap in gaps] == ["lost"], gaps
            nothing_more(live)
            assert remote.describe("t")["epoch"] == epoch
            world.shmq("rm", "t", "--data", "--force")
            world.shmq("create", "t", "--durability", "disk")
            until(lambda: remote.describe("t")["epoch"] != epoch,
                  "another topic has another epoch")
            publish(world, 7000)
            got, _ = take(live, RECORDS)
            assert got == list(range(7000, 7000 + RECORDS)), got[:3]
    print(f"{3 * RECORDS} records, each once")


main()
