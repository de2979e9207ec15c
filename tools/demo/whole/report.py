"""The table at the end."""
import bisect


def milliseconds(seconds):
    return f"{seconds * 1000:,.2f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def longest_pause(lines, began, ended):
    """Seconds between two lines in a row, from the last one before `began`."""
    times = [when for when, _ in lines]
    first = max(bisect.bisect_left(times, began) - 1, 0)
    seen = times[first:bisect.bisect_right(times, ended)] + [ended]
    return max(b - a for a, b in zip(seen, seen[1:]))


class Report:
    def __init__(self):
        self.strikes = []
        self.latency, self.groups = {}, []
        self.rate = 0

    def struck(self, what, parts, began, ended):
        """Something was done to the system; `parts` should not notice much."""
        self.strikes.append((what, parts, began, ended))

    def show(self, account):
        """Prints everything; returns the exit status."""
        published = {topic: len(lines) for topic, lines in account.topics.items()}
        redelivered = {group["group"]: group["redelivered"] for group in self.groups}
        wrong = 0
        print(f"\n{'Lines':<16}{'acknowledged':>14}{'delivered':>12}{'lost':>8}"
              f"{'changed':>9}{'again':>8}{'gaps':>6}")
        for name, (topic, reader) in account.readers.items():
            lost, changed = account.lost(name), account.changed(name)
            wrong += lost + changed + reader.gaps
            print(f"{name:<16}{published[topic]:>14,}{len(reader.got):>12,}{lost:>8,}"
                  f"{changed:>9,}{reader.doubled:>8,}{reader.gaps:>6,}")
        print("\nSent again to a group, and flagged: " + ", ".join(
            f"{group} {cnt:,}" for group, cnt in sorted(redelivered.items())))
        print(f"In the dead-letter topic: {account.dead_cnt} (one line that no worker "
              "could read)")
        print(f"Published and acknowledged: {self.rate:,.0f} lines/s, "
              "with all of the below going on")
        print("\nLongest time without a line (of any of those named):")
        for what, parts, began, ended in self.strikes:
            pause = max(longest_pause(part.lines, began, ended) for part in parts)
            print(f"  {what:<62}{milliseconds(pause):>12}")
        print("\nPublish to output of the archive, 1,000 lines a second: " + ", ".join(
            f"{name} {milliseconds(value)}" for name, value in self.latency.items()))
        if wrong or account.dead_cnt != 1:
            print("\nFAILED: see above")
            return 1
        print("\nOK  every acknowledged line reached every group, the disk and the "
              "remote reader;\n    lost 0, changed 0")
        print("\nTry next: README.md, Hello; `build/bin/shmq --help`; docs/concepts.md")
        return 0
