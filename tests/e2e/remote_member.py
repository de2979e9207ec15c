"""A member of a group on another host, in Python, for test_remote_job.py:
writes "POSITION HEX" of each record to a file, then acknowledges it. With
`hold` it acknowledges none: they must come to others when it is dead. With
`slow` it takes 5 ms for each and few at a time."""
import sys
import time

sys.path.insert(0, sys.argv[1])
import shmq_remote  # noqa: E402

endpoint, topic, group, path = sys.argv[2:6]
with shmq_remote.Remote(endpoint, timeout=None, lease=2.0) as remote:
    slow = "slow" in sys.argv[6:]
    consumer = remote.consumer(topic, group, prefetch=8 if slow else 64)
    with open(path, "a", buffering=1) as out:
        while True:
            message = consumer.receive(timeout=None)
            if isinstance(message, shmq_remote.Gap):
                print("gap", message, file=sys.stderr)
                continue
            out.write(f"{message.position} {message.data.hex()}\n")
            if "hold" in sys.argv[6:]:
                continue
            time.sleep(0.005 if slow else 0)
            try:
                consumer.ack(message)
            except shmq_remote.Stale:
                pass  # somebody else gets it, too
