"""The processes that take part: started, killed, stopped, listened to."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Part:
    """One process after the other that do the same work; all that they print."""

    def __init__(self, name):
        self.name = name
        self.lines = []  # (arrived, bytes)
        self.command = None
        self.process = None
        self.reading = None
        self.topic = self.source = None  # of publishers

    def start(self, command, env, log):
        self.command = command
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            stderr=log, env=env)
        self.reading = threading.Thread(
            target=self._read, args=(self.process.stdout,), daemon=True)
        self.reading.start()

    def _read(self, stdout):
        for line in stdout:
            self.lines.append((time.time(), line))

    def end(self, number):
        """Sends a deadly signal and waits until all it printed is here."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait()
        self.reading.join()


class Parts:
    def __init__(self, programs, place, namespace):
        self.programs = os.path.abspath(programs)
        self.place = place
        self.parts = {}
        self.started = time.monotonic()
        self.log = open(f"{place}/log", "wb")
        self.env = dict(os.environ, SHMQ_NAMESPACE=namespace,
                        SHMQ_LIBRARY=f"{self.programs}/../lib/libshmq.so.0",
                        PYTHONPATH=str(HERE.parent.parent / "python"))
        self.namespace = namespace
        self.ports = [free_port() for _ in range(3)]
        self.pub_first = self.pub_last = None

    # -- talking --------------------------------------------------------------

    def say(self, text):
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", flush=True)

    def show(self, command, env=""):
        words = [os.path.basename(command[0])] + [str(word) for word in command[1:]]
        text = env + " ".join(words).replace(self.place, "$DIR")
        print(f"          $ {text}", flush=True)

    # -- commands -------------------------------------------------------------

    def path(self, program):
        return f"{self.programs}/{program}"

    def try_run(self, *words):
        return subprocess.run([self.path("shmq"), *words], env=self.env,
                              stdout=subprocess.DEVNULL, stderr=self.log).returncode

    def run(self, *words, output=None, may_fail=False):
        command = [self.path("shmq"), *words]
        self.show(command)
        with open(output or os.devnull, "wb") as out:
            done = subprocess.run(command, env=self.env, stdout=out,
                                  stderr=subprocess.PIPE)
        if done.returncode and not may_fail:
            raise Failed(done.stderr.decode(errors="replace").strip())

    def asked(self, *words):
        done = subprocess.run([self.path("shmq"), *words, "--json"], env=self.env,
                              stdout=subprocess.PIPE, stderr=self.log)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def groups(self, topic):
        return [dict(group, topic=topic) for group in self.asked("groups", topic) or []]

    def group_cnt(self, topic):
        return len(self.groups(topic))

    def lag(self, topic):
        found = self.groups(topic)
        if not found:
            return -1
        return sum(group["lag_messages"] + group["claimed"] for group in found)

    # -- starting -------------------------------------------------------------

    def part(self, name):
        return self.parts.setdefault(name, Part(name))

    def begin(self, name, command):
        self.show(command)
        part = self.part(name)
        part.start([str(word) for word in command], self.env, self.log)
        return part

    def daemon(self, program, *words, name=None):
        self.begin(name or program, [self.path(program), *words])

    def bridge(self):
        self.begin("bridge", [self.path("shmq-bridge")] + [
            f"--{kind}=tcp://127.0.0.1:{port}"
            for kind, port in zip(("router", "pub", "pull"), self.ports)])

    def reader(self, name, topic, *words, remote=False):
        at = ["--remote", f"tcp://127.0.0.1:{self.ports[0]}"] if remote else []
        self.begin(name, [self.path("shmq"), *at, "sub", topic, *words,
                          "--format", "json"])

    def enricher(self, name, topic, group):
        self.begin(name, [sys.executable, str(HERE / "enrich.py"), topic, group])

    def producer(self, name, topic, source, level, *words):
        self.pub_first = self.pub_first or time.monotonic()
        part = self.begin(name, [self.path("shmq"), "pub", topic, "--file", source,
                                 "--wait", level, "--positions", *words])
        part.topic, part.source = topic, source

    def again(self, name):
        self.begin(name, self.part(name).command)

    def producer_again(self, name):
        """Goes on with the first line that was not acknowledged."""
        part = self.part(name)
        with open(part.source, "rb") as file:
            rest = file.read().split(b"\n")[len(part.lines):-1]
        source = f"{part.source}.rest"
        with open(source, "wb") as file:
            file.write(b"".join(line + b"\n" for line in rest))
        self.begin(name, [source if word == part.source else word
                          for word in part.command])

    # -- on the way -----------------------------------------------------------

    def kill(self, name, number):
        part = self.part(name)
        if part.process.poll() is not None:
            raise Failed(f"{name} has ended by itself: {part.process.returncode}")
        self.say(f"{signal.Signals(number).name} to {name} (pid {part.process.pid})")
        if number == signal.SIGKILL:
            part.end(number)
        else:
            part.process.send_signal(number)

    def wait_for(self, what, holds, limit=20.0):
        end = time.monotonic() + limit
        while not holds():
            if time.monotonic() > end:
                raise Failed(f"waited {limit:.0f} s for {what}; see {self.place}/log")
            time.sleep(0.002)

    def finish(self, name):
        part = self.part(name)
        if part.process.wait(timeout=120):
            raise Failed(f"{name}: pub ended with {part.process.returncode}")
        part.reading.join()
        self.pub_last = time.monotonic()

    # -- at the end -----------------------------------------------------------

    def publishers(self):
        return [part for part in self.parts.values() if part.source]

    def named(self, beginning):
        return [name for name in self.parts if name.startswith(beginning)]

    def printed(self, name):
        """Whole lines only: a SIGKILL may have cut the last one."""
        return [line for _, line in self.part(name).lines if line.endswith(b"\n")]

    def stop_all(self):
        for name in reversed(list(self.parts)):
            part = self.parts[name]
            if part.process and part.process.poll() is None:
                part.process.send_signal(signal.SIGCONT)
                part.process.terminate()
        for part in self.parts.values():
            if part.process:
                try:
                    part.process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    part.end(signal.SIGKILL)
                part.reading.join()

    def clean_up(self):
        self.stop_all()
        subprocess.run([self.path("shmq"), "rm", "--all", "--force"], env=self.env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log.close()
