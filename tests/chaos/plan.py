"""What is done to whom and when: all of it follows from the seed, so that a run
can be done again. (The processes' own timing cannot.)

A strike is (second, kind, who, seconds):
    kill    SIGKILL; started again after so many seconds
    stop    SIGSTOP, SIGCONT after so many seconds
    end     SIGTERM; started again after so many seconds
    cut     the network vanishes for so long
    full    the disk is full for so long
    crash   every process of the host is killed at once
    reboot  the same, and what durable topics have in /dev/shm is gone
"""
import random
from typing import NamedTuple

PACE = 0.6  # seconds between two strikes, on average


class Strike(NamedTuple):
    second: float
    kind: str
    who: str
    seconds: float

    def __str__(self):
        return "%7.2f s  %-6s %-12s %.2f s" % self


def length(dice, kind):
    if kind == "stop":  # the leases are 1 and 2 s
        return dice.choice((dice.uniform(0.05, 0.5), dice.uniform(0.5, 3.5)))
    if kind == "cut":  # silent connections are given up after 3 s
        return dice.choice((dice.uniform(0.3, 2.0), dice.uniform(3.0, 8.0)))
    if kind == "full":
        return dice.uniform(4.0, 14.0)
    return dice.uniform(0.0, 0.5)


def make(seed, seconds, names, disk):
    """Every process is killed and stopped, everything else happens at least
    once if there is time; then whatever the dice say."""
    dice = random.Random(seed)
    places = (["full"] if disk else []) + ["cut"]
    first = [(kind, name) for name in names for kind in ("kill", "stop")]
    first += [(kind, "") for kind in places * 2 + ["reboot", "crash"]]
    dice.shuffle(first)
    kinds = ["kill"] * 9 + ["stop"] * 9 + ["end"] * 2
    kinds += places + (["reboot", "crash"] if seconds > 300 else [])
    weights = [0.25 if kind in ("reboot", "crash") else 1 for kind in kinds]
    strikes, second = [], 1.0
    while second < seconds:
        if first:
            kind, who = first.pop()
        else:
            kind, who = dice.choices(kinds, weights)[0], ""
            if kind in ("kill", "stop", "end"):
                who = dice.choice(names)
        strikes.append(Strike(second, kind, who, length(dice, kind)))
        second += dice.expovariate(1 / PACE)
    return strikes
