"""Retries that a dependency is asked to bear: each success earns one, each retry spends one.

A budget delays a retry and never refuses it. Of any span of a dependency's life:

    retries <= CAPACITY + successes + TRICKLE_PER_SECOND * seconds

so whoever fails every call gets a trickle, however many runs need it, and whoever is well again gets
as many at once as have just succeeded, and more with each.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.orchestrator.retries.causes import Dependency, Neighbour

CAPACITY: Final = 20
"""Retries that may go out at once after quiet times."""

TRICKLE_PER_SECOND: Final = 1.0
"""Retries that go out of an empty budget."""

Sleep = Callable[[float], Awaitable[None]]


class Budget:
    """The retries of one dependency. Whoever waits longest goes first."""

    def __init__(self, sleep: Sleep) -> None:
        self.left = CAPACITY
        self.waiting = 0
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._earned = asyncio.Event()

    @property
    def untouched(self) -> bool:
        """Whether it is as a new one."""
        return self.left == CAPACITY and not self.waiting

    def earn(self) -> None:
        """Note that the dependency has done what it was asked."""
        self.left = min(self.left + 1, CAPACITY)
        self._earned.set()

    async def spend(self) -> None:
        """Wait until one more retry may go out."""
        self.waiting += 1
        try:
            async with self._turn:
                if self.left or not await self._trickled():
                    self.left -= 1
        finally:
            self.waiting -= 1

    async def _trickled(self) -> bool:
        """Wait until the trickle lets one out, or one is earned; return whether it was the trickle."""
        self._earned.clear()
        drop = asyncio.ensure_future(self._sleep(1 / TRICKLE_PER_SECOND))
        earned = asyncio.create_task(self._earned.wait())
        try:
            await asyncio.wait({drop, earned}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drop.cancel()
            earned.cancel()
        return not self.left


class Budgets:
    """A budget for each dependency. Those that are as new are not kept."""

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._budgets: dict[Dependency, Budget] = {}

    def __len__(self) -> int:
        return len(self._budgets)

    async def spend(self, dependency: Dependency) -> None:
        """Wait until a dependency may be asked once more."""
        await self._budgets.setdefault(dependency, Budget(self._sleep)).spend()

    def earn(self, dependency: Dependency) -> None:
        """Note that a dependency has done what it was asked."""
        if budget := self._budgets.get(dependency):
            budget.earn()
            if budget.untouched:
                del self._budgets[dependency]

    def calm(self, dependency: Dependency) -> bool:
        """Return whether more than half is left: only then is anything asked that nobody needs."""
        budget = self._budgets.get(dependency)
        return budget is None or budget.left > CAPACITY / 2

    def left(self, neighbour: Neighbour) -> int:
        """Return the retries that may go out at once; of accounts at sources, of the poorest one."""
        return min((budget.left for budget in self._of(neighbour)), default=CAPACITY)

    def waiting(self, neighbour: Neighbour) -> int:
        """Return how many retries wait for their turn."""
        return sum(budget.waiting for budget in self._of(neighbour))

    def _of(self, neighbour: Neighbour) -> list[Budget]:
        return [b for dependency, b in self._budgets.items() if dependency.neighbour is neighbour]
