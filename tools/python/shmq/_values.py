"""Values for C: what it would cut short or wrap around is refused."""
from __future__ import annotations

from typing import Mapping, Optional, TypeVar

Key = TypeVar("Key")

LEVELS = {None: 0, "published": 1, "written": 2, "durable": 3}


def text(value: str) -> bytes:
    """A C string."""
    if not isinstance(value, str):
        raise TypeError(f"a str is wanted, not {type(value).__name__}")
    if "\0" in value:
        raise ValueError(f"{value!r}: has a NUL in it")
    return value.encode()


def text_or_none(value: Optional[str]) -> Optional[bytes]:
    return None if value is None else text(value)


def word(words: Mapping[Key, int], value: Key) -> int:
    """One of a few words."""
    if value not in words:
        known = ", ".join(str(w) for w in words if w is not None)
        raise ValueError(f"{value!r}: give one of {known}")
    return words[value]


def number(value: int, bits: int = 32) -> int:
    """An unsigned number of so many bits."""
    if not isinstance(value, int):
        raise TypeError(f"an int is wanted, not {type(value).__name__}")
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value}: must be 0 to 2^{bits} - 1")
    return value


def nanoseconds(seconds: float) -> int:
    """A duration that C can hold."""
    if not 0 <= seconds < 9e9:
        raise ValueError(f"{seconds}: must be 0 to 9e9 seconds")
    return int(seconds * 1e9)
