"""Results of the library as exceptions; each flow outcome has its own."""
from __future__ import annotations

from ._native import lib


class Error(Exception):
    """A call failed; `code` is the library's number, `name` its name."""

    code = 0

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def name(self) -> str:
        return lib.shmq_err_name(self.code).decode()


class Full(Error):
    """The ring is full now, or the record was dropped (drop-new)."""


class Timeout(Error, TimeoutError):
    """The deadline passed."""


class Interrupted(Error):
    """A signal handler ran while waiting."""


class Closed(Error):
    """The topic was removed."""


class Invalid(Error, ValueError):
    """An argument is wrong."""


class NotFound(Error, LookupError):
    """No such topic or group."""


class Exists(Error):
    """Exists, or exists with other attributes."""


class Busy(Error):
    """In use by a living process."""


class NotPermitted(Error, PermissionError):
    """Not permitted."""


class Stale(Error):
    """The claim or the role has moved to another."""


class LayoutMismatch(Error):
    """Not a topic, or of another layout or schema."""


_BY_CODE = {-1: Full, -3: Timeout, -4: Interrupted, -5: Closed, -16: Invalid,
            -17: NotFound, -18: Exists, -19: Busy, -20: NotPermitted,
            -23: LayoutMismatch, -25: Stale}


def check(code: int) -> int:
    """Raises for a negative result, else returns it."""
    if code >= 0:
        return code
    name = lib.shmq_err_name(code).decode()
    text = "" if code in (-1, -2, -6) else lib.shmq_error_text().decode()
    raise _BY_CODE.get(code, Error)(code, f"{name}: {text}" if text else name)
