"""A worker of a shared group: prints each record as `shmq sub --format json`
does, then acknowledges it; gives back what it cannot handle, so that it goes to
the dead-letter topic after the group's last attempt.
usage: worker.py TOPIC GROUP"""
import base64
import json
import os
import sys

import shmq
from payload import POISON


def say(what):
    os.write(1, json.dumps(what).encode() + b"\n")


def show(message, data):
    say({"position": str(message.position), "redelivered": message.redelivered,
         "payload_base64": base64.b64encode(data).decode()})


def main():
    topic, group = sys.argv[1:3]
    with shmq.Topic(topic) as source, source.consumer(group) as records:
        while True:
            message = records.receive()
            data = bytes(message.data)
            try:
                if data.endswith(POISON):
                    message.nack()
                    continue
                show(message, data)
                message.release()
            except shmq.Stale:
                pass  # it took longer than the lease: it comes to another, too
            while records.gaps:
                say({"gap": {"reason": records.gaps.pop().reason}})


if __name__ == "__main__":
    main()
