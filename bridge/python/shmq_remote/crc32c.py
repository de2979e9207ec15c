"""CRC-32C (Castagnoli), by whatever there is: the packages google-crc32c or
crc32c, else two bytes at a time in Python."""
from __future__ import annotations

import sys
from array import array
from importlib import import_module
from typing import Callable, List


def _make_table() -> List[int]:
    one = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
        one.append(crc)
    table = []
    for value in range(65536):
        crc = one[value & 0xFF]
        table.append((crc >> 8) ^ one[(crc ^ (value >> 8)) & 0xFF])
    return table


_TABLE: List[int] = []


def portable(data: bytes) -> int:
    """By tables, in Python."""
    global _TABLE
    if not _TABLE:
        _TABLE = _make_table()
    table = _TABLE
    crc = 0xFFFFFFFF
    even = len(data) & ~1
    words = array("H", bytes(memoryview(data)[:even]))
    if sys.byteorder == "big":
        words.byteswap()
    for word in words:
        crc = table[(crc ^ word) & 0xFFFF] ^ (crc >> 16)
    if even != len(data):
        byte = (crc ^ data[-1]) & 0xFF
        for _ in range(8):
            byte = (byte >> 1) ^ 0x82F63B78 if byte & 1 else byte >> 1
        crc = (crc >> 8) ^ byte
    return crc ^ 0xFFFFFFFF


def _choose() -> Callable[[bytes], int]:
    try:
        found: Callable[[bytes], int] = import_module("google_crc32c").value
        return found
    except ImportError:
        pass
    try:
        found = import_module("crc32c").crc32c
        return found
    except ImportError:
        return portable


crc32c: Callable[[bytes], int] = _choose()
