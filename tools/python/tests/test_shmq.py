"""Tests of the Python package. Needs SHMQ_LIBRARY, or an installed libshmq."""
import asyncio
import ctypes
import gc
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import shmq
from shmq import _native

PATIENCE = 20.0


class Case(unittest.TestCase):
    """A namespace of its own, in which nothing is left."""

    def setUp(self):
        os.environ["SHMQ_NAMESPACE"] = "py-%d-%d" % (
            os.getpid(), time.monotonic_ns() % 10**9)
        shmq.create("t")
        self.topic = shmq.Topic("t")

    def tearDown(self):
        self.topic.close()
        gc.collect()
        for name in shmq.topics():
            shmq.unlink(name)
        prefix = "shmq.%s." % os.environ["SHMQ_NAMESPACE"]
        left = [f for f in os.listdir("/dev/shm") if f.startswith(prefix)
                and ".lock." not in f]
        self.assertEqual(left, [])

    def child(self, code, **popen):
        """Another Python process with the package."""
        return subprocess.Popen([sys.executable, "-c", code],
                                stdout=subprocess.PIPE, **popen)


class Structs(unittest.TestCase):
    """The structs are those of the headers."""

    PAIRS = {"topic_attrs": "TopicAttrs", "group_attrs": "GroupAttrs",
             "start": "Start", "consumer_options": "ConsumerOptions",
             "attr": "Attr", "record": "Record", "message": "Message",
             "loan": "Loan", "gap": "Gap", "topic_stat": "TopicStat",
             "caller_options": "CallerOptions",
             "server_options": "ServerOptions", "retention": "Retention",
             "watermarks": "Watermarks", "group_stat": "GroupStat",
             "endpoint_stat": "EndpointStat",
             "waitset_options": "WaitsetOptions",
             "watch_event": "WatchEvent"}

    def test_sizes_and_offsets_are_those_of_the_headers(self):
        source = os.environ.get("SHMQ_SOURCE_DIR")
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if not source or not compiler:
            self.skipTest("no compiler or headers")
        lines = ["#include <shmq.h>", "#include <stdio.h>",
                 "#include <stddef.h>", "int main(void) {"]
        want = []
        for name, struct in self.PAIRS.items():
            cls = getattr(_native, struct)
            lines.append('printf("%%zu\\n", sizeof(struct shmq_%s));' % name)
            want.append(ctypes.sizeof(cls))
            for field, _ in cls._fields_:
                lines.append('printf("%%zu\\n", offsetof(struct shmq_%s, %s));'
                             % (name, field.rstrip("_")))
                want.append(getattr(cls, field).offset)
        lines.append("return 0; }")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sizes")
            with open(path + ".c", "w") as out:
                out.write("\n".join(lines))
            subprocess.run([compiler, "-I%s/include" % source, "-o", path,
                            path + ".c"], check=True)
            got = subprocess.run([path], stdout=subprocess.PIPE, check=True)
        self.assertEqual([int(x) for x in got.stdout.split()], want)


