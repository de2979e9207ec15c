#!/usr/bin/env python3
"""Chaos of everything: shmqd and its standby, shmq-bridge, publishers and readers
here and on another host, on topics in memory and on disk of both kinds of ring,
while any of them is killed, stopped, ended, the disk is full, the network is
cut, the host crashes. Then every record is accounted for: acknowledged and lost
0, twice without the flag 0, per producer in order.

    test_everything.py [--seconds 100] [--seed N] [--rate 60] [--keep] [--plan]
Needs SHMQ_BIN_DIR, the folder of the programs. The same seed is the same plan."""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter

import place


def need(programs):
    try:
        import zmq  # noqa: F401
    except ImportError:
        system = "/usr/bin/python3"
        if os.path.exists(system) and sys.executable != system:
            os.execv(system, [system] + sys.argv)
        print("skipped: no pyzmq (package python3-zmq)")
        sys.exit(77)
    for name in ("shmq", "shmqd", "shmq-bridge"):
        if not os.access(f"{programs}/{name}", os.X_OK):
            print(f"skipped: no {name} in {programs}")
            sys.exit(77)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=os.environ.get("SHMQ_BIN_DIR", "build/bin"))
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--rate", type=float, default=60,
                        help="records a second of each publisher")
    parser.add_argument("--plan", action="store_true", help="print it, do nothing")
    parser.add_argument("--keep", action="store_true",
                        help="keep notes and the daemons' logs")
    return parser.parse_args()


def figures(account, world, strikes):
    kinds = Counter(one.kind for one in strikes)
    print("strikes: " + ", ".join(f"{kind} {kinds[kind]}" for kind in sorted(kinds)))
    print(f"{'group':<22}{'acknowledged':>13}{'in the topic':>13}{'delivered':>11}"
          f"{'again':>7}{'counted':>9}{'turns':>7}")
    for key, reader in account.readers.items():
        print(f"{'/'.join(key):<22}{len(account.acked.get(key[0], ())):>13,}"
              f"{len(account.kept(reader.topic)):>13,}"
              f"{sum(len(turn) for turn in reader.turns):>11,}"
              f"{reader.flagged():>7,}{world.counted[key]:>9,}"
              f"{sum(bool(turn) for turn in reader.turns):>7,}")
    for key, reader in account.onlookers.items():
        print(f"{'/'.join(key):<22} read {sum(map(len, reader.turns)):,} records in "
              f"{len(reader.turns)} turns")
    if world.disk_states:
        print("full disk, state of the topic then: " + ", ".join(
            f"{state} {cnt}" for state, cnt in sorted(world.disk_states.items())))
    if account.placeless:
        print(f"acknowledged as there, without a position: {account.placeless}")
    dead, poison, others = account.poison()
    print(f"dead letters: {dead} of {poison} poisoned records, {others} others")


def verdict(account, world):
    """What is wrong, a line each."""
    import cast
    import controls
    bad = []

    def say(what, where, cases):
        bad.append(f"FAIL  {what}: {where}: {len(cases)}, first {cases[:4]}")
    for what, where, cases in account.wrong(cast.EXCLUSIVE):
        if cases:
            say(what, where, cases)
    for key, reader in account.readers.items():
        if reader.flagged() > world.counted[key]:
            say("again, but not counted", "/".join(key),
                [(reader.flagged(), world.counted[key])])
    dead, poison, _ = account.poison()
    if dead != poison or poison == 0:
        say("dead letters", "orders/workers", [(dead, poison)])
    for slot in world.publishers:
        if slot.unsaid:
            say("ended well, not all acknowledged", slot.name, [slot.unsaid])
        if not slot.acked:
            say("nothing acknowledged", slot.name, [])
    if world.bad_ends():
        say("ended by themselves", "programs", world.bad_ends())
    left = world.leftovers()
    if left:
        say("left behind", "/dev/shm", left)
    if not bad:
        unnoticed = controls.missed(account, cast.EXCLUSIVE)
        if unnoticed:
            say("spoiled histories that the account takes for good", "", unnoticed)
        else:
            print(f"spoiled histories noticed: {len(controls.CONTROLS)} of "
                  f"{len(controls.CONTROLS)}")
    return bad


def main():
    options = arguments()
    need(options.bin)
    options.seed = options.seed or random.randrange(1, 1 << 31)
    if "--seed" not in " ".join(sys.argv):
        sys.argv += ["--seed", str(options.seed)]
    work = os.environ.get("SHMQ_CHAOS_WORK") or tempfile.mkdtemp(prefix="shmq-chaos-")
    os.environ["SHMQ_CHAOS_WORK"] = work
    inside = place.enter(work)
    import cast
    import plan
    from account import Account
    from world import Failed, World

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    account = Account(options.seed)
    world, bad = None, ["FAIL  see above"]
    try:
        # On a busy machine most batches are of one record and take a block of
        # 4 KiB: the disk is full when it is filled, not by itself.
        megabytes = 96 + int(options.seconds * options.rate * 5 * 4096) // (1 << 20)
        world = World(options.bin, work, inside, megabytes, account, options.rate)
        world.set_up()
        strikes = plan.make(options.seed, options.seconds, list(world.slots),
                            world.place.disk)
        if options.plan:
            bad = []
            print("\n".join(map(str, strikes)))
            return 0
        where = (f"{world.place.disk.kind} of {megabytes} MB, a network of its own"
                 if inside else "no rights for a disk and a network of its own: no "
             "full disk, the network is a process that is stopped")
        print(f"seed {options.seed}: {options.seconds:.0f} s, {len(strikes)} "
              f"strikes, {len(world.slots)} processes; {where}", flush=True)
        begun = time.monotonic()
        world.run(strikes)
        world.calm()
        world.end_readers()
        world.count_redelivered(cast.TOPICS)
        world.read_disk()
        world.end_daemons()
        account.take_acked(world.publishers)
        print(f"calm after {time.monotonic() - begun:.0f} s", flush=True)
        figures(account, world, strikes)
        bad = verdict(account, world)
        others = Counter((slot.name, *map(str, one)) for slot in
                         world.slots.values() for one in slot.ended)
        for what, cnt in others.most_common(12):
            print(f"ended by itself {cnt} times: {' '.join(what)[:150]}")
        return int(bool(bad))
    except Failed as failure:
        bad = [f"FAIL  {failure}", *(world.whereabouts() if world else ())]
        return 1
    finally:
        try:
            if options.keep or bad:
                show(work, options.keep)
            # Last, because only the end of a long output may be kept.
            print("\n".join(bad + [f"FAILED: again with --seed {options.seed}"]
                            if bad else [] if options.plan else
                            ["OK  lost 0, twice without the flag 0, in order"]),
                  flush=True)
        finally:
            if world:
                world.clean_up()
            shutil.rmtree(work, ignore_errors=True)


def show(work, keep):
    """The last words, and the notes for whoever wants to look further."""
    if not os.path.exists(f"{work}/notes"):
        return
    with open(f"{work}/notes") as notes:
        print("".join(notes.readlines()[-25:]))
    if keep:
        kept = tempfile.mkdtemp(prefix="shmq-chaos-kept-")
        shutil.copytree(f"{work}/out", f"{kept}/out")
        shutil.copy(f"{work}/notes", kept)
        print(f"kept: {kept}")


if __name__ == "__main__":
    sys.exit(main())
