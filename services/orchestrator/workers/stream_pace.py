"""How fast chunks may open streams: BigQuery bounds the new ones of a project in an hour."""

import dataclasses
from typing import Final

BURST: Final = 0.2
"""Part of an hour's streams that may be opened at once after a pause."""

HOUR_SECONDS: Final = 3600.0


@dataclasses.dataclass(slots=True, kw_only=True)
class StreamPace:
    """A token bucket: in no hour more than `per_hour` streams are opened, whoever opens them.

    A fifth of them may be opened at once, the others come back evenly. Streams that could not be
    waited for are noted all the same, and delay the next ones.

    Source: generic cell rate algorithm, ITU-T I.371.
    """

    per_hour: int
    """0 is no bound."""
    _due: float = float("-inf")

    @property
    def _interval(self) -> float:
        return HOUR_SECONDS / (self.per_hour * (1 - BURST))

    def wait(self, now: float) -> float:
        """Return in how many seconds one more may be opened; 0 if now."""
        if not self.per_hour:
            return 0.0
        burst = max(int(self.per_hour * BURST), 1)
        return max(self._due - now - (burst - 1) * self._interval, 0.0)

    def opened(self, now: float) -> None:
        """Note that one was opened, or is about to be. Times of calls never go back."""
        if self.per_hour:
            self._due = max(self._due, now) + self._interval

    def unopened(self) -> None:
        """Take back one that was noted and not opened after all, soon after it was noted."""
        if self.per_hour:
            self._due -= self._interval

    def left(self, now: float) -> int:
        """Return how many may be opened at once; 0 also where there is no bound."""
        if not self.per_hour:
            return 0
        burst = max(int(self.per_hour * BURST), 1)
        return max(burst - int(-(-max(self._due - now, 0.0) // self._interval)), 0)
