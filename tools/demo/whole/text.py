"""Lines to publish: of the files given, or real text found on the machine."""
import glob

from parts import Failed

PLACES = ("/var/log/*.log", "/var/log/*/*.log", "/var/log/syslog",
          "/var/lib/dpkg/status", "/usr/share/common-licenses/*",
          "/usr/share/doc/*/copyright", "/etc/services")
ENOUGH = 20000
POISON = b"\x00poison: a line that the enriching worker cannot read"


def lines_of(files):
    """Records as `shmq pub --file` makes them: the line feed goes, every other
    byte stays, a last line without one counts."""
    lines = []
    for name in files:
        with open(name, "rb") as file:
            parts = file.read().split(b"\n")
        lines += parts[:-1] if parts[-1] == b"" else parts
    return [line for line in lines if len(line) <= 60000]


def found_lines():
    lines = []
    for place in PLACES:
        for name in sorted(glob.glob(place)):
            try:
                lines += lines_of([name])
            except OSError:
                continue
            if len(lines) >= ENOUGH:
                return lines[:ENOUGH]
    if not lines:
        raise Failed("no text found on this machine; name some files")
    return lines


def write_lines(path, lines, count, start):
    """`count` of them, each publisher beginning elsewhere; the first one puts a
    line among them that spoils the enriching worker's day."""
    chosen = [lines[(start * 997 + i) % len(lines)] for i in range(count)]
    if start == 1:
        chosen[count // 3] = POISON
    with open(path, "wb") as file:
        file.write(b"".join(line + b"\n" for line in chosen))
    return path
