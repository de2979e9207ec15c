#!/usr/bin/env python3
"""Recorded sessions of the wire protocol: a bridge answers them byte for byte,
and both clients' codecs tell of them what is written there. One byte changed is
found by either."""
import copy
import glob
import os
import random
import subprocess

from golden_play import *
from golden_support import *

DUMP = os.path.join(os.environ["SHMQ_TEST_BIN_DIR"], "wire_dump")
WANTED = ("HELLO WELCOME LIST DESCRIBE CREATE ATTACH CREDIT DELIVER ACK NACK "
          "COMMIT SEEK DETACH CHECK END PUBLISH PUBACK GAP PING PONG REVOKE ERROR "
          "BYE FEED PUSH").split()


def sessions():
    paths = sorted(glob.glob(f"{FOLDER}/*.session"))
    assert paths
    return [(os.path.basename(p), *read(p)) for p in paths]


def have_shmqd():
    return os.access(f"{BIN}/shmqd", os.X_OK)


def messages(steps):
    return [s for s in steps if s.kind in "<>"]


def test_every_message_is_in_one():
    told = {s.rest.split()[0] for _, _, steps in sessions()
            for s in messages(steps)}
    assert not set(WANTED) - told, set(WANTED) - told


def test_a_bridge_answers_as_recorded():
    frames = 0
    for name, with_shmqd, steps in sessions():
        if with_shmqd and not have_shmqd():
            continue
        try:
            replay(steps, with_shmqd)
        except Mismatch as e:
            raise AssertionError(f"{name}: {e}") from None
        frames += len(messages(steps))
    print(f"{frames} messages as recorded")


def flip(step, rng):
    """Changes a recorded byte of what the bridge sends."""
    part = rng.choice([p for p in step.parts if p])
    at = rng.choice([i for i, p in enumerate(part) if isinstance(p, bytes)])
    part[at] = bytes([part[at][0] ^ (1 << rng.randrange(8))])


def test_a_changed_byte_is_found_by_replay():
    rng = random.Random(7)
    name, with_shmqd, steps = next(s for s in sessions()
                                   if s[0] == "group.session")
    answers = [i for i, s in enumerate(steps) if s.kind == "<"]
    for at in rng.sample(answers, 4):
        changed = copy.deepcopy(steps)
        flip(changed[at], rng)
        try:
            replay(changed, with_shmqd)
        except Mismatch as e:
            assert f"line {steps[at].line}:" in str(e), (name, at, e)
        else:
            raise AssertionError(f"{name}, line {steps[at].line}: not found")


def told_in_python(step, parts):
    try:
        return tell(step.who, parts)
    except (ProtocolFault, UnicodeDecodeError) as e:
        return f"refused: {e}"


def told_in_c(lists):
    """What the C client's codec tells of each message."""
    lines = "".join(f"{who} {' '.join(p.hex() or '-' for p in parts)}\n"
                    for who, parts in lists)
    out = subprocess.run([DUMP], input=lines, capture_output=True, text=True,
                         check=True).stdout.splitlines()
    assert len(out) == len(lists)
    return out


def all_messages():
    return [s for _, _, steps in sessions() for s in messages(steps)]


def refusal(answer):
    """What a codec says of a request that the bridge answers like this."""
    status = int(answer.rest.split("status=")[1].split()[0])
    return f"refused: {STATUS[status]}" if answer.rest.startswith("ERROR") \
        else None


def test_both_codecs_tell_what_is_written():
    steps = all_messages()
    frames = [(s.who, fill(s.parts, any_value)) for s in steps]
    for step, answer, (_, parts), in_c in zip(
            steps, steps[1:] + steps[:1], frames, told_in_c(frames)):
        want = expected(step)
        # The bridge reads with this codec: what is no request is no message.
        if in_c.startswith("refused: ") and step.kind == ">":
            assert in_c == refusal(answer), (in_c, answer.rest)
            in_c = want
        in_python = told_in_python(step, parts)
        assert in_python == want, f"Python:\n{in_python}\nrecorded:\n{want}"
        assert in_c == want, f"C:\n{in_c}\nrecorded:\n{want}"
    print(f"{len(steps)} messages told alike by both")


def test_a_changed_byte_is_told_by_both_codecs():
    """Each byte of each control frame in turn, each fifth of payloads: never
    what is written."""
    steps = [s for s in all_messages() if s.who not in ("sub", "push") and
             "payload=damaged" not in s.rest]
    changed, rng = [], random.Random(11)
    for step in steps:
        parts = fill(step.parts, any_value)
        for number in range(len(parts)):
            for at in range(0, len(parts[number]), 1 if number == 0 else 5):
                other = list(parts)
                frame = bytearray(parts[number])
                frame[at] ^= 1 << rng.randrange(8)
                other[number] = bytes(frame)
                changed.append((step, other))
    in_c = told_in_c([(s.who, parts) for s, parts in changed])
    for (step, parts), c in zip(changed, in_c):
        want = expected(step)
        assert c != want, (step.line, step.rest)
        assert told_in_python(step, parts) != want, (step.line, step.rest)
    print(f"{len(changed)} changed bytes noticed")


if __name__ == "__main__":
    run_all(globals())
