"""Metrics of retries and hedges: what went out, what waits, what is left."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from services.orchestrator.retries.causes import ErrorClass, Neighbour
from services.orchestrator.retries.retries import Retries

PASSING = [one for one in ErrorClass if one.passes]


def retry_metrics(retries: Retries) -> Iterable[Metric]:
    """Return what is known of retries since this orchestrator became active. Accounts have no names."""
    sent = CounterMetricFamily(
        "convergence_orchestrator_retries",
        "Retries by whom they asked again and why.",
        labels=["dependency", "class"],
    )
    left = GaugeMetricFamily(
        "convergence_orchestrator_retry_budget",
        "Retries that may go out at once; of accounts at sources, of the poorest one.",
        labels=["dependency"],
    )
    waiting = GaugeMetricFamily(
        "convergence_orchestrator_retries_waiting",
        "Retries that wait because the budget of their dependency is empty.",
        labels=["dependency"],
    )
    for neighbour in Neighbour:
        left.add_metric([neighbour], retries.budgets.left(neighbour))
        waiting.add_metric([neighbour], retries.budgets.waiting(neighbour))
        for passing in PASSING:
            sent.add_metric([neighbour, passing], retries.counts[neighbour, passing])
    hedges = CounterMetricFamily(
        "convergence_orchestrator_hedges",
        "Second tries beside slow chunks that have ended.",
        labels=["outcome"],
    )
    for outcome in ("won", "lost"):
        hedges.add_metric([outcome], retries.hedges[outcome])
    yield from (sent, left, waiting, hedges)
