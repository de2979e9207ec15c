"""shmq: messages between the processes of one host, through shared memory.

    import shmq

    shmq.create("jobs", exist_ok=True)
    with shmq.Topic("jobs") as topic, topic.producer() as producer:
        producer.publish(b"hello", key=b"k")

    with shmq.Topic("jobs") as topic, topic.consumer("workers") as consumer:
        for message in consumer:            # acknowledged after the body
            print(bytes(message.data))

Views: `message.data` is a memoryview of the ring itself (or of the consumer's
validated copy), without a copy. It is valid until the message is released; then
it is released too, and using it raises ValueError. As long as a slice or other
view of it is alive, releasing raises BufferError and the record stays held.

Threads: one handle, one thread at a time. Fork: handles are dead in a child.
Blocking calls release the interpreter's lock and are interrupted by Ctrl-C.
"""
from __future__ import annotations

from .errors import (Busy, Closed, Error, Exists, Full, Interrupted, Invalid,
                     LayoutMismatch, NotFound, NotPermitted, Stale, Timeout)
from .durable import Retain, daemon_status, remove_data
from .topic import (Topic, create, set_retention, topics, unlink, version)
from .producer import Loan, Producer
from .consumer import Consumer, Gap, Message
from .request import Caller, Request, Server
from .waitset import TopicEvent, WaitSet, Watch

__all__ = [
    "Busy", "Caller", "Closed", "Consumer", "Error", "Exists", "Full", "Gap",
    "Interrupted", "Invalid", "LayoutMismatch", "Loan", "Message", "NotFound",
    "NotPermitted", "Producer", "Request", "Retain", "Server", "Stale",
    "Timeout", "Topic", "TopicEvent", "WaitSet", "Watch", "create",
    "daemon_status", "remove_data", "set_retention", "topics", "unlink",
    "version"]
