#!/usr/bin/env python3
"""Runs the tests of the Python package against the library just built, and the
asyncio example. Needs SHMQ_LIB_DIR and SHMQ_SOURCE_DIR."""
import os
import subprocess
import sys

source = os.environ["SHMQ_SOURCE_DIR"]
library = os.path.join(os.environ["SHMQ_LIB_DIR"], "libshmq.so.0")
env = dict(os.environ, SHMQ_LIBRARY=library, PYTHONDONTWRITEBYTECODE="1",
           PYTHONPATH=os.path.join(source, "tools/python"))

with open(library, "rb") as file:
    text = file.read()
if b"__asan_init" in text or b"__tsan_init" in text:
    print("skipped: a sanitizer's library cannot be loaded by python3")
    sys.exit(77)
done = subprocess.run([sys.executable, "-W", "error", "-m", "unittest", "-v",
                       "test_shmq"], env=env,
                      cwd=os.path.join(source, "tools/python/tests"))
if done.returncode != 0:
    sys.exit(1)
env["SHMQ_NAMESPACE"] = "pyex-%d" % os.getpid()
done = subprocess.run(
    [sys.executable, os.path.join(source, "docs/examples/asyncio_loop.py")],
    env=env, stdout=subprocess.PIPE, timeout=60)
subprocess.run([os.path.join(os.environ["SHMQ_BIN_DIR"], "shmq"), "rm",
                "--all", "--force"], env=env, check=False)
lines = done.stdout.decode().splitlines()
if done.returncode != 0 or sorted(lines) != sorted(
        ["work %d" % i for i in range(5)] + ["alert %d" % i for i in range(5)]):
    print("asyncio_loop.py:", done.returncode, lines)
    sys.exit(1)
print("asyncio_loop.py: as it should be")
