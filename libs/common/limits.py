"""Rate limits by GCRA: one number a key, exact, no timers."""

import dataclasses
from collections.abc import Callable
from typing import Final

from libs.common.errors import QuotaExceeded

LARGEST: Final = 100_000
"""Keys kept; past it those that owe nothing are forgotten."""


class RateLimited(QuotaExceeded):
    """A tenant calls faster than it may."""

    reason = "RATE_LIMITED"


@dataclasses.dataclass(slots=True)
class RateLimiter:
    """Admits `rate` calls a second on average, and `burst` at once after a pause.

    Without a burst it is twice the rate, and one call at least.

    Source: generic cell rate algorithm, ITU-T I.371.
    """

    rate: float
    monotonic: Callable[[], float]
    burst: int = 0
    _due: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.burst = self.burst or max(1, round(2 * self.rate))

    def take(self, key: str, *, rate: float = 0.0, burst: int = 0) -> float:
        """Admit a call and return 0.0, or return the seconds to wait.

        Args:
            key: Whose call it is.
            rate: The key's own calls per second; 0 means the limiter's.
            burst: The key's own calls at once; 0 means the limiter's.
        """
        rate, burst = rate or self.rate, burst or self.burst
        now = self.monotonic()
        due = max(self._due.get(key, now), now)
        tolerance = (burst - 1) / rate
        if due - now > tolerance:
            return due - now - tolerance
        if len(self._due) >= LARGEST:
            self._due = {k: d for k, d in self._due.items() if d > now}
        self._due[key] = due + 1 / rate
        return 0.0

    def admit(self, tenant: str, *, rate: float = 0.0, burst: int = 0) -> None:
        """Admit a call of a tenant. Raises RateLimited with the time to wait."""
        wait = self.take(tenant, rate=rate, burst=burst)
        if wait:
            limit = f"{rate or self.rate:g}/s, {burst or self.burst} at once"
            raise RateLimited(
                f"tenant {tenant} may make {limit}; call again in {wait:.3f} s",
                retry_after=wait,
                tenant=tenant,
                limit=limit,
            )
