"""Metrics of schedules: counts read from the ledger when somebody asks, and how late fires were."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from libs.common.errors import ServiceError
from services.orchestrator.active import Active, Seat
from services.orchestrator.api.metrics import gauge, gauges

STATES = ("active", "paused", "hindered")
OUTCOMES = ("started", "skipped", "missed", "refused")


class ScheduleMetrics(Collector):
    """Schedules by state, fires by outcome, fires that wait; `lags` takes seconds of lateness."""

    def __init__(self, registry: CollectorRegistry, seat: Seat) -> None:
        self._seat = seat
        self.lags = Histogram(
            "convergence_orchestrator_fire_lag_seconds",
            "How long after its due time a fire was started.",
            registry=registry,
            buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 3600, 86400),
        )
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return what the active orchestrator's ledger says; nothing of others."""
        try:
            active = self._seat.active()
        except ServiceError:
            return
        yield from _metrics(active)


def _metrics(active: Active) -> Iterable[Metric]:
    states, outcomes, waiting = Counter[str](), Counter[str](), 0
    for name, schedule in active.ledger.schedules.by_pipeline.items():
        outcomes.update(schedule.counts.model_dump())
        waiting += len(schedule.waiting)
        if not schedule.gone:
            hindered = name in active.scheduler.hindrances
            states["paused" if schedule.pause else "hindered" if hindered else "active"] += 1
    counts = {state: states[state] for state in STATES}
    yield gauges("schedules", "Schedules by state.", "state", counts)
    fires = CounterMetricFamily(
        "convergence_orchestrator_fires", "Fires by what became of them.", labels=["outcome"]
    )
    for outcome in OUTCOMES:
        fires.add_metric([outcome], outcomes[outcome])
    yield fires
    yield gauge("fires_waiting", "Fires that wait.", waiting)
