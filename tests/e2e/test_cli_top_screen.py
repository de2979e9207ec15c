#!/usr/bin/env python3
"""shmq top on a terminal: redraws, cuts to the window, follows its size, and
gives the screen back. Needs SHMQ_BIN_DIR, the folder of the programs."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

SHMQ = os.path.join(os.environ["SHMQ_BIN_DIR"], "shmq")
NAMESPACE = "top-%d" % os.getpid()
ENV = dict(os.environ, SHMQ_NAMESPACE=NAMESPACE, TERM="xterm")
PATIENCE_S = 60


class Screen:
    """A terminal that knows the sequences that top uses, and no others."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.alternate = False
        self.draws = 0
        self.pending = b""
        self.clear()

    def clear(self):
        self.lines = [""] * self.rows
        self.row = self.column = 0

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        lines = (self.lines + [""] * rows)[:rows]
        self.lines = [line[:columns] for line in lines]

    def put(self, char):
        assert self.column < self.columns, "a line is too long"
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + char + line[self.column + 1:]
        self.column += 1

    def escape(self, code):
        if code in ("?1049h", "?1049l"):
            self.alternate = code.endswith("h")
        elif code == "2J":
            self.clear()
        elif code == "H":
            self.row = self.column = 0
            self.draws += 1
        elif code == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif code == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            for row in range(self.row + 1, self.rows):
                self.lines[row] = ""
        else:
            assert code in ("?25h", "?25l"), code

    def feed(self, data):
        text = self.pending + data
        while text:
            match = re.match(rb"\x1b\[([?0-9;]*[A-Za-z])", text)
            if match:
                self.escape(match[1].decode())
                text = text[match.end():]
            elif text.startswith(b"\x1b") and len(text) < 8:
                break
            else:
                char = text[:1].decode()
                text = text[1:]
                if char == "\r":
                    self.column = 0
                elif char == "\n":
                    self.row += 1
                    assert self.row < self.rows, "the screen scrolls"
                else:
                    self.put(char)
        self.pending = text


def shmq(*args):
    subprocess.run([SHMQ, *args], env=ENV, check=True, timeout=2 * PATIENCE_S)


def set_size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(fd, screen, done, what):
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, (what, screen.lines)
        if select.select([fd], [], [], 0.1)[0]:
            try:
                screen.feed(os.read(fd, 65536))
            except OSError:  # the other side is closed
                assert done(), (what, screen.lines)
                return


def main():
    try:
        master, slave = pty.openpty()
    except OSError as error: # a root without /dev/pts
        print("skipped: no terminal to be had here: %s" % error)
        sys.exit(77)
    for i in range(30):
        shmq("create", "topic%02d" % i, "--capacity", "16")
    set_size(slave, 100, 40)
    screen = Screen(100, 40)
    top = subprocess.Popen([SHMQ, "top", "--interval", "30s"], env=ENV,
                           stdout=slave, stdin=slave, start_new_session=True)
    read_until(master, screen, lambda: "topic29" in "".join(screen.lines),
               "all topics fit")
    assert screen.alternate
    assert screen.lines[0].endswith("namespace %s, 30 topics" % NAMESPACE)
    # Smaller: drawn again at once, long before the next look; nothing wraps
    # and nothing scrolls, which Screen would notice.
    draws = screen.draws
    screen.resize(40, 10)
    set_size(slave, 40, 10)
    os.kill(top.pid, signal.SIGWINCH)  # no controlling terminal sends it
    read_until(master, screen, lambda: screen.draws > draws and
               screen.lines[9].startswith("topic06"), "cut to the window")
    assert all(len(line) <= 40 for line in screen.lines)
    draws = screen.draws
    screen.resize(120, 40)
    set_size(slave, 120, 40)
    os.kill(top.pid, signal.SIGWINCH)
    read_until(master, screen, lambda: screen.draws > draws and
               screen.lines[32].startswith("topic29"), "larger again")
    os.kill(top.pid, signal.SIGINT)
    read_until(master, screen, lambda: not screen.alternate, "screen is back")
    assert top.wait(PATIENCE_S) == 128 + signal.SIGINT
    os.close(slave)
    os.close(master)
    print("test_cli_top_screen.py: passed, %d draws" % screen.draws)


if __name__ == "__main__":
    try:
        main()
    finally:
        subprocess.run([SHMQ, "rm", "--all", "--force"], env=ENV, check=False)
    sys.exit(0)
