"""Topics of another host, through its shmq-bridge.

    import shmq_remote
    with shmq_remote.Remote("tcp://127.0.0.1:5570") as remote:
        with remote.producer("orders") as producer:
            producer.publish(b"hello")
        with remote.consumer("orders", "billing") as consumer:
            message = consumer.receive()
            consumer.ack(message)

shmq_remote.aio has the same with coroutines. What travels is said in
docs/wire.md.
"""
from . import aio, errors
from .blocking import Consumer, Live, Producer, Remote
from .errors import *  # noqa: F401,F403 - one exception for each status
from .errors import RemoteError, Timeout, Unreachable
from .message import Gap, Message, Published, pack_attrs

__version__ = "0.1.0"
__all__ = ["Consumer", "Gap", "Live", "Message", "Producer", "Published",
           "Remote", "RemoteError", "Timeout", "Unreachable", "aio", "errors",
           "pack_attrs"]
__all__ += [error.__name__ for error in errors.BY_STATUS.values()]
