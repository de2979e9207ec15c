#!/usr/bin/env python3
"""shmq-bridge as a service: settings from a file, what it tells the service
manager and the log, what it counts, how tight its unit is."""
import json
import re
import shutil
import signal
import socket

from bridge_keys import *


def checked(path, *options):
    p = subprocess.run([f"{BIN}/shmq-bridge", "--config", path, "--check-config",
                        *options], capture_output=True, timeout=PATIENCE,
                       check=False)
    return p.returncode, p.stderr.decode()


def test_settings_come_from_a_file():
    with World(start=False) as w:
        path = f"{w.dir.name}/bridge.conf"

        def write(text):
            with open(path, "w") as f:
                f.write(text)
        for text, line, word in (
                ("# mine\nrooter = ipc:///tmp/x\n", 2, "router"),
                ("router = ipc:///tmp/x\nmax-sesions = 3\n", 2, "max-sessions"),
                ("[topic t]\nmax-message = 1M\n", 1, "sections"),
                ("lease = soon\n", 1, "lease"),
                ("max-sessions = 0\n", 1, "max-sessions")):
            write(text)
            status, said = checked(path)
            assert status == 2 and len(said.splitlines()) == 1, (text, said)
            assert f"{path}:{line}" in said and word in said, (text, said)
        write(f"router = ipc://{w.dir.name}/r\npub = none\npull = none\n"
              "max-streams = 1\nlease = 7s\n")
        assert checked(path) == (0, "")
        # What the command line says counts more.
        w.bridge = Bridge(w.ns, w.dir.name, "--config", path, "--lease", "9s")
        w.shmq("create", "t")
        p = w.peer()
        assert (p.lease_ms, p.max_streams) == (9000, 1)
        assert p.hello().tlv(FEED) is not None  # --pub of the test's command


def test_the_log_can_be_json():
    with World("--log-format", "json", "--log-level", "debug") as w:
        w.peer()
        w.bridge.process.terminate()
        assert w.bridge.process.wait(PATIENCE) == 0
        lines = [json.loads(x) for x in w.bridge.read_log().splitlines()]
        for line in lines:
            assert line["level"] in ("debug", "info", "warning", "error"), line
            assert line["program"] == "shmq-bridge" and line["message"], line
        assert any("session begins" in x["message"] for x in lines), lines
        assert any(x.get("endpoint") == w.bridge.router for x in lines), lines


def test_the_service_manager_is_told_of_start_and_end():
    with World(start=False) as w:
        path = f"{w.dir.name}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(PATIENCE)
            os.environ["NOTIFY_SOCKET"] = path
            try:
                w.bridge = Bridge(w.ns, w.dir.name, wait=False)
            finally:
                del os.environ["NOTIFY_SOCKET"]
            assert manager.recv(100) == b"READY=1"
            w.peer()  # ready means that it answers
            w.bridge.process.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"


def test_refusals_are_counted():
    rules = ("alice publish,consume t", "bob consume none")
    with secured(rules=rules) as w:
        w.shmq("create", "t")
        stranger = Peer(w.context, w.bridge.router,
                        keys=w.keys.of(w.keys.stranger))
        w.peers.append(stranger)
        until(lambda: b"connection from" in w.bridge.read_log())
        stranger.close()
        p = w.peer(keys=w.keys.of(w.keys.bob))
        for _ in range(3):
            assert p.puback(p.publish("t", [b"x"])).status == "FORBIDDEN"
            assert p.attach("t", "g").status == "FORBIDDEN"
        p.socket.send(b"nonsense")
        assert p.receive().status == "BAD_FRAME"
        s = w.context.socket(zmq.SUB)
        s.linger = 0
        s.curve_publickey, s.curve_secretkey = (x.encode() for x in w.keys.bob)
        s.curve_serverkey = w.keys.server[0].encode()
        for prefix in (b"t\0", b"u\0", b""):
            s.setsockopt(zmq.SUBSCRIBE, prefix)
        s.setsockopt(zmq.SUBSCRIBE, b"\0W")
        s.connect(w.bridge.pub)
        feed_next(s, b"\0W")
        until(lambda: w.bridge.read_log().count(b"refused: subscription") == 3)
        w.bridge.process.terminate()
        assert w.bridge.process.wait(PATIENCE) == 0
        told = re.search(
            r"refused: (\d+) keys, (\d+) commands, (\d+) subscriptions, "
            r"(\d+) bad messages, (\d+) publishes", w.bridge.read_log().decode())
        keys, *rest = (int(x) for x in told.groups())
        # (ZeroMQ may try the wrong key again.)
        assert keys >= 1 and rest == [6, 3, 1, 3], told.group(0)


def test_the_unit_is_tight():
    unit = os.path.join(os.path.dirname(BIN), "bridge/shmq-bridge@.service")
    with open(unit) as f:
        text = f.read()
    # It would delete the rings under living producers.
    assert "\nRemoveIPC=no\n" in text and "\nType=notify\n" in text
    if shutil.which("systemd-analyze") is None:
        print("  no systemd-analyze here: exposure left out")
        return
    with World(start=False) as w:
        copy = f"{w.dir.name}/shmq-bridge@default.service"
        shutil.copy(unit, copy)
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--no-pager",
             "--threshold=20", copy], stdout=subprocess.PIPE, check=False)
        level = done.stdout.decode().strip().split("\n")[-1].strip()
        assert done.returncode == 0, level
        print("  " + level)


if __name__ == "__main__":
    run_all(globals())
