"""Keeps the requests of one chunk apart, as its share of the provider's account allows."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(slots=True)
class RequestPace:
    """Each request is earned by the time since the one before, the first by the time since the start.

    So no more are made in any time than it has intervals, however many such paces begin and end.

    Args:
        per_minute: Requests; 0 is no bound.
        monotonic: Seconds.
    """

    per_minute: float
    monotonic: Callable[[], float]
    _due: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self._due = self.monotonic() + self._interval

    @property
    def _interval(self) -> float:
        return 60.0 / self.per_minute if self.per_minute else 0.0

    def next(self) -> float:
        """Return the seconds to wait before the next request, which has to be made then."""
        now = self.monotonic()
        wait = max(self._due - now, 0.0)
        self._due = now + wait + self._interval
        return wait
