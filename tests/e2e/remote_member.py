"""A member of a group on another host, in Python, for test_remote_job.py:
writes "POSITION HEX" of each record to a file, then acknowledges it. With
`hold` it acknowledges none: they must come to others when it is dead."""
import sys

sys.path.insert(0, sys.argv[1])
import shmq_remote  # noqa: E402

endpoint, topic, group, path = sys.argv[2:6]
with shmq_remote.Remote(endpoint, timeout=None, lease=2.0) as remote:
    consumer = remote.consumer(topic, group, prefetch=64)
    with open(path, "a", buffering=1) as out:
        while True:
            message = consumer.receive(timeout=None)
            if isinstance(message, shmq_remote.Gap):
                print("gap", message, file=sys.stderr)
                continue
            out.write(f"{message.position} {message.data.hex()}\n")
            if "hold" in sys.argv[6:]:
                continue
            try:
                consumer.ack(message)
            except shmq_remote.Stale:
                pass  # somebody else gets it, too
