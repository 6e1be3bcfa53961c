"""Failed authentications: those seen lately, and how many an address may cause."""

from collections import OrderedDict
from typing import Final

from libs.common.errors import QuotaExceeded

REMEMBERED_SECONDS: Final = 5.0
"""How long a key that was not found is refused without looking again; a refresh that brings it ends that."""
FAILURES_PER_SECOND: Final = 1.0
FAILURE_BURST: Final = 30
CAPACITY: Final = 10_000
"""Digests and addresses kept; the oldest give way."""


class AuthenticationThrottled(QuotaExceeded):
    reason = "AUTHENTICATION_THROTTLED"

    def __init__(self, peer: str, wait: float) -> None:
        super().__init__(
            f"too many failed authentications from {peer or 'callers without an address'}; "
            f"wait {wait:.1f} s and check the key",
            retry_after=wait,
            peer=peer,
        )


class Failures:
    """Digests that were not found, and a bucket of failures per peer. Times are monotonic seconds."""

    def __init__(
        self,
        *,
        rate: float = FAILURES_PER_SECOND,
        burst: int = FAILURE_BURST,
        capacity: int = CAPACITY,
    ) -> None:
        self._rate = rate
        self._tolerance = (burst - 1) / rate
        self._capacity = capacity
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._due: OrderedDict[str, float] = OrderedDict()

    def admit(self, peer: str, now: float) -> None:
        """Count one failure of `peer`; raise AuthenticationThrottled if it has used up its share."""
        due = max(self._due.get(peer, now), now)
        if due - now > self._tolerance:
            raise AuthenticationThrottled(peer, due - now - self._tolerance)
        self._remember(self._due, peer, due + 1 / self._rate)

    def note_unknown(self, digest: str, now: float) -> None:
        self._remember(self._unknown, digest, now + REMEMBERED_SECONDS)

    def lately_unknown(self, digest: str, now: float) -> bool:
        """Say whether the digest was looked for and not found within REMEMBERED_SECONDS."""
        return self._unknown.get(digest, now) > now

    def _remember(self, kept: OrderedDict[str, float], key: str, value: float) -> None:
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > self._capacity:
            kept.popitem(last=False)
