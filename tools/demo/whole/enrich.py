"""A worker of a shared group: each line goes on to topic `enriched` with where
it came from; a line that it cannot read is given back, and after the group's
last attempt shmq moves it to the dead-letter topic.
usage: enrich TOPIC GROUP   (prints the position of each line that it has done)"""
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
            # What it does comes before the acknowledgement: killed in between, it
            # has done the line, and another one does it again. The other way
            # round it would be done in the group's eyes, and told nobody.
            print(position, flush=True)
            try:
                line.release()
            except shmq.Stale:
                pass  # it took longer than the lease: another one does it too


if __name__ == "__main__":
    main()
