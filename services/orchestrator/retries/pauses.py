"""How long to wait before the next try, and how many tries there are."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from random import Random, SystemRandom
from typing import Final

LONGEST_ASKED_SECONDS: Final = 300.0
"""A neighbour that asks for more is asked again after this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Exponential back-off with full jitter, on top of what the neighbour asked for."""

    first_seconds: float
    """Longest pause after the first failed try; it doubles with each further one."""
    longest_seconds: float
    tries: int | None = None
    """How many tries there are in all; None: as many as it takes."""

    def exhausted(self, failed: int) -> bool:
        """Return whether `failed` tries were all."""
        return self.tries is not None and failed >= self.tries

    def ceiling(self, failed: int) -> float:
        """Return the longest pause after `failed` tries, 1 or more, where nobody asked for one."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(failed - 1, 30))

    def pause(self, failed: int, random: Random, *, asked_seconds: float = 0.0) -> float:
        """Return the seconds before the next try after `failed` tries, 1 or more.

        From what was asked for, at most LONGEST_ASKED_SECONDS, to `ceiling` more: those who were
        asked to come back at one moment do not all come back at that moment.
        """
        asked = min(max(asked_seconds, 0.0), LONGEST_ASKED_SECONDS)
        return asked + random.uniform(0.0, self.ceiling(failed))


STEP: Final = Policy(first_seconds=0.5, longest_seconds=30.0, tries=30)
"""A step of a run that a neighbour keeps from being done: some six minutes before PUBLISHING."""

CHUNK: Final = Policy(first_seconds=0.5, longest_seconds=30.0)
"""A chunk, on another worker; `limits.chunk_attempts` ends it."""

COMMIT: Final = Policy(first_seconds=0.5, longest_seconds=15.0, tries=8)
"""A batch of finished streams, while other chunks are read: a short outage throws no chunk away."""

TIDYING: Final = Policy(first_seconds=0.5, longest_seconds=60.0)
"""What an ended run has left behind: nobody waits for it, and nothing but success ends it."""

JOURNAL: Final = Policy(first_seconds=0.1, longest_seconds=2.0)
"""An append of the journal: everybody waits for it, and it is one caller."""

LEADERSHIP: Final = Policy(first_seconds=0.5, longest_seconds=2.0)
"""Opening the journal before anything can be decided, by one caller."""

PROJECTION: Final = Policy(first_seconds=2.0, longest_seconds=30.0)
"""Tables for people, by one caller."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Waits between tries. Time and randomness come from here."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Random = dataclasses.field(default_factory=SystemRandom)

    async def rest(self, policy: Policy, failed: int, *, asked_seconds: float = 0.0) -> None:
        """Wait as `policy` says after `failed` tries."""
        await self.sleep(policy.pause(failed, self.random, asked_seconds=asked_seconds))


REAL: Final = Pauses()
"""Waits in the time that passes."""
