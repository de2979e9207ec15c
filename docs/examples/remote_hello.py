#!/usr/bin/env python3
"""Publishes a line through a bridge and reads it back as a member of a group.
usage: remote_hello.py [ENDPOINT]"""
import sys

import shmq_remote

endpoint = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5570"
with shmq_remote.Remote(endpoint, timeout=5) as remote:
    try:
        remote.create("hello")
    except shmq_remote.TopicExists:
        pass
    with remote.consumer("hello", "greeters") as consumer, \
            remote.producer("hello") as producer:
        producer.publish(b"Hello")
        message = consumer.receive()
        print(message.data.decode())
        consumer.ack(message)
        consumer.settle()
