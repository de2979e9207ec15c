"""The golden log of format 1: the command, the Python reader written from
docs/log-format.md and the stored dump agree, on it and on damaged copies; the
engine still writes the same bytes; verify and repair say and do what they
should."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

BIN = pathlib.Path(os.environ["SHMQ_BIN_DIR"])
SOURCE = pathlib.Path(os.environ["SHMQ_SOURCE_DIR"])
GOLDEN = SOURCE / "tests/data/log-v1"
READER = SOURCE / "docs/examples/read_log.py"
WRITER = pathlib.Path(os.environ["SHMQ_TEST_BIN_DIR"]) / "fault_golden_log"


def shmq(*args, status=0):
    run = subprocess.run([BIN / "shmq", "log", *args], capture_output=True)
    assert run.returncode == status, (args, run)
    return run.stdout


def reader(directory):
    return subprocess.run([sys.executable, READER, directory], check=True,
                          stdout=subprocess.PIPE).stdout


def damaged(directory, name, off, mask=1):
    with open(directory / name, "r+b") as file:
        file.seek(off)
        byte = file.read(1)[0]
        file.seek(off)
        file.write(bytes([byte ^ mask]))


def copy_of(parent, name):
    target = pathlib.Path(parent) / name
    shutil.copytree(GOLDEN, target)
    return target


def main():
    names = sorted(path.name for path in GOLDEN.glob("*.seg"))
    assert len(names) == 3
    dump = (GOLDEN / "dump.txt").read_bytes()
    assert shmq("dump", GOLDEN) == dump
    assert reader(GOLDEN) == dump
    shmq("verify", GOLDEN)
    assert len(shmq("ls", GOLDEN).splitlines()) == 3
    shmq("ls", GOLDEN / "absent", status=4)
    with tempfile.TemporaryDirectory() as parent:
        if WRITER.exists():
            again = pathlib.Path(parent) / "again"
            again.mkdir()
            subprocess.run([WRITER, again], check=True)
            for name in names:
                assert (again / name).read_bytes() == (
                    GOLDEN / name).read_bytes(), name
        # Payload, batch header, and a whole segment.
        for i, (off, gaps) in enumerate(((4096 + 300, 2), (8192 + 20, 2))):
            one = copy_of(parent, f"damaged{i}")
            damaged(one, names[0], off)
            out = shmq("dump", one)
            assert out != dump and out.count(b"gap ") == gaps, out
            assert b" corrupt\n" in out
            assert reader(one) == out
            shmq("verify", one, status=8)
        one = copy_of(parent, "missing")
        (one / names[1]).unlink()
        assert reader(one) == shmq("dump", one)
        shmq("verify", one, status=8)
        # One copy of a header: harmless, told, repaired.
        one = copy_of(parent, "header")
        damaged(one, names[0], 90)
        (one / "00000000000000000009.prep").write_bytes(b"x")
        assert shmq("dump", one) == dump
        shmq("verify", one, status=8)
        said = shmq("repair", "--dry-run", one)
        assert b"restored" in said and b".prep" in said
        shmq("verify", one, status=8)
        assert shmq("repair", one) == said
        shmq("verify", one)
        assert not (one / "00000000000000000009.prep").exists()
        assert (one / names[0]).read_bytes() == (GOLDEN / names[0]).read_bytes()
    print("golden log, reader, verify and repair agree")


if __name__ == "__main__":
    main()
