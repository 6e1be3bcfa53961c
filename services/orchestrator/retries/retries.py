"""The one way in which work of runs is tried again."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from libs.common.errors import ServiceError
from services.orchestrator.retries.budgets import Budgets
from services.orchestrator.retries.causes import (
    Cause,
    Dependency,
    ErrorClass,
    Neighbour,
    cause_of,
)
from services.orchestrator.retries.pauses import REAL, Pauses, Policy
from services.orchestrator.specs import PipelineSpec

log = structlog.get_logger()

T = TypeVar("T")


class Retries:
    """Pauses, budgets and counts of an orchestrator. What is tried again may be repeated."""

    def __init__(self, pauses: Pauses = REAL) -> None:
        self.budgets = Budgets(pauses.sleep)
        self.counts: Counter[tuple[Neighbour, ErrorClass]] = Counter()
        """Retries that went out, by whom they asked again and why."""
        self.hedges: Counter[str] = Counter()
        """Second tries beside slow ones: `won` or `lost`."""
        self._pauses = pauses

    async def wait(self, policy: Policy, failed: int, cause: Cause) -> None:
        """Wait until the next try after `failed` ones may begin: a pause, then the budget's turn."""
        await self._pauses.rest(policy, failed, asked_seconds=cause.asked_seconds)
        await self.budgets.spend(cause.dependency)
        self.counts[cause.dependency.neighbour, cause.error_class] += 1

    def succeeded(self, dependencies: Iterable[Dependency]) -> None:
        """Note that these have done what they were asked."""
        for dependency in dependencies:
            self.budgets.earn(dependency)

    def calm(self, dependencies: Iterable[Dependency]) -> bool:
        """Return whether these are well enough to be asked for what nobody needs."""
        return all(self.budgets.calm(dependency) for dependency in dependencies)

    async def until_done(
        self,
        work: Callable[[], Awaitable[T]],
        policy: Policy,
        spec: PipelineSpec,
        *,
        stubborn: bool = False,
    ) -> T:
        """Do `work` for a pipeline until it is done.

        Raises what no try changes, unless `stubborn`, and the last error of all tries.
        """
        failed = 0
        while True:
            try:
                return await work()
            except ServiceError as error:
                failed += 1
                cause = cause_of(error, spec)
                if policy.exhausted(failed) or not (cause.error_class.passes or stubborn):
                    raise
                log.warning("call.delayed", cause=str(error), tries=failed)
            await self.wait(policy, failed, cause)
