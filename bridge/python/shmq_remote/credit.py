"""What a stream may be sent, counted in totals (docs/wire.md, section 5)."""
from __future__ import annotations

from typing import Iterable


class Credit:
    """Bytes, or records, of one stream.

    What came with an earlier stream and is not taken yet (`left`) stands
    before all that comes with this one, so it is taken first; until then it
    is missing in what is granted, and memory stays bounded by the window
    however often the connection is lost."""

    def __init__(self, wished: int) -> None:
        self.wished = wished
        self.left = 0
        self.came = self.done = self.granted = 0

    def renew(self) -> None:
        """A new stream begins."""
        self.left += self.came - self.done
        self.came = self.done = self.granted = 0

    def taken(self, amount: int) -> None:
        """The oldest that is queued has been taken."""
        old = min(self.left, amount)
        self.left -= old
        self.done += amount - old

    def dropped(self) -> None:
        """All that is queued has been dropped."""
        self.left, self.done = 0, self.came

    @property
    def open(self) -> int:
        """Granted and not come yet, as far as we know."""
        return max(0, self.granted - self.came)

    def window(self, limit: int, streams: int, others: Iterable["Credit"]
               ) -> int:
        """How much may be on its way or queued. Of what the session may have
        open a quarter is kept back, in equal shares, for all streams that it
        may have; of the rest a stream leaves as much as it takes."""
        share = max(1, limit // (4 * max(1, streams)))
        free = limit - share * streams - sum(
            max(0, other.open - share) for other in others)
        return min(self.wished, share + max(0, free) // 2)

    def total(self, window: int) -> int:
        """What to have granted in all."""
        return max(self.granted, self.done + window - self.left)
