#!/usr/bin/env python3
"""Reads a durable topic's log by docs/log-format.md alone and prints what
`shmq log dump` prints.
usage: read_log.py DIR"""
import os
import re
import struct
import sys

BLOCK, HEAD, MPMC_WIDTH, SPSC_EXTRA = 4096, 128, 4096, 24
TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data, crc=0):
    crc ^= 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def segment_head(block):
    """Section 3: the first intact copy."""
    for at in (0, 2048):
        copy = block[at:at + 512]
        if (len(copy) == 512 and copy[:8] == b"SHMQSEG1"
                and struct.unpack_from("<I", copy, 508)[0] == crc32c(copy[:508])):
            base, prev_end, salt = struct.unpack_from("<QQQ", copy, 88)
            return {"number": struct.unpack_from("<Q", copy, 80)[0],
                    "base": base, "prev_end": prev_end, "salt": salt,
                    "crc": struct.unpack_from("<I", copy, 508)[0]}
    return None


def batch_head(data, off, salt):
    """Section 4: a header that is right in itself, or None."""
    head = data[off:off + HEAD]
    if len(head) < HEAD or head[:4] != b"SQB1":
        return None
    crc, total, payload = struct.unpack_from("<III", head, 4)
    base, end, prev_end = struct.unpack_from("<QQQ", head, 16)
    data_crc, prev_crc = struct.unpack_from("<II", head, 68)
    block = struct.unpack_from("<I", head, 88)[0]
    if (crc != crc32c(head[8:], crc32c(struct.pack("<Q", salt)))
            or block != off // BLOCK or head[86] or head[87]):
        return None
    body = data[off + HEAD:off + HEAD + payload]
    good = len(body) == payload and crc32c(body) == data_crc
    return {"base": base, "end": end, "prev_end": prev_end, "crc": crc,
            "prev_crc": prev_crc, "total": total, "body": body if good else None}


def gap(first, last, reason):
    if first < last:
        print(f"gap {first} {last} {reason}")
    return max(first, last)


def frames(batch, pos):
    """Section 5."""
    body, off, end = batch["body"], 0, batch["base"]
    while off < len(body):
        start, producer, sequence, time = struct.unpack_from("<QQQQ", body, off)
        count, length, flags = struct.unpack_from("<III", body, off + 32)
        pos = gap(pos, start, "corrupt")
        print(f"frame {start} producer={producer} sequence={sequence} "
              f"time={time} records={count}")
        at, place = off + 48, start
        for _ in range(count):
            size, attrs = struct.unpack_from("<IH", body, at)
            data = at + 8 + (attrs + 7 & ~7)
            print(f"record {place} size={size} "
                  f"crc={crc32c(body[data:data + size]):08x}")
            width = data + (size + 7 & ~7) - at
            place += width + SPSC_EXTRA if flags & 1 else 1
            at += width
        end = pos = place if flags & 1 else start + MPMC_WIDTH
        off += 8 + length
    return gap(end, batch["end"], "corrupt")


def batches(data, head, limit, pos):
    """Section 6: from the first batch to the segment's effective end."""
    off, end, crc = BLOCK, head["base"], head["crc"]
    while limit is None or end < limit:
        batch = batch_head(data, off, head["salt"])
        reason = "lost"
        if not batch or (batch["prev_end"], batch["prev_crc"]) != (end, crc):
            if limit is None:
                break
            found = (batch_head(data, at, head["salt"])
                     for at in range(off, len(data), BLOCK))
            starts = range(off, len(data), BLOCK)
            off, batch = next(((a, b) for a, b in zip(starts, found)
                               if b and b["base"] < limit and b["end"] > pos),
                              (off, None))
            reason = "corrupt"
            if not batch:
                return gap(pos, limit, reason)
        pos = gap(pos, batch["base"], reason)
        if batch["body"] is None:
            if limit is None and batch["end"] > end:
                break
            pos = gap(pos, batch["end"], "corrupt")
        else:
            pos = frames(batch, pos) if batch["body"] else pos
        off, end, crc = off + batch["total"], batch["end"], batch["crc"]
        pos = max(pos, end)
    return pos


def main():
    names = sorted(n for n in os.listdir(sys.argv[1])
                   if re.fullmatch(r"\d{20}\.seg", n))
    segments = []
    for name in names:
        with open(os.path.join(sys.argv[1], name), "rb") as file:
            data = file.read()
        head = segment_head(data[:BLOCK])
        if head and head["number"] == int(name[:20]):
            segments.append((head, data))
    pos = segments[0][0]["base"] if segments else 0
    for i, (head, data) in enumerate(segments):
        limit = segments[i + 1][0]["prev_end"] if i + 1 < len(segments) else None
        if i and head["number"] > segments[i - 1][0]["number"] + 1:
            pos = gap(pos, head["prev_end"], "corrupt")
        if i:
            pos = gap(pos, head["base"], "lost")
        pos = batches(data, head, limit, pos)


if __name__ == "__main__":
    main()
