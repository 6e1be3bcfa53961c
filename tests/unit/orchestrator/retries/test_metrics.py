"""Retries are counted by whom they asked again and why, and budgets are shown without names."""

import asyncio
from collections.abc import Iterable
from random import Random

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from services.orchestrator.api.prometheus_retries import retry_metrics
from services.orchestrator.retries.budgets import CAPACITY
from services.orchestrator.retries.causes import Cause, Dependency, ErrorClass, Neighbour
from services.orchestrator.retries.pauses import STEP, Pauses
from services.orchestrator.retries.retries import Retries


async def test_retries_budgets_and_hedges_are_told() -> None:
    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    retries = Retries(Pauses(sleep=sleep, random=Random(1)))
    account = Dependency(Neighbour.SOURCE, "acme_corp/openai_key")
    for failed in (1, 2):
        await retries.wait(STEP, failed, Cause(dependency=account, error_class=ErrorClass.QUOTA))
    retries.hedges["won"] += 1

    class All(Collector):
        def collect(self) -> Iterable[Metric]:
            return retry_metrics(retries)

    registry = CollectorRegistry()
    registry.register(All())

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"convergence_orchestrator_{name}", labels)

    assert value("retries_total", dependency="source", **{"class": "quota"}) == 2
    assert value("retries_total", dependency="workers", **{"class": "transient"}) == 0
    assert value("retry_budget", dependency="source") == CAPACITY - 2
    assert value("retry_budget", dependency="auth") == CAPACITY
    assert value("retries_waiting", dependency="source") == 0
    assert value("hedges_total", outcome="won") == 1
    shown = " ".join(str(sample) for metric in registry.collect() for sample in metric.samples)
    assert "acme" not in shown