class Topics(Case):
    def test_topics_are_made_listed_and_removed(self):
        shmq.create("u", ring="spsc", arena_bytes=65536, schema="a:1")
        self.assertEqual(shmq.topics(), ["t", "u"])
        with self.assertRaises(shmq.Exists):
            shmq.create("u")
        shmq.create("u", exist_ok=True)
        with self.assertRaises(shmq.LayoutMismatch):
            shmq.Topic("u", schema="a:2")
        shmq.Topic("u", schema="a:1").close()
        shmq.unlink("u")
        with self.assertRaises(shmq.NotFound) as caught:
            shmq.Topic("u")
        self.assertIn("u", str(caught.exception))
        self.assertEqual(caught.exception.name, "NOENT")
        with self.assertRaises(shmq.Invalid):
            shmq.create("a/b")
        with self.assertRaises(ValueError):
            shmq.create("v", ring="square")

    def test_values_that_c_would_cut_short_are_refused(self):
        for wrong, error in (("t\0x", ValueError), (5, TypeError),
                             (None, TypeError)):
            self.assertRaises(error, shmq.create, wrong)
            self.assertRaises(error, shmq.Topic, wrong)
        self.assertRaises(ValueError, shmq.topics, "a\0b")
        self.assertRaises(ValueError, shmq.create, "u", capacity=1 << 70)
        self.assertRaises(ValueError, shmq.create, "u", max_groups=1 << 32)
        self.assertRaises(ValueError, shmq.create, "u", ttl=-1)
        self.assertRaises(ValueError, shmq.create, "u", ttl=float("nan"))
        self.assertRaises(ValueError, shmq.create, "u", schema="a:1\0")
        self.assertRaises(ValueError, self.topic.consumer, "g\0h")
        self.assertRaises(ValueError, self.topic.consumer, "g", lease=-1)
        self.assertRaises(ValueError, self.topic.consumer, "g", kind="x")
        self.assertRaises(ValueError, self.topic.consumer, "g", start=-1)
        with self.topic.producer() as producer:
            self.assertRaises(ValueError, producer.publish, b"x",
                              headers={"a\0b": b""})
            self.assertRaises(ValueError, producer.loan, 1 << 64)
        self.assertEqual(shmq.topics(), ["t"])

    def test_a_topic_in_use_is_busy_and_its_users_get_closed(self):
        consumer = self.topic.consumer("g")
        with self.assertRaises(shmq.Busy):
            shmq.unlink("t")
        shmq.unlink("t", force=True)
        with self.assertRaises(shmq.Closed):
            consumer.receive(timeout=PATIENCE)
        consumer.close()

    def test_closed_handles_say_so(self):
        topic = shmq.Topic("t")
        topic.close()
        topic.close()
        with self.assertRaises(ValueError):
            topic.stat()
        with self.assertRaises(ValueError):
            topic.producer()

    def test_attributes_are_those_asked_for(self):
        shmq.create("u", ttl=1.5, expired="dead-letter", prefault=True,
                    timestamps="record", owner=os.getuid(),
                    group_owner=os.getgid(), schema="a:1", capacity=16,
                    arena_bytes=65536)
        with shmq.Topic("u") as topic:
            attrs = topic.attrs()
        self.assertEqual(attrs["ttl_ns"], 1500000000)
        self.assertEqual(attrs["flags"] & (2 | 16), 2 | 16)
        self.assertEqual(attrs["capacity_frames"], 16)
        self.assertEqual((attrs["owner"], attrs["group_owner"]),
                         (os.getuid(), os.getgid()))
        self.assertEqual(attrs["schema"], "a:1")
        for flag, bit in (("mlock", 4), ("huge", 8), ("asymmetric", 1)):
            shmq.create("v", capacity=16, arena_bytes=65536, **{flag: True})
            with shmq.Topic("v") as topic:
                self.assertTrue(topic.attrs()["flags"] & bit, flag)
            shmq.unlink("v")
        self.assertRaises(ValueError, shmq.create, "v", expired="kept")
        self.assertRaises(ValueError, shmq.create, "v", owner=-1)
        if os.getuid() != 0:
            self.assertRaises(shmq.NotPermitted, shmq.create, "v", owner=0)

    def test_groups_are_made_moved_listed_and_removed(self):
        with self.topic.producer() as producer:
            first = producer.publish(b"a")
            producer.publish(b"b")
            self.topic.create_group("g", max_attempts=3, lease=2,
                                    dead_letter="grave")
            self.topic.create_group("x", kind="exclusive", start="latest")
            with self.assertRaises(shmq.Exists):
                self.topic.create_group("g")
            g, x = self.topic.groups()
            self.assertEqual((g["name"], g["kind"], g["max_attempts"],
                              g["lease_ns"], g["dead_letter"]),
                             ("g", "shared", 3, 2 * 10**9, "grave"))
            self.assertEqual((g["lag_messages"], x["lag_messages"]), (2, 0))
            self.topic.reset_group("x", "earliest")
            self.assertEqual(self.topic.groups()[1]["lag_messages"], 2)
            with self.topic.consumer("x", kind="exclusive") as consumer:
                self.assertEqual(consumer.position, first)
                with self.assertRaises(shmq.Busy):
                    self.topic.remove_group("x")
                roles = {e["role"]: e for e in self.topic.endpoints()}
                self.assertEqual(sorted(roles), ["member", "producer"])
                self.assertEqual(roles["member"]["group"], "x")
                self.assertEqual(roles["member"]["pid"], os.getpid())
                self.assertEqual(roles["member"]["state"], "running")
                self.topic.evict(roles["member"]["id"])
                with self.assertRaises(shmq.Stale):
                    consumer.receive(PATIENCE)
            self.topic.remove_group("x")
            self.assertEqual([g["name"] for g in self.topic.groups()], ["g"])
            for i in range(14):
                self.topic.create_group("h%d" % i)
            self.assertEqual(len(self.topic.groups()), 15)

    def test_stat_counts(self):
        with self.topic.producer() as producer:
            producer.publish(b"abc")
        stat = self.topic.stat()
        self.assertEqual(stat["total_messages"], 1)
        self.assertEqual(stat["depth_bytes"], 3)


