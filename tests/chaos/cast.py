"""Who takes part: two topics on disk and two in memory, of both kinds of ring,
with the daemons, publishers and readers here and on another host."""
import sys

from payload import HERE
from slots import Publisher, Slot

# name: attributes for `shmq create`
TOPICS = {
    "orders": ("--durability", "disk"),
    "tape": ("--ring", "spsc", "--durability", "disk"),
    "failed": ("--durability", "disk"),  # dead letters
    "jobs": (),
    "ticks": ("--ring", "spsc"),
}
DURABLE = ("orders", "tape", "failed")
# topic, group: attributes for `shmq group create`
GROUPS = {
    ("orders", "archive"): ("--exclusive",),
    ("orders", "workers"): ("--lease", "1s", "--max-attempts", "20",
                            "--dead-letter", "failed"),
    ("orders", "far"): ("--max-attempts", "100"),
    ("orders", "desk"): ("--exclusive",),
    ("tape", "tape"): ("--exclusive",),
    ("failed", "undertaker"): ("--exclusive",),
    ("jobs", "pool"): ("--max-attempts", "100"),
    ("jobs", "audit"): ("--exclusive",),
    ("jobs", "away"): ("--max-attempts", "100"),
    ("ticks", "ticks"): ("--exclusive",),
}
EXCLUSIVE = {group for group, words in GROUPS.items() if "--exclusive" in words}


def daemons(world):
    place = world.place
    common = ["--data-dir", place.data, "--segment-size", "1M", "--min-free",
              "0", "--standby"]
    for name in ("shmqd-1", "shmqd-2"):
        yield Slot(world, name, [world.bin("shmqd"), *common], fatal=True)
    ends = [f"--{kind}=tcp://{place.host}:{port}" for kind, port in
            zip(("router", "pub", "pull"), world.ports)]
    yield Slot(world, "bridge", [
        world.bin("shmq-bridge"), *ends, "--server-key-file",
        f"{world.work}/server", "--access", f"{world.work}/access",
        "--lease", "2s", "--heartbeat", "1s"], fatal=True)


def publishers(world, rate):
    def local(slot):
        return [world.bin("shmq"), "pub", slot.topic, "--file", slot.input,
                "--positions", "--rate", rate, "--no-create"]

    def far(slot):
        return [*local(slot), *world.far_options]

    def python(slot):
        return [*world.far_python, "pub", slot.topic, slot.input, rate]

    for name, topic, command in (
            ("order-1", "orders", local), ("order-2", "orders", local),
            ("order-far", "orders", far), ("order-py", "orders", python),
            ("tape-1", "tape", local), ("tick-1", "ticks", local),
            ("job-1", "jobs", local), ("job-2", "jobs", local),
            ("job-far", "jobs", far)):
        yield Publisher(world, name, topic, command, rate,
                        far=command is not local)


def readers(world, account):
    def reader(name, topic, group, command, far=False):
        seen = account.reader(topic, group)
        return Slot(world, name, command, far=far,
                    take=lambda slot: seen.take(slot.lines()))

    def sub(topic, group, *more):
        exclusive = ["--exclusive"] if (topic, group) in EXCLUSIVE else []
        return [world.bin("shmq"), "sub", topic, "--group", group, "--format",
                "json", *exclusive, *more]

    far = world.far_options
    yield reader("archive", "orders", "archive", sub("orders", "archive"))
    for number in (1, 2, 3):
        yield reader(f"worker-{number}", "orders", "workers",
                     [sys.executable, HERE / "worker.py", "orders", "workers"])
    yield reader("far-1", "orders", "far", sub("orders", "far", *far), True)
    yield reader("far-2", "orders", "far", sub("orders", "far", *far), True)
    yield reader("far-py", "orders", "far",
                 [*world.far_python, "sub", "orders", "far"], True)
    yield reader("desk-far", "orders", "desk", sub("orders", "desk", *far), True)
    yield reader("tape", "tape", "tape", sub("tape", "tape"))
    account.undertaker = account.reader("failed", "undertaker")
    yield reader("undertaker", "failed", "undertaker",
                 sub("failed", "undertaker"))
    for number in (1, 2):
        yield reader(f"pool-{number}", "jobs", "pool", sub("jobs", "pool"))
    yield reader("audit", "jobs", "audit", sub("jobs", "audit"))
    yield reader("away-far", "jobs", "away", sub("jobs", "away", *far), True)
    yield reader("ticks", "ticks", "ticks", sub("ticks", "ticks"))


def onlookers(world, account):
    """They read without a group, history and the live feed."""
    seen = account.onlooker("orders", "history")

    def history(slot):
        seen.take(slot.lines())
        slot.command = [
            world.bin("shmq"), "cat", "orders", "--format", "json", "--from",
            account.some_position("orders"), "--count", 3000]
        slot.due = world.now() + 0.5
    yield Slot(world, "history", [world.bin("shmq"), "cat", "orders",
                                  "--format", "json"], take=history)
    live = account.onlooker("orders", "live")
    yield Slot(world, "live-far", [*world.far_python, "live", "orders"],
               far=True, take=lambda slot: live.take(slot.lines()))
