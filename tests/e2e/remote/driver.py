"""The Python client by the commands of driver.c."""
import re
import sys
import time

sys.path.insert(0, sys.argv.pop(1))
import shmq_remote  # noqa: E402
from shmq_remote import errors  # noqa: E402
from shmq_remote.message import GAP_REASONS  # noqa: E402

LEVELS = {"published": 1, "written": 2, "durable": 3}
GAPS = {reason: number for number, reason in GAP_REASONS.items()}
handles, held = {}, {}


def level_of(name):
    return None if name == "default" else name


def start_of(text):
    return text if text in ("earliest", "latest") else int(text)


def status_of(error):
    """The wire's name of a status: NO_SUCH_TOPIC for NoSuchTopic."""
    if isinstance(error, errors.Unreachable):
        return "SHMQ_ERR_NODAEMON"
    name = type(error).__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def create(topic, durability):
    remote.create(topic, durability=int(durability))


def pub(topic, level, timeout_ms, text):
    with remote.producer(topic, level=level_of(level),
                         level_timeout=int(timeout_ms) / 1e3) as producer:
        done = producer.publish(text.encode())
    return f"{done.position} {LEVELS[done.level]}"


def open_consumer(name, topic, group, kind, level, start):
    options = {} if kind == "0" else {"kind": ("shared", "exclusive")[
        int(kind) - 1]}
    handles[name] = remote.consumer(
        topic, None if group == "-" else group, read=level_of(level),
        start=start_of(start), **options)


def recv(name, timeout_ms):
    message = handles[name].receive(timeout=int(timeout_ms) / 1e3)
    if isinstance(message, shmq_remote.Gap):
        return f"gap {message.start} {message.end} {GAPS[message.reason]}"
    held[name, message.position] = message
    return (f"{message.position} {message.attempt} "
            f"{int(message.redelivered)} {message.data.decode()}")


def ack(name, position):
    handles[name].ack(held.pop((name, int(position))))
    handles[name].settle()


def done(name, position):
    handles[name].ack(held.pop((name, int(position))))


def patience(ms):
    remote.timeout = int(ms) / 1e3


def idle(ms):
    end = time.monotonic() + int(ms) / 1e3
    while time.monotonic() < end:
        remote.pump(end)


def nack(name, position, delay_ms):
    handles[name].nack(held.pop((name, int(position))), int(delay_ms) / 1e3)


def commit(name, position, level):
    return str(handles[name].commit(int(position), level_of(level)))


def seek(name, start):
    handles[name].seek(start_of(start))


def drained(name):
    return str(int(handles[name].drained()))


def live(name, topic, start):
    handles[name] = remote.live(topic, start_of(start))


def close(name):
    handles.pop(name).close()


def connect():
    remote.connect(timeout=1.5)


COMMANDS = {"connect": connect, "create": create, "pub": pub,
            "open": open_consumer, "recv": recv, "ack": ack, "nack": nack,
            "commit": commit, "seek": seek, "drained": drained, "live": live,
            "close": close, "done": done, "patience": patience, "idle": idle}

keys = {"server_key": sys.argv[2], "secret_key": sys.argv[3]} \
    if len(sys.argv) > 3 else {}
with shmq_remote.Remote(sys.argv[1], **keys) as remote:
    for line in sys.stdin:
        name, *args = line.split(maxsplit=4 if line.startswith("pub ") else -1)
        try:
            print(COMMANDS[name](*(a.strip() for a in args)) or "ok",
                  flush=True)
        except errors.RemoteError as error:
            print("!", status_of(error), flush=True)
