"""Negative controls: the history of a run that was right is spoiled in every way
that matters, and the account has to notice each."""
from account import Account


def longest(reader):
    """A copy of its longest turn, which takes its place."""
    turn = max(reader.turns, key=len)
    reader.turns[reader.turns.index(turn)] = copy = list(turn)
    return copy


def drop(account, key):
    """A record that one group was never handed."""
    reader = account.readers[key]
    victim = account.acked[key[0]][len(account.acked[key[0]]) // 2][0]
    reader.turns = [[one for one in turn if one[0] != victim]
                    for turn in reader.turns]


def double(account, key):
    """A record comes again, and nothing says so."""
    turn = longest(account.readers[key])
    position = next(position for position, again in turn if not again)
    turn.append((position, False))


def swap(account, key):
    turn = longest(account.readers[key])
    fresh = [i for i, (_, again) in enumerate(turn) if not again]
    turn[fresh[0]], turn[fresh[1]] = turn[fresh[1]], turn[fresh[0]]


def early(account, key):
    """An acknowledgement of a record that never got to the disk."""
    disk = account.full[key[0]]
    victim = account.acked[key[0]][-1][0]
    for reader in [disk] + [reader for (topic, _), reader in
                            account.readers.items() if topic == key[0]]:
        reader.turns = [[one for one in turn if one[0] != victim]
                        for turn in reader.turns]


def nowhere(account, key):
    """Acknowledged as there, without a position, and not there."""
    class Slot:
        name, topic, acked = "order-1", key[0], [(-1, 1 << 40)]
    account.take_acked([Slot])


def twice(account, key):
    """A publish that was repeated although it had been done."""
    topic = account.topics[key[0]]
    first, last = min(account.kept(topic)), max(topic.at)
    topic.at[last + 1] = topic.at[first]
    for reader in account.readers.values():
        if reader.topic is topic:
            reader.turns.append([(last + 1, False)])
    if key[0] in account.full:
        account.full[key[0]].turns.append([(last + 1, False)])


def change(account, key):
    account.topics[key[0]].saw(max(account.topics[key[0]].at), b"order-1:1:no")


def hole(account, key):
    turn = longest(account.onlookers[key])
    kept = account.kept(account.topics[key[0]])
    there = [i for i, (position, _) in enumerate(turn) if position in kept]
    del turn[there[len(there) // 2]]


CONTROLS = (
    (drop, ("orders", "archive"), "lost"), (drop, ("jobs", "pool"), "lost"),
    (drop, ("orders", "far"), "lost"),
    (double, ("orders", "workers"), "twice without the flag"),
    (double, ("ticks", "ticks"), "twice without the flag"),
    (swap, ("tape", "tape"), "out of order"),
    (early, ("orders", "archive"), "lost on disk"),
    (nowhere, ("orders", "archive"), "lost on disk"),
    (nowhere, ("jobs", "audit"), "lost"),
    (twice, ("orders", "archive"), "published twice"),
    (twice, ("jobs", "audit"), "published twice"),
    (change, ("orders", "archive"), "changed"),
    (hole, ("orders", "history"), "hole"),
)


def missed(account: Account, exclusive):
    """Runs all of them; returns what was not noticed."""
    unnoticed = []
    for spoil, key, expected in CONTROLS:
        spoiled = account.of_topic(key[0])
        spoil(spoiled, key)
        found = {what for what, _, cases in spoiled.wrong(exclusive) if cases}
        if expected not in found:
            unnoticed.append((spoil.__name__, key, expected, found))
    return unnoticed
