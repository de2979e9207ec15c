"""bridge_disk.py - a bridge beside a shmqd, for tests of durable topics."""
import signal
import struct

from bridge_peer import *

CREATE_DISK = bytes(8) + struct.pack("<I", 2) + bytes(60)


class Disk(World):
    def __init__(self, *options):
        super().__init__(start=False)
        self.daemon = subprocess.Popen(
            [f"{BIN}/shmqd", "--namespace", self.ns, "--data-dir",
             f"{self.dir.name}/data", "--io", "pwritev2"],
            stderr=open(f"{self.dir.name}/shmqd.log", "ab"))
        self.children.append(self.daemon)
        until(lambda: b" serves " in open(f"{self.dir.name}/shmqd.log",
                                          "rb").read(), what="shmqd")
        self.bridge = Bridge(self.ns, self.dir.name, *options)

    def __exit__(self, *args):
        self.daemon.send_signal(signal.SIGCONT)
        super().__exit__(*args)
