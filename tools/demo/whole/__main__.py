"""The whole of shmq at work: real log lines from several processes through two
topics into groups, the disk and a remote reader; one process of each kind is
killed and one is stopped on the way; every line is accounted for.

Every step is a command of shmq, printed as it is run.
"""
import argparse
import datetime
import json
import os
import shutil
import signal
import sys
import tempfile
import time

from account import Account, percentiles
from parts import Failed, Parts
from report import Report
from text import found_lines, lines_of, write_lines

PRODUCERS = 3
WORKERS = 3
RATE = 1200  # lines a second of each publisher: all are at work all the time


def seconds_of(text):
    """Of an RFC 3339 time in UTC with nanoseconds."""
    whole, fraction = text.rstrip("Z").split(".")
    moment = datetime.datetime.fromisoformat(whole + "+00:00")
    return moment.timestamp() + float("0." + fraction)


def arguments():
    parser = argparse.ArgumentParser(prog="whole", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE",
                        help="publish their lines (text found on the machine)")
    parser.add_argument("--bin", default="build/bin", help="where the programs are")
    parser.add_argument("--lines", type=int, default=14000,
                        help="lines of each publisher (14000)")
    parser.add_argument("--keep", action="store_true",
                        help="keep the data directory and the outputs")
    return parser.parse_args()


