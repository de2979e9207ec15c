#!/usr/bin/env python3
"""Runs every code block of README.md as it stands there: each has to do what the
text around it says. The two set-up commands and the long runs are run in short
forms. Then each block is spoiled, and running it has to fail."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(os.environ.get(
    "SHMQ_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ["SHMQ_BIN_DIR"]).resolve()
LIB = pathlib.Path(os.environ.get("SHMQ_LIB_DIR", BIN.parent / "lib")).resolve()
TEST_BIN = pathlib.Path(os.environ.get(
    "SHMQ_TEST_BIN_DIR", BIN.parent / "tests" / "bin")).resolve()
CC = os.environ.get("CC", "cc")


class Wrong(Exception):
    pass


def blocks(text):
    """(language, text): fenced ones, and indented ones ("")."""
    found, lines = [], text.split("\n")
    while lines:
        line = lines.pop(0)
        if line.startswith("```"):
            end = lines.index("```")
            found.append((line[3:], "\n".join(lines[:end]) + "\n"))
            del lines[:end + 1]
        elif line.startswith("    "):
            block = [line[4:]]
            while lines and lines[0].startswith("    "):
                block.append(lines.pop(0)[4:])
            found.append(("", "\n".join(block) + "\n"))
    return found


class Scratch:
    """A folder and a namespace of their own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="shmq-readme-")
        self.namespace = f"readme-{os.getpid()}-{time.monotonic_ns() % 10 ** 6}"
        self.env = dict(
            os.environ, SHMQ_NAMESPACE=self.namespace,
            SHMQ_DATA_DIR=f"{self.dir}/data", LD_LIBRARY_PATH=str(LIB),
            PYTHONDONTWRITEBYTECODE="1",
            SHMQ_LIBRARY=str(LIB / "libshmq.so.0"),
            PYTHONPATH=f"{ROOT}/tools/python:{ROOT}/bridge/python",
            PATH=f"{BIN}:{os.environ['PATH']}")
        self.env.pop("SHMQ_REMOTE", None)
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        for path in pathlib.Path("/dev/shm").glob(f"shmq.{self.namespace}.*"):
            path.unlink()
        shutil.rmtree(self.dir, ignore_errors=True)

    def begin(self, *command):
        child = subprocess.Popen(
            [str(word) for word in command], cwd=self.dir, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(child.stdout.fileno(), False)
        self.children.append(child)
        return child

    def run(self, *command, seconds=60):
        done = subprocess.run(
            [str(word) for word in command], cwd=self.dir, env=self.env,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
        if done.returncode:
            raise Wrong(f"{command[0]}: {done.returncode}: "
                        f"{done.stderr.decode(errors='replace')[-500:]}")
        return done.stdout

    def write(self, name, text):
        path = pathlib.Path(self.dir, name)
        path.write_text(text)
        return path


patience = 60  # seconds; less for spoiled blocks


def comes(child, text):
    """Waits until `text` is among what a child prints."""
    end, said = time.monotonic() + patience, b""
    while text not in said:
        said += child.stdout.read() or b""
        if time.monotonic() > end or (text not in said and
                                      child.poll() not in (None, 0)):
            raise Wrong(f"{text!r} did not come: {said.decode()[-500:]}")
        time.sleep(0.01)


# -- what each kind of block has to do ----------------------------------------


def picture(scratch, text):
    """Names parts that exist."""
    for name in re.findall(r"shmqd|shmq-bridge", text):
        if not (BIN / name).exists():
            raise Wrong(f"{name} was not built")


def set_up(scratch, text):
    commands = [line.split("#")[0].split() for line in text.splitlines()]
    if [words[0] for words in commands] != ["tools/dev/demo", "tools/dev/test"]:
        raise Wrong("the two commands are others")
    for words in commands:
        if not os.access(ROOT / words[0], os.X_OK):
            raise Wrong(f"{words[0]} cannot be run")
        scratch.run("sh", "-n", ROOT / words[0])
    report = scratch.run(sys.executable, ROOT / "tools/demo/whole", "--help")
    if b"FILE" not in report:
        raise Wrong("the demo takes no files")


C_BLOCKS = {}


def by_hand(scratch, text):
    """Configured, but not built once more; what was built is installed, and the
    two programs are made with what is there then."""
    inst = f"{scratch.dir}/inst"
    for name in ("producer", "consumer"):
        scratch.write(f"{name}.c", C_BLOCKS[name])
    scratch.env["CC"] = CC
    for good, here in (
            ("cmake -S . -B build", f"cmake -S '{ROOT}' -B build -DBUILD_TESTING=OFF"),
            ("cmake --build build -j2", "cmake --build build --target help"),
            ("sudo cmake --install build",
             f"cmake --install '{BIN.parent}' --prefix '{inst}' >install.log"),
            ("sudo ldconfig", f"""
                 PKG_CONFIG_PATH=$(dirname "$(find '{inst}' -name shmq.pc)")
                 LD_LIBRARY_PATH=$(dirname "$(find '{inst}' -name libshmq.so)")
                 export PKG_CONFIG_PATH LD_LIBRARY_PATH"""),
            ("cc ", f"{CC} ")):
        if good not in text:
            raise Wrong(f"no {good}")
        text = text.replace(good, here)
    if not scratch.run("bash", "-ec", text, seconds=300).endswith(b"Hello\n"):
        raise Wrong("the consumer does not say Hello")


def compile_c(scratch, text, name):
    source = scratch.write(f"{name}.c", text)
    scratch.run(CC, "-std=c11", "-Wall", "-Wextra", "-Werror",
                f"-I{ROOT}/include", source, f"-L{LIB}", "-lshmq", "-o",
                f"{scratch.dir}/{name}")
    return f"{scratch.dir}/{name}"


def c_producer(scratch, text):
    C_BLOCKS.setdefault("producer", text)
    program = compile_c(scratch, text, "producer")
    scratch.run(program)
    if scratch.run("shmq", "sub", "hello", "--from", "earliest",
                   "--exit-when-empty") != b"Hello\n":
        raise Wrong("the record is another one")


def c_consumer(scratch, text):
    C_BLOCKS.setdefault("consumer", text)
    scratch.run("shmq", "create", "hello")
    child = scratch.begin(compile_c(scratch, text, "consumer"))
    publish_hello(scratch)
    comes(child, b"Hello\n")
    if child.wait(10):
        raise Wrong(f"the consumer's status is {child.returncode}")


def publish_hello(scratch):
    scratch.run("sh", "-c", "echo Hello | shmq pub hello")


def shell(scratch, text):
    child = scratch.begin("bash", "-ec", text + "wait")
    comes(child, b"Hello\n")


def python(scratch, text):
    comes(scratch.begin(sys.executable, "-u", "-c", text), b"b'Hello'")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def remote_python(scratch, text):
    scratch.run("shmq", "create", "hello")
    port = free_port()
    scratch.begin("shmq-bridge", f"--router=tcp://127.0.0.1:{port}",
                  "--pub=none", "--pull=none")
    text = text.replace(":5570", f":{port}") + "    print(message.data)\n"
    comes(scratch.begin(system_python(), "-u", "-c", text), b"b'Hello'")


def system_python():
    """One that has pyzmq."""
    for program in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([program, "-c", "import zmq"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0:
            return program
    return None


def long_runs(scratch, text):
    """As many actions and kills as take a second or two; no judgement of times."""
    for line in text.splitlines():
        words = line.replace(" --strict", "").split()
        words[0] = str(TEST_BIN / pathlib.Path(words[0]).name)
        words[-1] = str(min(int(words[-1]), 5))
        scratch.run(*words)


def durable(scratch, text):
    """Line by line: the daemon stays, the reader is ended when it has all."""
    scratch.write("orders.txt", "first\nsecond\n")
    for line in text.splitlines():
        command = line.split("#")[0].rstrip().rstrip("&").rstrip()
        if line.split("#")[0].rstrip().endswith("&"):
            scratch.begin("bash", "-c", command)
        elif " sub " in command:
            child = scratch.begin("bash", "-c", command)
            comes(child, b"first\nsecond\n")
            child.terminate()
        else:
            out = scratch.run("bash", "-ec", command)
            if " stat " in command and b"durable" not in out:
                raise Wrong("stat tells no watermarks")


# How a block is known, what it has to do, and how it is spoiled.
KINDS = (
    ("", "publishers ──>", picture, ("shmqd", "")),
    ("", "tools/dev/demo", set_up, ("tools/dev/test", "tools/dev/tests")),
    ("c", "producer_publish", c_producer, ('"Hello", 5', '"Hello", 4')),
    ("c", "receive_wait", c_consumer, ("consumer_release", "consumer_free")),
    ("", "pkg-config", by_hand, ("./consumer", "./consume")),
    ("", "shmq sub hello", shell, ("echo Hello", "echo Hallo")),
    ("python", "import shmq\n", python, ("message.data", "message.size")),
    ("python", "shmq_remote", remote_python, ('b"Hello"', 'b"Hallo"')),
    ("", "stress_chaos", long_runs, ("--actions", "--action")),
    ("", "shmqd &", durable, ("pub orders", "pub order")),
)


def kind_of(language, text):
    kinds = [kind for kind in KINDS if kind[0] == language and kind[1] in text]
    if len(kinds) != 1:
        raise SystemExit(f"a block that no test knows ({language}):\n{text}")
    return kinds[0]


def attempt(check, text):
    """None, or what is wrong."""
    with Scratch() as scratch:
        try:
            check(scratch, text)
        except (Wrong, subprocess.TimeoutExpired) as error:
            return str(error) or "failed"
    return None


def main():
    if not (BIN / "shmqd").exists() or not (BIN / "shmq-bridge").exists():
        print("skipped: this build has no shmqd or no shmq-bridge")
        sys.exit(77)
    global patience
    found = blocks((ROOT / "README.md").read_text())
    met = set()
    for language, text in found:
        _, name, check, (good, bad) = kind_of(language, text)
        met.add(name)
        if check is remote_python and system_python() is None:
            print("left out: remote Python (package python3-zmq)")
            continue
        begin = time.monotonic()
        wrong = attempt(check, text)
        took = time.monotonic() - begin
        assert wrong is None, f"README.md, {check.__name__}: {wrong}\n{text}"
        assert good in text, f"nothing to spoil in {check.__name__}"
        if check is not picture:
            patience = 1 + 3 * took  # what comes at all comes as quickly
            assert attempt(check, text.replace(good, bad)), \
                f"a spoiled block passes: {check.__name__}"
            patience = 60
        print(f"{check.__name__}: runs, and fails when it is spoiled")
    assert met == {kind[1] for kind in KINDS}, met
    print(f"{len(found)} blocks")


main()
