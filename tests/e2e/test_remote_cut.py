#!/usr/bin/env python3
"""A remote reader that has much unread when its connection ends: it reads what
has arrived, message by message, and goes on where that ends. (ZeroMQ ends the
process when a socket is made to give its connection up between two parts of a
message that is being received: found by e2e_remote_job in one run of many.)"""
import tempfile

from remote_support import ROOT
from bridge_peer import *

ROUNDS = 12
RECORDS = 1500


def test_a_reader_goes_on_where_its_connection_ended():
    with World() as w:
        w.shmq("create", "t", "--capacity", "65536",
               "--arena", "64M")
        path = f"{w.dir.name}/lines"
        with open(path, "wb") as out:
            p = w.spawn("--remote", w.bridge.router, "sub", "t", "--from",
                        "earliest", stdout=out)
        w.shmq("pub", "t", data=b"0\n")

        def lines():
            assert p.poll() is None, ("the reader has ended", p.returncode)
            with open(path) as f:
                return f.read().split("\n")[:-1]
        until(lambda: lines() == ["0"])
        sent = 1
        for i in range(ROUNDS):
            # It is given one message for each record, as long as it does not
            # read; then its connection ends, and it finds all of it at once.
            p.send_signal(signal.SIGSTOP)
            w.shmq("pub", "t", "--rate", "10000", data=b"".join(
                b"%d\n" % n for n in range(sent, sent + RECORDS + i)))
            sent += RECORDS + i
            w.bridge.kill()
            p.send_signal(signal.SIGCONT)
            time.sleep(0.05)
            w.bridge.start()
            until(lambda: len(lines()) >= sent)
        assert [int(x) for x in lines()] == list(range(sent))


def test_the_python_socket_reads_on():
    sys.path.insert(0, str(ROOT / "bridge/python"))
    from shmq_remote import sockets
    count = 200
    with tempfile.TemporaryDirectory(prefix="shmq-cut-") as directory:
        endpoint = f"ipc://{directory}/r"
        there, here = zmq.Context(), zmq.Context()
        router = there.socket(zmq.ROUTER)
        router.bind(endpoint)
        dealer, monitor = sockets.open_dealer(here, endpoint, sockets.Keys())
        dealer.send(b"hello")
        name = router.recv_multipart()[0]
        for i in range(count):
            router.send_multipart([name, b"%d" % i, b"payload"])
        router.close(int(PATIENCE * 1000))
        there.term()  # all was sent, and the connection ends
        while monitor.recv_multipart()[0][:2] != struct.pack(
                "<H", zmq.EVENT_DISCONNECTED):
            pass
        got = [dealer.recv_multipart(zmq.DONTWAIT) for _ in range(count)]
        assert got == [[b"%d" % i, b"payload"] for i in range(count)]
        sockets.close_dealer(dealer, monitor)
        here.term()


if __name__ == "__main__":
    run_all(globals())