class Whole:
    def __init__(self, options, place):
        self.place = place
        self.lines = lines_of(options.files) or found_lines()
        self.each = options.lines
        self.parts = Parts(options.bin, place, f"whole-{os.getpid()}")
        self.report = Report()
        self.account = Account(self.parts)

    # -- set up ---------------------------------------------------------------

    def start(self):
        parts = self.parts
        parts.say("the daemons, in a namespace and a directory of their own")
        parts.daemon("shmqd", "--data-dir", f"{self.place}/data")
        parts.wait_for("shmqd to serve", lambda: parts.try_run("health") in (0, 1))
        parts.daemon("shmqd", "--data-dir", f"{self.place}/data", "--standby",
                     name="standby")
        parts.bridge()
        parts.say("one topic on disk for many producers, one in memory for one")
        parts.run("create", "lines", "--durability", "disk", "--retain-age", "1h")
        parts.run("create", "ticks", "--ring", "spsc")
        parts.say("readers: an archive, three enriching workers, a desk, one far away")
        parts.reader("archive", "lines", "--group", "archive", "--exclusive")
        parts.reader("desk", "ticks", "--group", "desk", "--exclusive")
        for number in range(1, WORKERS + 1):
            parts.enricher(f"worker{number}", "lines", "workers")
        parts.reader("remote", "lines", "--group", "far", remote=True)
        parts.wait_for("four groups", lambda: parts.group_cnt("lines") == 3 and
                       parts.group_cnt("ticks") == 1)

    def publish(self):
        for number in range(1, PRODUCERS + 1):
            source = write_lines(f"{self.place}/input{number}", self.lines,
                                 self.each, number)
            self.parts.producer(f"producer{number}", "lines", source, "durable",
                                "--rate", RATE)
        source = write_lines(f"{self.place}/input0", self.lines, self.each, 0)
        self.parts.producer("ticker", "ticks", source, "published", "--rate", RATE)

    # -- on the way -----------------------------------------------------------

    def strike(self, what, watched, act, seconds=0.5):
        """act(), then a while in which `watched` should go on."""
        before = time.time()
        act()
        time.sleep(seconds)
        self.report.struck(what, [self.parts.part(name) for name in watched],
                           before, time.time())

    def kill_each(self):
        parts = self.parts

        def killed(name, then=lambda: None):
            def act():
                parts.kill(name, signal.SIGKILL)
                then()
            return act

        self.strike("publisher killed: goes on from its last acknowledged line",
                    ["producer1"], killed("producer1",
                                          lambda: parts.producer_again("producer1")))
        self.strike("worker killed: the other workers", ["worker2", "worker3"],
                    killed("worker1"))
        self.strike("archive killed: goes on by another process", ["archive"],
                    killed("archive", lambda: parts.again("archive")))
        self.strike("shmqd killed: durable publishing goes on by its standby",
                    ["producer2", "producer3"], killed("shmqd"))
        self.strike("bridge killed: the remote reader goes on by a new one",
                    ["remote"], killed("bridge", parts.bridge), 2.0)
        self.strike("remote reader killed: its group goes on by another",
                    ["remote"], killed("remote", lambda: parts.again("remote")))

    def stop_each(self):
        """The others go on meanwhile; the lease of what the worker holds ends."""
        parts = self.parts
        lines = ["producer1", "producer3", "archive"]

        def stop(name):
            return lambda: parts.kill(name, signal.SIGSTOP)

        self.strike("worker stopped: the others", lines + ["worker3", "remote"],
                    stop("worker2"))
        for name, others in (("producer2", lines + ["worker3", "remote"]),
                             ("archive", lines[:2] + ["worker3", "remote"]),
                             ("remote", lines + ["worker3"]),
                             ("bridge", lines + ["worker3"])):
            self.strike(f"{name} stopped: the others", others, stop(name))
            parts.kill(name, signal.SIGCONT)
            time.sleep(0.1)
        parts.kill("standby", signal.SIGSTOP)
        time.sleep(0.5)
        self.strike("shmqd stopped for 0.5 s, goes on: durable publishing",
                    lines[:2], lambda: parts.kill("standby", signal.SIGCONT))
        parts.kill("worker2", signal.SIGCONT)

    # -- at the end -----------------------------------------------------------

    def paced(self):
        self.parts.say("a thousand lines a second, to measure the latency")
        source = write_lines(f"{self.place}/input9", self.lines, 1000, 9)
        self.paced_from = len(self.parts.part("archive").lines)
        self.parts.producer("paced", "lines", source, "durable", "--rate", "1000")
        self.parts.finish("paced")

    def drain(self):
        """The publishers come to their ends."""
        parts = self.parts
        began = parts.pub_first
        for part in parts.publishers():
            parts.finish(part.name)
        cnt = sum(len(part.lines) for part in parts.publishers())
        self.report.rate = cnt / (time.monotonic() - began)

    def latency(self):
        """Seconds from a record's publish to its arrival from the archive."""
        for arrived, line in self.parts.part("archive").lines[self.paced_from:]:
            record = json.loads(line)
            yield arrived - seconds_of(record["time"])

    def settle(self):
        parts = self.parts
        parts.wait_for("every group to be done", lambda: all(
            parts.lag(topic) == 0 for topic in ("lines", "ticks")), limit=60)
        self.report.groups = parts.groups("lines") + parts.groups("ticks")
        disk, dead = f"{self.place}/disk.out", f"{self.place}/dead.out"
        parts.run("cat", "lines", "--from", "earliest", "--format", "json", output=disk)
        parts.run("sub", "@dead.lines", "--from", "earliest", "--exit-when-empty",
                  "--format", "json", output=dead)
        parts.stop_all()
        self.account.read(disk, dead)
        self.report.latency = percentiles(self.latency())

    def run(self):
        self.start()
        self.publish()
        time.sleep(0.5)
        self.parts.say("one of each kind is killed")
        self.kill_each()
        self.parts.say("one of each kind is stopped")
        self.stop_each()
        self.drain()
        self.paced()
        self.settle()
        return self.report.show(self.account)


def main():
    options = arguments()
    for program in ("shmq", "shmqd", "shmq-bridge"):
        if not os.access(f"{options.bin}/{program}", os.X_OK):
            print(f"whole: {options.bin}/{program} is not there; build it, or name "
                  "another place by --bin", file=sys.stderr)
            return 1
    place = tempfile.mkdtemp(prefix="shmq-whole-")
    whole = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        whole = Whole(options, place)
        return whole.run()
    except (Failed, OSError) as failure:
        print(f"whole: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if whole:
            whole.parts.clean_up()
        if options.keep:
            print(f"kept: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
