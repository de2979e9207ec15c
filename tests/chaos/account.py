"""Every record against what each reader got."""
import base64
import bisect
import json
import random
from collections import Counter

from payload import parse, poisoned


def records(lines):
    """(position, payload, redelivered, dead letter's origin) of json lines;
    position None: a gap, with its reason."""
    for line in lines:
        record = json.loads(line)
        if "gap" in record:
            yield None, record["gap"]["reason"], False, None
            continue
        data = (base64.b64decode(record["payload_base64"])
                if "payload_base64" in record else record["payload"].encode())
        yield (int(record["position"]), data, record.get("redelivered", False),
               record.get("dead_letter"))


class Topic:
    """All that is known to be in it: position -> (producer, number)."""

    def __init__(self, name):
        self.name = name
        self.at = {}
        self.strange = []  # bytes that nobody published, or two at a position

    def clone(self):
        copy = Topic(self.name)
        copy.at, copy.strange = dict(self.at), list(self.strange)
        return copy

    def saw(self, position, data):
        known = self.at.get(position)
        found = parse(data)
        if found is None or known not in (None, found):
            self.strange.append((position, data[:60]))
        else:
            self.at[position] = found


class Reader:
    """What one group handed out, by incarnation of its members."""

    def __init__(self, topic, group):
        self.topic, self.group = topic, group
        self.turns = []  # lists of (position, redelivered)
        self.gaps = Counter()
        self.origins = Counter()  # of dead letters

    def clone(self, topic):
        copy = Reader(topic, self.group)
        copy.turns, copy.gaps = list(self.turns), Counter(self.gaps)
        return copy

    def take(self, lines):
        turn = []
        for position, data, again, origin in records(lines):
            if position is None:
                self.gaps[data] += 1
                continue
            self.topic.saw(position, data)
            turn.append((position, again))
            if origin:
                self.origins[tuple(origin.split()[:3])] += 1
        self.turns.append(turn)

    def delivered(self):
        return {position for turn in self.turns for position, _ in turn}

    def flagged(self):
        return sum(again for turn in self.turns for _, again in turn)

    def doubled(self):
        """Positions handed out twice without the flag."""
        times = Counter(position for turn in self.turns
                        for position, again in turn if not again)
        return [position for position, cnt in times.items() if cnt > 1]

    def disordered(self, exclusive):
        """First deliveries that went back, within one member; with one reader
        at a time also from one to the next."""
        wrong, last = [], -1
        for turn in self.turns:
            last = last if exclusive else -1
            for position, again in turn:
                if again:
                    continue
                if position <= last:
                    wrong.append((last, position))
                last = position
        return wrong


