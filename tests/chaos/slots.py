"""The processes that take part. A slot is a task that one process after the
other does; each of them is an incarnation, with a file for what it prints."""
import ctypes
import os
import signal
import subprocess
import time

from payload import payload

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
CRASHES = {-number for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT,
                                  signal.SIGILL, signal.SIGFPE)}


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Slot:
    """`far` slots are on the other host: a crash of ours spares them. `fatal`
    ones may not end by themselves. `take` gets the finished outputs."""

    def __init__(self, world, name, command, *, far=False, fatal=False,
                 take=None):
        self.world, self.name, self.command = world, name, command
        self.far, self.fatal, self.take = far, fatal, take
        self.process = None
        self.incarnation = 0
        self.due = 0.0  # when to start, time.monotonic()
        self.ending = False  # it was told to
        self.retired = False  # it is not started again
        self.ended = []  # (status, last words) of those that ended by themselves

    def __str__(self):
        return f"{self.name}.{self.incarnation}"

    @property
    def output(self):
        return f"{self.world.work}/out/{self.name}.{self.incarnation}"

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def words(self):
        return self.command

    def start(self):
        self.incarnation += 1
        self.ending = False
        wrapper = self.world.place.wrapper if self.far else ()
        words = [*wrapper, *map(str, self.words())]
        with open(self.output, "wb") as out, \
                open(f"{self.output}.err", "wb") as err:
            self.process = subprocess.Popen(
                words, env=self.world.env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, preexec_fn=die_with_parent)

    def send(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill(self, rest=0.0):
        self.ending = True
        self.send(signal.SIGKILL)
        self.due = max(self.due, time.monotonic() + rest)

    def finish(self):
        """The process is gone: what it printed is taken."""
        status = self.process.returncode
        self.process = None
        with open(f"{self.output}.err", "rb") as err:
            said = err.read().decode(errors="replace").strip()
        expected = self.ending and status not in CRASHES
        if not expected and not (status == 0 and not self.fatal):
            self.ended.append((status, said.splitlines()[-1:]))
            self.world.note(f"{self} ended with {status}: {said[-300:]}")
            self.due = max(self.due, time.monotonic() + 0.2)
        if self.take:
            self.take(self)
        for path in (self.output, f"{self.output}.err"):
            if self.fatal:
                break  # the daemons' logs are kept
            os.unlink(path)

    def look(self, now):
        """Called again and again."""
        if self.process is not None and self.process.poll() is not None:
            self.finish()
        if self.process is None and not self.retired and now >= self.due:
            self.start()

    def lines(self):
        """Whole lines: a SIGKILL may have cut the last one."""
        with open(self.output, "rb") as file:
            return file.read().split(b"\n")[:-1]


class Publisher(Slot):
    """Publishes numbered records, no number twice: a record that is in the topic
    twice was doubled by shmq. Each incarnation has an input of its own."""

    SECONDS = 8  # of input

    def __init__(self, world, name, topic, command, rate, **more):
        super().__init__(world, name, command, take=self.take_positions, **more)
        self.topic, self.rate = topic, rate
        self.next = self.first = 0
        self.acked = []  # (position, number)
        self.unsaid = 0  # incarnations that ended well and left one unanswered

    @property
    def input(self):
        return f"{self.world.work}/in/{self.name}"

    def words(self):
        self.first = self.next
        self.next += int(self.rate * self.SECONDS)
        with open(self.input, "wb") as file:
            file.write(b"".join(payload(self.name, number) + b"\n"
                                for number in range(self.first, self.next)))
        return self.command(self)

    def take_positions(self, _):
        lines = self.lines()
        self.acked += [(int(line), self.first + i)
                       for i, line in enumerate(lines)]
        if not self.ending and not self.ended and \
                len(lines) != self.next - self.first:
            self.unsaid += 1
