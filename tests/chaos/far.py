"""On another host, in Python. Records are printed as `shmq sub --format json`
prints them, positions as `shmq pub --positions` does.
usage: far.py ENDPOINT SERVER_KEY PUBLIC SECRET sub TOPIC GROUP
                                               pub TOPIC FILE RATE
                                               live TOPIC"""
import base64
import json
import os
import sys
import time

import shmq_remote


def show(item):
    if isinstance(item, shmq_remote.Gap):
        line = json.dumps({"gap": {"from": item.start, "reason": item.reason}})
    else:
        line = json.dumps({
            "position": str(item.position), "redelivered": item.redelivered,
            "payload_base64": base64.b64encode(item.data).decode()})
    os.write(1, line.encode() + b"\n")


def receive(remote, topic, group):
    consumer = remote.consumer(topic, group, prefetch=64)
    while True:
        item = consumer.receive(timeout=None)
        show(item)
        if isinstance(item, shmq_remote.Gap):
            continue
        try:
            consumer.ack(item)
        except shmq_remote.Stale:
            pass  # it comes again


def follow(remote, topic):
    for item in remote.live(topic):
        show(item)


def publish(remote, topic, path, rate):
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    producer = remote.producer(topic)
    begun, underway = time.monotonic(), []
    for number, line in enumerate(lines):
        pause = begun + number / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        underway.append(producer.begin([(line, b"")]))
        if len(underway) >= 16:
            print(remote_position(producer, underway.pop(0)), flush=True)
    for one in underway:
        print(remote_position(producer, one), flush=True)


def remote_position(producer, one):
    return producer.outcome(one).positions[0]


def main():
    endpoint, server, public, secret, what, topic, *more = sys.argv[1:]
    with shmq_remote.Remote(
            endpoint, timeout=None, server_key=server, public_key=public,
            secret_key=secret) as remote:
        if what == "sub":
            receive(remote, topic, *more)
        elif what == "live":
            follow(remote, topic)
        else:
            publish(remote, topic, more[0], float(more[1]))


if __name__ == "__main__":
    main()
