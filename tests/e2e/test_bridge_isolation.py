#!/usr/bin/env python3
"""shmq-bridge: what bad remote peers do to others, compared with the same peers
when they behave, run after run in turn. Local publishers, an honest remote
reader, the bridge's memory; and a bridge that is stopped for ever.
--full: more rounds, and the change must be at most 10 %.
"""
import os
import random
import signal
import statistics
import struct
import sys
import threading
import time

from bridge_peer import *

PACE = os.path.join(os.environ["SHMQ_TEST_BIN_DIR"], "e2e_bridge_pace")
ROUNDS = 8 if FULL else 2
SECONDS = 2.0 if FULL else 1.0
SUBSCRIBERS = 200
CHANGE_MAX = 1.10 if FULL else 3.0
MIB = 1 << 20
# Credit of one session and one message beyond it for each of the two streams,
# their copies in the library, the feed's buffer, and the program itself. (The
# rings, which it maps like everybody, are not its memory.)
MEMORY_MAX = (2 * (8 + 64) * 2 + 16 + 2 * SUBSCRIBERS // 100 + 64) * MIB


def crowd(w, behaves, stop):
    """200 subscribers, a stream that is never read, one whose credit ends, one
    that takes 64 MiB messages."""
    context = zmq.Context()
    poller = zmq.Poller()
    subs = []
    for _ in range(SUBSCRIBERS):
        s = context.socket(zmq.SUB)
        s.setsockopt(zmq.LINGER, 0)
        s.setsockopt(zmq.RCVHWM, 10)
        s.setsockopt(zmq.SUBSCRIBE, b"crowd\0")
        s.connect(w.bridge.pub)
        poller.register(s, zmq.POLLIN)
        subs.append(s)
    streams = []
    for topic, credit in (("t", 4 * MIB), ("t", 100_000), ("big", 4 * MIB)):
        p = Peer(context, w.bridge.router)
        assert p.hello().command == WELCOME
        s = p.attach(topic, credit=credit, records=4096)
        assert isinstance(s, Stream), s
        poller.register(p.socket, zmq.POLLIN)
        streams.append((p, s))
    by_socket = {p.socket: s for p, s in streams}
    begin = time.monotonic()
    while not stop.is_set():
        if not behaves:
            # Alive, so that their leases do not end.
            if time.monotonic() - begin > 1:
                begin = time.monotonic()
                for p, _ in streams:
                    p.send(PING, bytes(8), corr=0)
            stop.wait(0.05)
            continue
        for socket, _ in poller.poll(50):
            parts = socket.recv_multipart()
            if socket in by_socket:
                m = Message(parts[:1])
                if m.command == DELIVER:
                    by_socket[socket].credit(len(parts[1]),
                                             m.unpack("QQQQQQI")[6])
    context.destroy(0)


def large_messages(w, stop):
    payload = f"{w.dir.name}/large"
    with open(payload, "wb") as f:
        f.write(b"L" * (60 * MIB) + b"\n")
    while not stop.wait(0.4):
        shmq(w.ns, "pub", "big", "--file", payload)


def one_round(w, behaves):
    stop = threading.Event()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        try:
            crowd(w, behaves, stop)
        except BaseException as e:  # the parent has to know
            print("crowd:", e, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    large = threading.Thread(target=large_messages, args=(w, stop))
    large.start()
    honest = w.peer()
    reader = honest.attach("t", credit=4 * MIB, records=16384)
    time.sleep(0.7)
    env = dict(os.environ, SHMQ_NAMESPACE=w.ns)
    slow = subprocess.Popen([PACE, "crowd", "1000", "50", str(SECONDS)], env=env,
                            stdout=subprocess.DEVNULL)
    pace = subprocess.Popen([PACE, "t", "1000", "2000", str(SECONDS)], env=env,
                            stdout=subprocess.PIPE)
    latencies = []
    peak = 0
    told = None
    end = time.monotonic() + SECONDS + 20
    while time.monotonic() < end:
        if told is None and pace.poll() is not None:
            told = list(map(int, pace.stdout.read().split()))
        if told and len(latencies) >= told[3]:
            break
        if not honest.socket.poll(100):
            continue
        parts = honest.socket.recv_multipart()
        now = time.monotonic_ns()
        m = Message(parts)
        if m.command != DELIVER:
            continue
        got = m.records()
        latencies += [now - struct.unpack_from("<Q", r[1])[0] for r in got]
        reader.credit(len(m.payload), len(got))
        if len(latencies) % 50 < len(got):
            with open(f"/proc/{w.bridge.process.pid}/status") as f:
                peak = max(peak, int(next(
                    l for l in f if l.startswith("RssAnon")).split()[1]) * 1024)
    stop.set()
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert status == 0, "the crowd failed"
    large.join()
    slow.wait()
    honest.ask(BYE, bytes(8))
    honest.close()
    p50, p99, worst, count = told
    assert pace.returncode == 0 and len(latencies) == count, \
        (len(latencies), count)
    latencies.sort()
    return {"publish p99": p99, "remote p50": latencies[count // 2],
            "rate": count / SECONDS, "memory": peak}


def test_bad_peers_change_little():
    with World("--max-message", "64M", "--credit", "8M", "--feed-buffer", "16M",
               "--feed-messages", "100") as w:
        w.shmq("create", "t", "--capacity", "4096", "--arena", "16M")
        w.shmq("create", "crowd")
        w.shmq("create", "big", "--max-message", "60M", "--arena", "128M",
               "--capacity", "16", "--max-producers", "4")
        rounds = []
        for i in range(ROUNDS):
            good, bad = one_round(w, True), one_round(w, False)
            rounds.append((good, bad))
            print(f"  read at once {good}\n  bad peers    {bad}", flush=True)
        for what in ("publish p99", "remote p50"):
            ratio = statistics.median(b[what] / g[what] for g, b in rounds)
            print(f"  {what}: bad / good {ratio:.2f}")
            assert ratio <= CHANGE_MAX, (what, ratio)
        peak = max(r["memory"] for pair in rounds for r in pair)
        print(f"  memory at most {peak // MIB} MiB of {MEMORY_MAX // MIB}")
        assert peak <= MEMORY_MAX
        w.peer()


def test_a_stopped_bridge_holds_nobody_up():
    """Memory topics with readers that gate nothing: at any moment. (A group
    whose member stopped gates a memory topic: that is what `block` means; a
    durable topic is gated by its log alone.)"""
    rng = random.Random(7)
    with World() as w:
        w.shmq("create", "t", "--capacity", "64")
        p = w.peer()
        p.attach("t", credit=1 << 20)
        s = w.sub(b"t\0")
        env = dict(os.environ, SHMQ_NAMESPACE=w.ns)
        for _ in range(10 if FULL else 5):
            pace = subprocess.Popen([PACE, "t", "100", "20000", "0.3"], env=env,
                                    stdout=subprocess.PIPE)
            for i in range(20):
                p.publish("t", [b"x"], corr=0)
            time.sleep(rng.random() * 0.1)
            w.bridge.process.send_signal(signal.SIGSTOP)
            out = pace.communicate(timeout=20)[0]
            assert pace.returncode == 0
            p99, worst = map(int, out.split()[1:3])
            assert worst < 1_000_000_000, worst
            # And to others that come: attach, publish, list, stat.
            w.shmq("pub", "t", data=b"y\n")
            w.shmq("stat", "t")
            w.bridge.process.send_signal(signal.SIGCONT)
            assert p.ask(PING, bytes(8)).command == PONG
        assert s


if __name__ == "__main__":
    run_all(globals())