class Account:
    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.topics, self.readers, self.onlookers = {}, {}, {}
        self.acked = {}  # topic -> [(position, producer, number)]
        self.placeless = 0  # of these, acknowledged without a position
        self.full = {}  # topic -> positions of its whole history
        self.rebooted = False
        self.undertaker = None  # the reader of dead letters

    def topic(self, name):
        return self.topics.setdefault(name, Topic(name))

    def reader(self, topic, group):
        return self.readers.setdefault(
            (topic, group), Reader(self.topic(topic), group))

    def onlooker(self, topic, name):
        return self.onlookers.setdefault(
            (topic, name), Reader(self.topic(topic), name))

    def some_position(self, topic):
        seen = max(self.topic(topic).at, default=0)
        return self.dice.randrange(seen + 1)

    def take_acked(self, publishers):
        """After the history: a repeated remote publish may be told that it is in
        the topic, without where (PUBACK's flag 2; position -1). Then it has to be
        there somewhere; if it is not, -1 stays and is found nowhere."""
        for slot in publishers:
            acked = self.acked.setdefault(slot.topic, [])
            places = {}
            if any(position < 0 for position, _ in slot.acked):
                places = {what: position for position, what in
                          self.kept(self.topic(slot.topic)).items()}
            for position, number in slot.acked:
                if position < 0:
                    self.placeless += 1
                    position = places.get((slot.name, number), -1)
                acked.append((position, slot.name, number))

    def take_history(self, topic, lines):
        """The whole of a durable topic, as it is on disk at the end."""
        reader = Reader(self.topic(topic), "disk")
        reader.take(lines)
        self.full[topic] = reader

    # -- what is wrong --------------------------------------------------------

    def of_topic(self, name):
        """A copy of what concerns one topic; whole lists may be replaced in it."""
        copy = Account(0)
        copy.rebooted = self.rebooted
        copy.topics = {name: self.topics[name].clone()}
        for of, to in ((self.readers, copy.readers),
                       (self.onlookers, copy.onlookers)):
            to.update((key, one.clone(copy.topics[name]))
                      for key, one in of.items() if key[0] == name)
        if name in self.full:
            copy.full[name] = self.full[name].clone(copy.topics[name])
        copy.acked = {name: self.acked.get(name, [])}
        copy.undertaker = self.undertaker
        return copy

    def wrong(self, exclusive):
        """Yields (what, where, cases)."""
        for name, topic in self.topics.items():
            yield "changed", name, topic.strange
            yield "acknowledged elsewhere", name, self.misplaced(name)
            yield "published twice", name, self.twice(topic)
            yield "out of order in the topic", name, self.topic_order(topic)
        for name, disk in self.full.items():
            got = disk.delivered()
            yield "lost on disk", name, [
                one for one in self.acked.get(name, ()) if one[0] not in got]
            yield "came from nowhere", name, sorted(
                set(self.topics[name].at) - got - self.unwritten(name))
            yield "gap on disk", name, self.bad_gaps(disk)
        for key, reader in self.readers.items():
            where = "/".join(key)
            yield "lost", where, self.lost(key)
            yield "twice without the flag", where, reader.doubled()
            yield "out of order", where, reader.disordered(key in exclusive)
            yield "gap", where, self.bad_gaps(reader)
        for key, reader in self.onlookers.items():
            where = "/".join(key)
            yield "hole", where, list(self.holes(key))
            yield "gap", where, self.bad_gaps(reader)

    def unwritten(self, name):
        """Published, seen by somebody without a group (groups of disk topics see
        what is on disk), and gone with the host's memory."""
        if not self.rebooted:
            return set()
        return {position for key, one in self.onlookers.items()
                if key[0] == name for position in one.delivered()}

    def bad_gaps(self, reader):
        fine = ("lost", "truncated") if self.rebooted else ()
        return [gap for gap in reader.gaps.items() if gap[0] not in fine]

    def misplaced(self, name):
        """What is at the position of an acknowledgement is something else."""
        at = self.topics[name].at
        return [(position, producer, number)
                for position, producer, number in self.acked.get(name, ())
                if at.get(position, (producer, number)) != (producer, number)]

    def kept(self, topic):
        """What is in the topic for good: position -> what."""
        if topic.name not in self.full:
            return topic.at
        kept = self.full[topic.name].delivered()
        return {p: what for p, what in topic.at.items() if p in kept}

    def twice(self, topic):
        if topic.name == "failed":
            return []  # see dead()
        times = Counter(self.kept(topic).values())
        return [what for what, cnt in times.items() if cnt > 1]

    def topic_order(self, topic):
        wrong, last = [], {}
        if topic.name == "failed":
            return wrong
        for position, (producer, number) in sorted(self.kept(topic).items()):
            if number <= last.get(producer, -1):
                wrong.append((position, producer, number))
            last[producer] = number
        return wrong

    def lost(self, key):
        """What is in the topic, or was acknowledged, and the group was never
        handed; what is in its dead-letter topic instead is not lost."""
        topic = self.topics[key[0]]
        there = set(self.kept(topic))
        there |= {position for position, _, _ in self.acked.get(key[0], ())}
        return sorted(there - self.readers[key].delivered() - self.dead(key))

    def dead(self, key):
        if self.undertaker is None:
            return set()
        return {int(position) for topic, position, group
                in self.undertaker.origins if (topic, group) == key}

    def poison(self):
        """Records that had to go to the dead-letter topic, and did."""
        dead = self.dead(("orders", "workers"))
        at = self.kept(self.topics["orders"])
        bad = {position for position, what in at.items() if poisoned(*what)}
        return len(bad & dead), len(bad), len(dead - bad)

    def holes(self, key):
        """Between the first and the last record of one look all are there, once
        and in order."""
        there = sorted(self.kept(self.topics[key[0]]))
        among = set(there)
        for turn in self.onlookers[key].turns:
            have = [position for position, _ in turn if position in among]
            if not have:
                continue
            want = there[bisect.bisect_left(there, have[0]):
                         bisect.bisect_right(there, have[-1])]
            if have != want:
                yield have[0], have[-1], len(want), len(have)
