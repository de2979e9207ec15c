"""Worlds whose bridge wants keys, for the tests."""
import os

from bridge_peer import *


class Keys:
    """A bridge's key, clients' keys, and the list of what they may do."""

    def __init__(self, directory):
        self.directory = directory
        self.server = self.make("server")
        self.alice = self.make("alice")
        self.bob = self.make("bob")
        self.stranger = self.make("stranger")
        self.access = f"{directory}/access"

    def make(self, name):
        path = f"{self.directory}/{name}.key"
        result = subprocess.run([f"{BIN}/shmq", "keygen", path],
                                capture_output=True, check=False)
        assert result.returncode == 0, result.stderr
        assert os.stat(path).st_mode & 0o777 == 0o600
        with open(path) as secret, open(path + ".pub") as public:
            return public.read().strip(), secret.read().strip()

    def allow(self, *rules, alice=True, bob=True):
        with open(self.access, "w") as f:
            f.write("# of the test\n")
            if alice:
                f.write(f"key {self.alice[0]} alice\n")
            if bob:
                f.write(f"key {self.bob[0]} bob  # a comment\n")
            for rule in rules:
                f.write(f"allow {rule}\n")

    def of(self, pair):
        return pair + (self.server[0],)


RULES = ("alice publish,consume orders.*", "bob consume orders.eu",
         "* consume public", "alice admin scratch.*")


def secured(*options, rules=RULES):
    w = World(start=False)
    w.keys = Keys(w.dir.name)
    w.keys.allow(*rules)
    # Encrypted, so it may listen for others.
    w.bridge = Bridge(w.ns, w.dir.name, "--server-key-file",
                      f"{w.dir.name}/server.key", "--access", w.keys.access,
                      "--router", "tcp://0.0.0.0:*", "--pub",
                      f"ipc://{w.dir.name}/pub", "--handshake-timeout", "500ms",
                      *options)
    for line in w.bridge.read_log().decode().splitlines():
        if "reliable" in line:
            port = line.split("endpoint=")[1].split(": ")[0].rsplit(":", 1)[1]
            w.bridge.router = f"tcp://127.0.0.1:{port}"
    return w


def curve_sub(w, pair, *prefixes):
    s = w.context.socket(zmq.SUB)
    s.setsockopt(zmq.LINGER, 0)
    s.curve_publickey, s.curve_secretkey = (key.encode() for key in pair)
    s.curve_serverkey = w.keys.server[0].encode()
    for p in prefixes + (b"\0W",):
        s.setsockopt(zmq.SUBSCRIBE, p)
    s.connect(w.bridge.pub)
    return s
