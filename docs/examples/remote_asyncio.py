#!/usr/bin/env python3
"""Follows a topic's live feed with asyncio while publishing to it.
usage: remote_asyncio.py [ENDPOINT]"""
import asyncio
import sys

from shmq_remote import TopicExists, aio

COUNT = 100


async def follow(remote):
    live = await remote.live("ticks", start="earliest")
    async with live:
        for _ in range(COUNT):
            message = await live.receive()
        print("last:", message.data.decode())


async def main(endpoint):
    async with aio.Remote(endpoint) as remote:
        try:
            await remote.create("ticks")
        except TopicExists:
            pass
        reader = asyncio.create_task(follow(remote))
        async with await remote.producer("ticks") as producer:
            await asyncio.gather(*(producer.publish(b"tick %d" % i)
                                   for i in range(COUNT)))
        await asyncio.wait_for(reader, 20)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5570"))
