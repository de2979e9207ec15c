#!/usr/bin/env python3
"""Two topics in one asyncio loop, each read by a task of its own.

The consumer's descriptor wakes the loop; nothing polls, no thread waits."""
import asyncio

import shmq


async def read(topic: shmq.Topic, wanted: int) -> None:
    with topic.consumer("readers") as consumer:
        seen = 0
        async for message in consumer:  # acknowledged after the body
            print(bytes(message.data).decode(), flush=True)
            seen += 1
            if seen == wanted:
                message.release()
                return


async def write(topic: shmq.Topic, cnt: int) -> None:
    with topic.producer() as producer:
        for i in range(cnt):
            producer.publish(b"%s %d" % (topic.name.encode(), i), timeout=0)
            await asyncio.sleep(0.01)


async def main() -> None:
    for name in ("work", "alert"):
        shmq.create(name, exist_ok=True)
    with shmq.Topic("work") as work, shmq.Topic("alert") as alert:
        await asyncio.gather(read(work, 5), read(alert, 5),
                             write(work, 5), write(alert, 5))


if __name__ == "__main__":
    asyncio.run(main())