class Records(Case):
    def test_records_arrive_with_their_attributes(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g") as consumer:
            first = producer.publish(b"one", key=b"k", headers={"h": b"1"})
            producer.publish(bytearray(b"two"))
            producer.publish(memoryview(b"xthreex")[1:6])
            producer.publish(b"")
            with consumer.receive(PATIENCE) as message:
                self.assertEqual(bytes(message.data), b"one")
                self.assertEqual(message.position, first)
                self.assertEqual(message.key, b"k")
                self.assertEqual(message.headers, {"h": b"1"})
                self.assertEqual(message.sequence, 0)
                self.assertFalse(message.redelivered)
                self.assertLess(abs(message.time_ns - time.time_ns()), 10**10)
            for want in (b"two", b"three", b""):
                with consumer.receive(PATIENCE) as message:
                    self.assertEqual(bytes(message.data), want)
                    self.assertIsNone(message.key)
            self.assertIsNone(consumer.receive_nowait())
            self.assertTrue(consumer.drained)

    def test_batches_are_frames(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g") as consumer:
            payloads = [b"%d" % i for i in range(4096)]
            positions = producer.publish_batch(payloads)
            self.assertEqual(len(set(positions)), 4096)
            got = []
            for message in consumer:
                got.append(bytes(message.data))
                if len(got) == 4096:
                    message.release()
                    break
            self.assertEqual(got, payloads)
            with self.assertRaises(shmq.Invalid):
                producer.publish_batch([])

    def test_a_loan_is_the_ring_itself(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g", kind="exclusive") as consumer:
            with producer.loan(8, key=b"k") as loan:
                loan.data[:] = b"01234567"
            with consumer.receive(PATIENCE) as message:
                self.assertEqual(bytes(message.data), b"01234567")
                self.assertEqual(message.key, b"k")
            loan = producer.loan(100)
            part = loan.data[:3]
            part[:] = b"abc"
            with self.assertRaises(BufferError):
                loan.commit(3)  # it could be written to after the publish
            part.release()
            loan.commit(3)
            with self.assertRaises(ValueError):
                loan.data
            with consumer.receive(PATIENCE) as message:
                self.assertEqual(bytes(message.data), b"abc")
            with self.assertRaises(KeyError):
                with producer.loan(4):
                    raise KeyError
            self.assertIsNone(consumer.receive_nowait())

    def test_a_full_ring_is_full_or_times_out(self):
        shmq.create("small", capacity=2, arena_bytes=4096)
        with shmq.Topic("small") as topic, topic.producer() as producer:
            consumer = topic.consumer("g")
            producer.publish(b"1")
            producer.publish(b"2")
            with self.assertRaises(shmq.Full):
                producer.publish(b"3", timeout=0)
            begin = time.monotonic()
            with self.assertRaises(shmq.Timeout) as caught:
                producer.publish(b"3", timeout=0.15)
            self.assertGreaterEqual(time.monotonic() - begin, 0.15)
            self.assertIn("group g", str(caught.exception))
            consumer.close()


class Views(Case):
    def publish(self, *payloads):
        with self.topic.producer() as producer:
            for payload in payloads:
                producer.publish(payload)

    def test_a_view_is_not_copied_and_ends_with_its_message(self):
        with self.topic.consumer("g", kind="exclusive") as consumer:
            self.publish(b"zero-copy")
            message = consumer.receive(PATIENCE)
            view = message.data
            self.assertTrue(view.readonly)
            where = message._raw.data
            with open("/proc/self/maps") as file:
                maps = file.read()
            inside = [line for line in maps.splitlines()
                      if "/dev/shm/" in line and
                      int(line.split("-")[0], 16) <= where <
                      int(line.split("-")[1].split()[0], 16)]
            self.assertTrue(inside, hex(where))
            message.release()
            with self.assertRaises(ValueError):
                view[0]
            with self.assertRaises(ValueError):
                message.data
            with self.assertRaises(ValueError):
                message.release()

    def test_a_message_cannot_go_while_parts_of_it_are_in_use(self):
        with self.topic.consumer("g") as consumer:
            self.publish(b"abcdef")
            message = consumer.receive(PATIENCE)
            part = message.data[2:4]
            with self.assertRaises(BufferError):
                message.release()
            self.assertEqual(bytes(part), b"cd")
            self.assertEqual(bytes(message.data), b"abcdef")
            part.release()
            message.release()
            self.assertTrue(consumer.drained)

    def test_copies_are_views_of_private_memory(self):
        with self.topic.consumer() as reader:
            self.publish(b"copy")
            with reader.receive(PATIENCE) as message:
                self.assertEqual(bytes(message.data), b"copy")


class Delivery(Case):
    def test_an_exception_gives_a_record_back(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g") as consumer:
            producer.publish(b"x")
            with self.assertRaises(ZeroDivisionError):
                with consumer.receive(PATIENCE):
                    1 / 0
            with consumer.receive(PATIENCE) as message:
                self.assertTrue(message.redelivered)
                self.assertEqual(message.attempt, 1)

    def test_a_delayed_record_comes_late(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g") as consumer:
            producer.publish(b"x")
            begin = time.monotonic()
            consumer.receive(PATIENCE).nack(delay=0.1)
            self.assertIsNone(consumer.receive_nowait())
            consumer.receive(PATIENCE).release()
            self.assertGreaterEqual(time.monotonic() - begin, 0.1)

    def test_a_killed_process_leaves_its_record_to_another(self):
        with self.topic.producer() as producer:
            child = self.child(
                "import shmq, time\n"
                "c = shmq.Topic('t').consumer('g')\n"
                "m = c.receive()\n"
                "print('held', flush=True)\n"
                "time.sleep(100)\n")
            producer.publish(b"x")
            self.assertEqual(child.stdout.readline(), b"held\n")
            child.kill()
            child.wait()
            child.stdout.close()
            with self.topic.consumer("g") as consumer, \
                    consumer.receive(PATIENCE) as message:
                self.assertTrue(message.redelivered)

    def test_a_poison_record_goes_to_the_dead_letter_topic(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g", max_attempts=2) as consumer:
            where = producer.publish(b"x", content_type="text/plain")
            for _ in range(2):
                consumer.receive(PATIENCE).nack()
            self.assertIsNone(consumer.receive_nowait())
            self.assertEqual(self.topic.groups()[0]["dead_lettered"], 1)
        with shmq.Topic("@dead.t") as dead, \
                dead.consumer(start="earliest") as reader, \
                reader.receive(PATIENCE) as message:
            self.assertEqual(message.data, b"x")
            self.assertEqual(message.content_type, "text/plain")
            self.assertEqual(message.dead_letters,
                             ["t %d g 2 attempts" % where])

    def test_acknowledging_by_hand(self):
        with self.topic.producer() as producer, \
                self.topic.consumer("g", manual_ack=True,
                                    prefetch=4) as consumer:
            producer.publish_batch([b"a", b"b"])
            one, two = consumer.receive(PATIENCE), consumer.receive(PATIENCE)
            one.ack()
            one.release()
            two.release()
            self.assertFalse(consumer.drained)
            consumer.extend()
        with self.topic.consumer("g") as consumer:
            with consumer.receive(PATIENCE) as message:
                self.assertEqual(message.data, b"b")
            self.assertTrue(consumer.drained)

    def test_a_reader_starts_at_a_time(self):
        with self.topic.producer() as producer:
            producer.publish(b"old")
            time.sleep(0.1)
            between = time.time() - 0.04
            producer.publish(b"new")
            with self.topic.consumer(start_time=between) as consumer, \
                    consumer.receive(PATIENCE) as message:
                self.assertEqual(message.data, b"new")

    def test_lapped_readers_get_gaps(self):
        shmq.create("lap", capacity=4, arena_bytes=4096)
        with shmq.Topic("lap") as topic, topic.producer() as producer, \
                topic.consumer() as reader:
            for i in range(20):
                producer.publish(b"%d" % i)
            with reader.receive(PATIENCE):
                pass
            self.assertEqual(len(reader.gaps), 1)
            self.assertGreaterEqual(reader.gaps[0].frames, 15)
            self.assertEqual(reader.gaps[0].reason, "dropped")

    def test_seek_and_start(self):
        with self.topic.producer() as producer:
            positions = [producer.publish(b"%d" % i) for i in range(3)]
        with self.topic.consumer(start=positions[1]) as reader:
            with reader.receive(PATIENCE) as message:
                self.assertEqual(bytes(message.data), b"1")
            reader.seek("earliest")
            with reader.receive(PATIENCE) as message:
                self.assertEqual(bytes(message.data), b"0")
            with self.assertRaises(ValueError):
                reader.seek("sometimes")

    def test_handles_are_dead_in_a_fork_child(self):
        producer = self.topic.producer()
        pid = os.fork()
        if pid == 0:
            try:
                producer.publish(b"x")
                os._exit(1)
            except shmq.Error as error:
                os._exit(0 if error.name == "FORKED" else 2)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        producer.close()

    def test_waiting_lets_other_threads_run_and_signals_through(self):
        with self.topic.consumer("g") as consumer:
            count = []
            thread = threading.Thread(
                target=lambda: [count.append(time.sleep(0.005))
                                for _ in range(20)])
            thread.start()
            with self.assertRaises(shmq.Timeout):
                consumer.receive(timeout=0.5)
            thread.join()
            self.assertEqual(len(count), 20)

            class Alarm(Exception):
                pass

            def on_alarm(*_args):
                raise Alarm

            old = signal.signal(signal.SIGALRM, on_alarm)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with self.assertRaises(Alarm):
                consumer.receive(timeout=PATIENCE)
            signal.signal(signal.SIGALRM, old)


class Async(Case):
    def test_records_come_in_an_asyncio_loop(self):
        producer = self.topic.producer()
        ticks = []

        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0.01)

        async def publish():
            for i in range(200):
                producer.publish(b"%d" % i)
                await asyncio.sleep(0.001 if i % 20 == 0 else 0)

        async def main():
            got = []
            ticker = asyncio.ensure_future(tick())
            publisher = asyncio.ensure_future(publish())
            with self.topic.consumer("g") as consumer:
                async for message in consumer:
                    got.append(int(bytes(message.data)))
                    if len(got) == 200:
                        message.release()
                        break
                await publisher
                self.assertTrue(consumer.drained)
            ticker.cancel()
            return got

        self.assertEqual(asyncio.run(asyncio.wait_for(main(), PATIENCE)),
                         list(range(200)))
        self.assertGreater(len(ticks), 1)
        producer.close()

    def test_a_waiting_task_can_be_cancelled(self):
        async def main():
            with self.topic.consumer("g") as consumer:
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(consumer.receive_async(), 0.1)
                with self.topic.producer() as producer:
                    producer.publish(b"x")
                message = await asyncio.wait_for(
                    consumer.receive_async(), PATIENCE)
                message.release()

        asyncio.run(main())


class WaitSets(Case):
    def test_one_wait_for_many_consumers(self):
        shmq.create("u", on_full="drop-old", capacity=2)
        with shmq.Topic("u") as other, self.topic.producer() as p, \
                other.producer() as q, self.topic.consumer("g") as a, \
                other.consumer() as b, shmq.WaitSet(a, b) as both:
            self.assertEqual(len(both), 2)
            self.assertIsNone(both.receive_nowait())
            p.publish(b"1")
            consumer, message = both.receive(PATIENCE)
            self.assertIs(consumer, a)
            self.assertEqual(message.data, b"1")
            message.release()
            q.publish(b"2")
            consumer, message = both.receive(PATIENCE)
            self.assertIs(consumer, b)
            message.release()
            for _ in range(5):
                q.publish(b"3")
            both.receive(PATIENCE)[1].release()
            self.assertEqual([g.reason for g in b.gaps], ["dropped"])
            begin = time.monotonic()
            while both.receive_nowait() is not None:
                pass
            with self.assertRaises(shmq.Timeout):
                both.receive(0.05)
            self.assertGreaterEqual(time.monotonic() - begin, 0.05)
            timer = threading.Timer(0.05, lambda: p.publish(b"4"))
            timer.start()
            for consumer, message in both:
                self.assertEqual(message.data, b"4")
                break
            timer.join()
            message.release()
            both.remove(b)
            self.topic.remove_group("g", force=True)
            with self.assertRaises(shmq.Closed) as caught:
                both.receive(PATIENCE)
            self.assertIs(caught.exception.consumer, a)
            both.remove(a)

    def test_the_descriptor_wakes(self):
        with self.topic.producer() as p, self.topic.consumer("g") as a, \
                shmq.WaitSet(a) as both:
            fd = both.fileno()
            self.assertIsNone(both.receive_nowait())
            timer = threading.Timer(0.05, lambda: p.publish(b"x"))
            timer.start()
            found = None
            while found is None:
                self.assertTrue(select.select([fd], [], [], PATIENCE)[0])
                found = both.receive_nowait()
            timer.join()
            self.assertEqual(found[1].data, b"x")
            found[1].release()
            both.remove(a)

    def test_topics_that_come_and_go(self):
        def until(want):
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                event = watch.next()
                if event is not None:
                    self.assertEqual(event, want)
                    return
                select.select([watch], [], [], 0.1)
            self.fail("no event")
        with shmq.Watch("t*") as watch:
            until(shmq.TopicEvent("t", True))
            shmq.create("u")
            shmq.create("t2")
            until(shmq.TopicEvent("t2", True))
            shmq.unlink("t2")
            until(shmq.TopicEvent("t2", False))


class Durable(Case):
    """With a shmqd, where this build has one."""

    def setUp(self):
        super().setUp()
        shmqd = os.path.join(os.environ.get("SHMQ_BIN_DIR", ""), "shmqd")
        if not os.path.exists(shmqd):
            super().tearDown()
            self.skipTest("no shmqd")
        self.dir = tempfile.mkdtemp(prefix="shmq-py-")
        self.argv = [shmqd, "--data-dir", os.path.join(self.dir, "data")]
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.start()

    def start(self):
        self.daemon = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stderr=self.log)
        self.assertEqual(
            shmq.daemon_status(timeout=PATIENCE)["state"], "ok")

    def tearDown(self):
        for name in shmq.topics():
            if name != "t":
                shmq.remove_data(name, force=True)
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(PATIENCE), 0)
        self.log.close()
        shutil.rmtree(self.dir)
        super().tearDown()

    def test_levels_history_and_places(self):
        shmq.create("d", durability="disk", capacity=16, arena_bytes=65536,
                    retain=shmq.Retain(bytes=1 << 30))
        with shmq.Topic("d") as topic, topic.producer() as producer:
            for i in range(100):  # more than the ring holds
                last = producer.publish(b"%d" % i, timeout=PATIENCE)
            producer.publish(b"100", level="durable", timeout=PATIENCE)
            topic.wait_level(last, "written", PATIENCE)
            topic.wait_level(last)
            self.assertEqual(topic.watermarks()["retain_bytes"], 1 << 30)
            shmq.set_retention("d", shmq.Retain(age=3600))
            with topic.consumer(start="earliest") as reader:
                got = []
                for _ in range(101):
                    with reader.receive(PATIENCE) as message:
                        got.append(bytes(message.data))
            self.assertEqual(got, [b"%d" % i for i in range(101)])
            with topic.consumer("g", read="durable") as consumer:
                for _ in range(50):
                    consumer.receive(PATIENCE).release()
                self.assertLessEqual(consumer.commit(PATIENCE), last)
            with self.assertRaises(ValueError):
                producer.publish(b"x", level="deep")
        with self.assertRaises(shmq.Invalid):
            shmq.create("e", retain=shmq.Retain(bytes=1))

    def test_a_lost_host_is_told_and_dead_letters_are_not_lost(self):
        shmq.create("d", durability="disk")
        with shmq.Topic("d") as topic, topic.producer() as producer, \
                topic.consumer("g", max_attempts=2) as consumer:
            producer.publish(b"poison", level="durable", timeout=PATIENCE)
            for _ in range(2):
                consumer.receive(PATIENCE).nack()
            end = time.monotonic() + PATIENCE
            while not consumer.drained:
                self.assertLess(time.monotonic(), end)
                self.assertRaises(shmq.Timeout, consumer.receive, 0.02)
        self.daemon.kill()
        self.daemon.wait()
        prefix = "shmq.%s." % os.environ["SHMQ_NAMESPACE"]
        for name in os.listdir("/dev/shm"):  # as a reboot does
            if name.startswith(prefix) and not name.endswith(".t"):
                os.unlink("/dev/shm/" + name)
        with self.assertRaises(shmq.Error) as caught:
            shmq.daemon_status(timeout=0)
        self.assertEqual(caught.exception.name, "NODAEMON")
        self.start()
        with shmq.Topic("@dead.d") as dead, \
                dead.consumer(start="earliest") as reader:
            with reader.receive(PATIENCE) as message:
                self.assertEqual(message.data, b"poison")
        with shmq.Topic("d") as topic, topic.producer() as producer, \
                topic.consumer(start="earliest") as reader:
            producer.publish(b"next", level="durable", timeout=PATIENCE)
            for want in (b"poison", b"next"):
                with reader.receive(PATIENCE) as message:
                    self.assertEqual(message.data, want)
            self.assertEqual([g.reason for g in reader.gaps], ["lost"])


class Requests(Case):
    def test_calls_get_their_replies(self):
        child = self.child(
            "import shmq\n"
            "s = shmq.Topic('t').server()\n"
            "print('ready', flush=True)\n"
            "s.serve(lambda r: bytes(r.data).upper())\n")
        self.assertEqual(child.stdout.readline(), b"ready\n")
        with self.topic.caller() as caller:
            for i in range(100):
                self.assertEqual(
                    caller.call(b"a%d" % i, timeout=PATIENCE), b"A%d" % i)
        child.kill()
        child.wait()
        child.stdout.close()
        with self.topic.caller() as caller:
            with self.assertRaises(shmq.Timeout):
                caller.call(b"x", timeout=0.05)
        time.sleep(0.01)
        # It has expired. The child may have been killed between its last
        # reply and the acknowledgement: that request comes again.
        with self.topic.server() as server, \
                self.assertRaises(shmq.Timeout):
            while True:
                request = server.receive(timeout=0.05)
                self.assertEqual(bytes(request.data), b"a99")
                self.assertTrue(request.redelivered)
                server.reply(request, b"")

    def test_an_exception_of_the_handler_gives_the_request_back(self):
        with self.topic.server() as server, self.topic.server() as other:
            done = []

            def ask():
                with self.topic.caller() as caller:
                    done.append(caller.call(b"x", timeout=PATIENCE))

            thread = threading.Thread(target=ask)
            thread.start()
            with self.assertRaises(ZeroDivisionError):
                server.serve(lambda request: 1 / 0)
            other.serve(lambda request: b"late" if request.redelivered
                        else b"?", timeout=0.5)
            thread.join()
            self.assertEqual(done, [b"late"])


if __name__ == "__main__":
    unittest.main()
