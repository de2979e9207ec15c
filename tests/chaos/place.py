"""Where the run takes place: a private /dev/shm, a small disk that can be full,
a network that can be cut. All of it is made of namespaces, so that nothing is
left even if the run itself is killed."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

from slots import die_with_parent

HERE, THERE = "10.213.78.1", "10.213.78.2"


def enter(work):
    """Runs this program anew in namespaces of its own, and removes the folder
    `work` when that has ended, however it ended. Returns whether it is in them:
    where they cannot be made the run goes on without."""
    if "SHMQ_CHAOS_INSIDE" in os.environ:
        return os.environ["SHMQ_CHAOS_INSIDE"] == "yes"
    rights = [] if os.geteuid() == 0 else ["-r"]
    into = ["unshare", *rights, "-mnp", "--fork", "--kill-child",
            "--mount-proc"]
    probe = "mount -t tmpfs none /dev/shm && ip link add near type veth peer name far"
    try:
        able = subprocess.run([*into, "sh", "-c", probe], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        able = False
    os.environ["SHMQ_CHAOS_INSIDE"] = "yes" if able else "no"
    if able:
        # unshare passes no signal on, but takes all with it when it is killed.
        child = subprocess.Popen([*into, sys.executable, *sys.argv],
                                 preexec_fn=die_with_parent)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: child.kill())
        status = child.wait()
        shutil.rmtree(work, ignore_errors=True)
        sys.exit(status if status >= 0 else 1)
    return False


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class Disk:
    """A file system of its own: ext4 on a loop device, else in memory."""

    def __init__(self, work, megabytes):
        self.root = f"{work}/disk"
        self.filler = f"{self.root}/filler"
        os.mkdir(self.root)
        self.kind = "ext4"
        image = f"{work}/image"
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        steps = (["mkfs.ext4", "-q", "-m", "0", image],
                 ["mount", "-o", "loop", image, self.root])
        try:
            for step in steps:
                subprocess.run(step, check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            self.kind = "tmpfs"
            subprocess.run(["mount", "-t", "tmpfs", "-o",
                            f"size={megabytes}M", "none", self.root], check=True)
        os.unlink(image)

    def fill(self):
        # Space is taken, not written: a large disk is full as quickly.
        with open(self.filler, "ab", buffering=0) as file:
            for size in (64 << 20, 1 << 20, 4096):
                try:
                    while True:
                        os.posix_fallocate(
                            file.fileno(), os.fstat(file.fileno()).st_size, size)
                except OSError:
                    pass

    def free(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def end(self):
        subprocess.run(["umount", "-l", self.root], check=True)


class Network:
    """Another host, as far as the network goes."""

    def __init__(self):
        self.host = HERE
        ip("link", "set", "lo", "up")
        self.other = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        self.wrapper = ("nsenter", "-t", str(self.other.pid), "-n", "--")
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.other.pid}/ns/net") == ours:
            pass
        ip("link", "add", "near", "type", "veth", "peer", "name", "far",
           "netns", str(self.other.pid))
        ip("addr", "add", f"{HERE}/24", "dev", "near")
        ip("link", "set", "near", "up")
        for step in (("addr", "add", f"{THERE}/24", "dev", "far"),
                     ("link", "set", "far", "up"), ("link", "set", "lo", "up")):
            subprocess.run([*self.wrapper, "ip", *step], check=True)

    def cut(self):
        """Packets vanish; nobody is told."""
        ip("link", "set", "near", "down")

    def heal(self):
        ip("link", "set", "near", "up")

    def end(self):
        self.other.kill()
        self.other.wait()


class Proxy:
    """Where there may be no network of our own: all that the other host's
    clients send and get passes this process, which can be stopped."""

    def __init__(self, target):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.carrier = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).parent / "carrier.py",
             str(self.port), str(target)])

    def cut(self):
        self.carrier.send_signal(signal.SIGSTOP)

    def heal(self):
        self.carrier.send_signal(signal.SIGCONT)

    def end(self):
        self.carrier.kill()
        self.carrier.wait()


class Place:
    def __init__(self, work, inside, megabytes, port):
        """`port`: of the bridge, for the other host."""
        self.work, self.inside = work, inside
        self.disk, self.port = None, port
        self.host, self.wrapper = "127.0.0.1", ()
        self.data = f"{work}/data"
        if inside:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "none",
                            "/dev/shm"], check=True)
            self.disk, self.network = Disk(work, megabytes), Network()
            self.data = f"{self.disk.root}/data"
            self.host, self.wrapper = self.network.host, self.network.wrapper
        else:
            self.network = Proxy(port)
            self.port = self.network.port

    def end(self):
        self.network.end()
        if self.disk:
            self.disk.end()
        shutil.rmtree(self.work, ignore_errors=True)
