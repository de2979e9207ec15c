"""The asyncio client by the commands of driver.c."""
import asyncio
import re
import sys

sys.path.insert(0, sys.argv.pop(1))
from shmq_remote import Gap, aio, errors  # noqa: E402
from shmq_remote.message import GAP_REASONS  # noqa: E402

LEVELS = {"published": 1, "written": 2, "durable": 3}
GAPS = {reason: number for number, reason in GAP_REASONS.items()}


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


class Driver:
    """A method for each command."""

    def __init__(self, remote):
        self.remote, self.handles, self.held = remote, {}, {}

    async def connect(self):
        await self.remote.connect(timeout=1.5)

    async def create(self, topic, durability):
        await self.remote.create(topic, durability=int(durability))

    async def pub(self, topic, level, timeout_ms, text):
        producer = await self.remote.producer(
            topic, level=level_of(level), level_timeout=int(timeout_ms) / 1e3)
        async with producer:
            done = await producer.publish(text.encode())
        return f"{done.position} {LEVELS[done.level]}"

    async def open(self, name, topic, group, kind, level, start):
        options = {} if kind == "0" else {"kind": ("shared", "exclusive")[
            int(kind) - 1]}
        self.handles[name] = await self.remote.consumer(
            topic, None if group == "-" else group, read=level_of(level),
            start=start_of(start), **options)

    async def recv(self, name, timeout_ms):
        handle, seconds = self.handles[name], int(timeout_ms) / 1e3
        if isinstance(handle, aio.Live):
            try:
                message = await asyncio.wait_for(handle.receive(), seconds)
            except asyncio.TimeoutError:
                return "! TIMEOUT"
        else:
            message = await handle.receive(timeout=seconds)
        if isinstance(message, Gap):
            return f"gap {message.start} {message.end} {GAPS[message.reason]}"
        self.held[name, message.position] = message
        return (f"{message.position} {message.attempt} "
                f"{int(message.redelivered)} {message.data.decode()}")

    async def ack(self, name, position):
        await self.done(name, position)
        await self.handles[name].settle()

    async def done(self, name, position):
        self.handles[name].ack(self.held.pop((name, int(position))))

    async def patience(self, ms):
        self.remote.timeout = int(ms) / 1e3

    async def idle(self, ms):
        await asyncio.sleep(int(ms) / 1e3)

    async def nack(self, name, position, delay_ms):
        await self.handles[name].nack(
            self.held.pop((name, int(position))), int(delay_ms) / 1e3)

    async def commit(self, name, position, level):
        return str(await self.handles[name].commit(
            int(position), level_of(level)))

    async def seek(self, name, start):
        await self.handles[name].seek(start_of(start))

    async def drained(self, name):
        return str(int(await self.handles[name].drained()))

    async def live(self, name, topic, start):
        self.handles[name] = await self.remote.live(topic, start_of(start))

    async def close(self, name):
        handle = self.handles.pop(name)
        if isinstance(handle, aio.Live):
            handle.close()
        else:
            await handle.close()


async def main():
    keys = {"server_key": sys.argv[2], "secret_key": sys.argv[3]} \
        if len(sys.argv) > 3 else {}
    loop = asyncio.get_running_loop()
    async with aio.Remote(sys.argv[1], **keys) as remote:
        driver = Driver(remote)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, *args = line.split(
                maxsplit=4 if line.startswith("pub ") else -1)
            try:
                done = await getattr(driver, name)(*(a.strip() for a in args))
                print(done or "ok", flush=True)
            except errors.RemoteError as error:
                print("!", status_of(error), flush=True)


asyncio.run(main())
