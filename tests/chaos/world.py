"""Everything together: sets up, carries the plan out, comes to an end."""
import collections
import heapq
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import cast
import place as places
from payload import HERE
from slots import CRASHES

ROOT = HERE.parents[1]
PATIENCE = 300.0  # seconds for what has to come, however slow the machine is
ACCESS = "key {} far\nallow far publish,consume,admin *\n"


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    def __init__(self, programs, work, inside, megabytes, account, rate):
        self.programs, self.work = os.path.abspath(programs), work
        for folder in ("out", "in"):
            os.mkdir(f"{work}/{folder}")
        self.ports = [free_port() for _ in range(3)]
        self.place = places.Place(work, inside, megabytes, self.ports[0])
        self.account = account
        self.namespace = f"chaos-{os.getpid()}"
        self.env = dict(
            os.environ, SHMQ_NAMESPACE=self.namespace,
            SHMQ_LIBRARY=f"{self.programs}/../lib/libshmq.so.0",
            PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=":".join(
                (f"{ROOT}/tools/python", f"{ROOT}/bridge/python", str(HERE))))
        for name in ("SHMQ_REMOTE", "SHMQ_DATA_DIR", "SHMQ_CONFIG"):
            self.env.pop(name, None)
        self.started = time.monotonic()
        self.notes = open(f"{work}/notes", "w", buffering=1)
        self.slots, self.later = {}, []
        self.order = itertools.count()
        self.counted = collections.Counter()
        self.disk_states = collections.Counter()
        self.make_keys()
        self.slots.update((slot.name, slot) for slot in cast.daemons(self))
        self.rate = rate

    def now(self):
        return time.monotonic()

    def note(self, text):
        self.notes.write(f"{self.now() - self.started:8.2f} {text}\n")

    def bin(self, name):
        return f"{self.programs}/{name}"

    def shmq(self, *words, output=subprocess.DEVNULL, may_fail=False):
        done = subprocess.run(
            [self.bin("shmq"), *map(str, words)], env=self.env, stdout=output,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        if done.returncode and not may_fail:
            raise Failed(f"shmq {' '.join(map(str, words))}: "
                         f"{done.stderr.decode(errors='replace')}")
        return done

    def asked(self, *words):
        done = self.shmq(*words, "--json", output=subprocess.PIPE, may_fail=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    # -- set up ---------------------------------------------------------------

    def make_keys(self):
        for name in ("server", "far"):
            self.shmq("keygen", f"{self.work}/{name}")

        def key(name):
            return pathlib.Path(f"{self.work}/{name}").read_text().strip()
        pathlib.Path(f"{self.work}/access").write_text(
            ACCESS.format(key("far.pub")))
        end = f"tcp://{self.place.host}:{self.place.port}"
        self.far_options = ["--remote", end, "--server-key",
                            f"{self.work}/server.pub", "--key-file",
                            f"{self.work}/far"]
        self.far_python = [cast.sys.executable, HERE / "far.py", end,
                           key("server.pub"), key("far.pub"), key("far")]

    def set_up(self):
        for slot in self.slots.values():
            slot.start()
        for topic, words in cast.TOPICS.items():
            # 5: made, though the answer came too late. Else: not served yet.
            self.until("shmqd serves", lambda: self.shmq(
                "create", topic, *words, may_fail=True).returncode in (0, 5))
            self.shmq("stat", topic)
        for (topic, group), words in cast.GROUPS.items():
            self.shmq("group", "create", topic, group, "--from", "earliest",
                      *words)
        self.publishers = list(cast.publishers(self, self.rate))
        for slot in (*cast.readers(self, self.account),
                     *cast.onlookers(self, self.account), *self.publishers):
            self.slots[slot.name] = slot

    # -- on the way -----------------------------------------------------------

    def tick(self, seconds=0.01):
        now = self.now()
        while self.later and self.later[0][0] <= now:
            heapq.heappop(self.later)[2]()
        for slot in self.slots.values():
            slot.look(now)
        time.sleep(seconds)

    def until(self, what, holds, limit=PATIENCE):
        end = self.now() + limit
        while not holds():
            if self.now() > end:
                raise Failed(f"{what}: not within {limit:.0f} s")
            self.tick()

    def after(self, seconds, do):
        heapq.heappush(self.later, (self.now() + seconds, next(self.order), do))

    def strike(self, one):
        self.note(str(one))
        if one.kind == "stop":
            slot = self.slots[one.who]
            slot.send(signal.SIGSTOP)
            self.after(one.seconds, lambda: slot.send(signal.SIGCONT))
        elif one.kind == "kill":
            self.slots[one.who].kill(one.seconds)
        elif one.kind == "end":
            slot = self.slots[one.who]
            slot.ending = True
            slot.due = self.now() + one.seconds
            slot.send(signal.SIGCONT)
            slot.send(signal.SIGTERM)
        elif one.kind == "cut":
            self.place.network.cut()
            self.after(one.seconds, self.place.network.heal)
        elif one.kind == "full":
            self.place.disk.fill()
            for step in range(1, int(one.seconds / 0.2)):  # spare room, too
                self.after(step * 0.2, self.place.disk.fill)
            self.after(one.seconds, self.free_disk)
        else:
            self.crash(one)

    def free_disk(self):
        stat = self.asked("stat", "orders")
        if stat is not None:
            self.disk_states[stat["durable_state"]] += 1
        self.place.disk.free()

    def crash(self, one):
        local = [slot for slot in self.slots.values() if not slot.far]
        for slot in local:
            slot.kill(one.seconds)
        for slot in local:
            if slot.process:
                slot.process.wait()
        if one.kind == "reboot":
            self.account.rebooted = True
            # The counters go with the rings. After the last reboot a ring may
            # not have been made anew yet: then it has none.
            self.count_redelivered(cast.DURABLE, may_fail=True)
            kept = {f"shmq.{self.namespace}.{kind}.{topic}" for kind in "cd"
                    for topic in cast.TOPICS if topic not in cast.DURABLE}
            for path in pathlib.Path("/dev/shm").glob(f"shmq.{self.namespace}.*"):
                if path.name not in kept:
                    path.unlink()

    def run(self, plan):
        begun = self.now()
        for one in plan:
            while self.now() < begun + one.second:
                self.tick()
            self.strike(one)

    def whereabouts(self):
        """Where everybody is, for a run that does not come to its end."""
        said = [f"{slot}: {'runs' if slot.alive() else 'does not run'}"
                for slot in self.slots.values()]
        for topic in cast.TOPICS:
            for group in self.asked("groups", topic) or ():
                said.append(f"{topic}/{group['group']}: " + ", ".join(
                    f"{key} {group[key]}" for key in (
                        "floor", "lag_messages", "claimed", "members",
                        "dead_waits") if key in group))
        return said

    # -- at the end -----------------------------------------------------------

    def calm(self):
        """No more trouble; what is under way comes to its end."""
        for _, _, do in sorted(self.later):
            do()
        self.later.clear()
        for slot in self.slots.values():
            slot.send(signal.SIGCONT)
        for slot in self.publishers:
            slot.retired = True
        self.until("publishers end", lambda: not any(
            slot.process for slot in self.publishers))
        self.until("groups are done", self.drained)

    def drained(self):
        for topic in cast.TOPICS:
            groups = self.asked("groups", topic)
            if groups is None or any(
                    group["lag_messages"] or group["claimed"] for group in groups):
                self.tick(0.2)
                return False
        return True

    def count_redelivered(self, topics, may_fail=False):
        """Adds what shmq itself has counted."""
        for topic in topics:
            done = self.shmq("groups", topic, "--json", output=subprocess.PIPE,
                             may_fail=may_fail)
            if done.returncode:
                self.note(f"groups of {topic}: {done.stderr.decode().strip()}")
                continue
            for group in json.loads(done.stdout):
                self.counted[topic, group["group"]] += group["redelivered"]

    def end_readers(self):
        for slot in self.slots.values():
            slot.retired = slot.retired or not slot.fatal
            if not slot.fatal and slot.process:
                slot.ending = True
                slot.send(signal.SIGTERM)
        self.until("readers end", lambda: not any(
            slot.process for slot in self.slots.values() if not slot.fatal))

    def read_disk(self):
        path = f"{self.work}/disk.json"
        for topic in cast.DURABLE:
            with open(path, "wb") as file:
                self.shmq("cat", topic, "--from", "earliest", "--format", "json",
                          output=file)
            with open(path, "rb") as file:
                self.account.take_history(topic, file)

    def end_daemons(self):
        daemons = [slot for slot in self.slots.values() if slot.fatal]
        for slot in daemons:
            slot.retired = slot.ending = True
            slot.send(signal.SIGTERM)
        for slot in daemons:
            if slot.process and slot.process.wait(PATIENCE) != 0:
                slot.ended.append((slot.process.returncode, ["at the end"]))

    def leftovers(self):
        self.shmq("rm", "--all", "--force", may_fail=True)
        return [path.name for path in
                pathlib.Path("/dev/shm").glob(f"shmq.{self.namespace}.*")
                if not path.name.endswith((".s", ".s.lock", ".lock.0"))]

    def bad_ends(self):
        """Crashes of anybody, and daemons that ended by themselves."""
        return [(slot.name, *one) for slot in self.slots.values()
                for one in slot.ended if slot.fatal or one[0] in CRASHES]

    def clean_up(self):
        for slot in self.slots.values():
            slot.retired = True
            if slot.process:
                slot.process.kill()
                slot.process.wait()
        for path in pathlib.Path("/dev/shm").glob(f"shmq.{self.namespace}.*"):
            path.unlink()
        self.notes.close()
        self.place.end()
