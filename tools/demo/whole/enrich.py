"""A worker of a shared group: each line goes on to topic `enriched` with where
it came from; a line that it cannot read is given back, and after the group's
last attempt shmq moves it to the dead-letter topic.
usage: enrich TOPIC GROUP   (prints the positions of what is done)"""
import sys

import shmq


def main():
    topic, group = sys.argv[1:3]
    try:
        shmq.create("enriched")
    except shmq.Exists:
        pass
    with shmq.Topic(topic) as source, shmq.Topic("enriched") as target, \
            source.consumer(group, kind="shared", lease=1, max_attempts=3) as lines, \
            target.producer() as out:
        while True:
            line = lines.receive()
            position, data = line.position, bytes(line.data)
            if data.startswith(b"\x00poison"):
                line.nack()
                continue
            out.publish(data.upper(), headers={"from": str(position).encode()})
            try:
                line.release()
            except shmq.Stale:
                continue  # it took longer than the lease: another one does it too
            print(position, flush=True)


if __name__ == "__main__":
    main()
