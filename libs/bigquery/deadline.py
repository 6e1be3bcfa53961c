"""One time limit shared by the several calls that an operation makes."""

import time


class Deadline:
    """`timeout` seconds from now, by the monotonic clock."""

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout

    def left(self) -> float:
        """Return the seconds that remain, at least a millisecond so that a call can still fail."""
        return max(0.001, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time remains."""
        return time.monotonic() >= self._end
