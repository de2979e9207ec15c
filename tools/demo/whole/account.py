"""Every acknowledged line against what each reader got."""
import base64
import json

from text import POISON


def percentiles(values):
    values = sorted(values)
    if not values:
        return {}
    return {name: values[min(len(values) - 1, int(len(values) * part))]
            for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99),
                               ("max", 1.0))}


def records(lines):
    """(position, payload, redelivered) of json lines; gaps are counted apart."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # cut off by a SIGKILL: it is handed out again
        if "gap" in record:
            yield None, record["gap"], False
            continue
        data = (base64.b64decode(record["payload_base64"])
                if "payload_base64" in record else record["payload"].encode())
        yield int(record["position"]), data, record["redelivered"]


class Reader:
    """What one group, or the disk, has handed out."""

    def __init__(self):
        self.got, self.doubled, self.gaps = {}, 0, 0

    def take(self, lines):
        for position, data, _ in records(lines):
            if position is None:
                self.gaps += 1
            else:
                self.doubled += position in self.got
                self.got[position] = data
        return self


class Account:
    """Lines are named by topic and position, which no two of them share."""

    def __init__(self, parts):
        self.parts = parts
        self.topics = {"lines": {}, "ticks": {}}
        self.readers = {}

    def acknowledged(self):
        """What `pub --positions` printed, line by line of its input."""
        for part in self.parts.publishers():
            with open(part.source, "rb") as file:
                source = file.read().split(b"\n")
            for line, (_, position) in zip(source, part.lines):
                self.topics[part.topic][int(position)] = line

    def read(self, disk, dead):
        lines_of = self.parts.printed
        self.acknowledged()
        self.readers = {
            "archive": ("lines", Reader().take(lines_of("archive"))),
            "far (remote)": ("lines", Reader().take(lines_of("remote"))),
            "desk": ("ticks", Reader().take(lines_of("desk"))),
            "on disk": ("lines", Reader().take(open(disk, "rb"))),
        }
        workers = Reader()
        for name in self.parts.named("worker"):
            for line in lines_of(name):
                position = int(line)
                workers.doubled += position in workers.got
                workers.got[position] = self.topics["lines"].get(position)
        dead = Reader().take(open(dead, "rb"))
        self.dead_cnt = len(dead.got)
        for position, line in self.topics["lines"].items():
            if line == POISON and POISON in dead.got.values():
                workers.got.setdefault(position, line)
        self.readers["workers"] = ("lines", workers)

    def lost(self, name):
        topic, reader = self.readers[name]
        return sum(position not in reader.got
                   for position in self.topics[topic])

    def changed(self, name):
        topic, reader = self.readers[name]
        return sum(reader.got.get(position, line) != line
                   for position, line in self.topics[topic].items())
