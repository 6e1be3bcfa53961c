"""Metrics of runs, read from the ledger when somebody asks."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from libs.common.errors import ServiceError
from services.orchestrator.active import Seat
from services.orchestrator.runs.states import RunState


class RunMetrics(Collector):
    """Runs by state, epoch, journal position, chunks that workers have."""

    def __init__(self, registry: CollectorRegistry, seat: Seat) -> None:
        self._seat = seat
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known only when collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return gauges; only the active orchestrator has any but `active`."""
        try:
            active = self._seat.active()
        except ServiceError:
            yield _gauge("active", "Whether this orchestrator is active.", 0)
            return
        yield _gauge("active", "Whether this orchestrator is active.", 1)
        yield _gauge("epoch", "Number of this leadership.", active.history.epoch)
        yield _gauge("journal_position", "Newest durable record.", active.history.durable)
        chunks = sum(len(live.beats) for live in active.conductor.live.values())
        yield _gauge("chunks_running", "Chunks that workers have now.", chunks)
        states = Counter(run.state for run in active.ledger.runs.values())
        runs = GaugeMetricFamily(
            "convergence_orchestrator_runs", "Runs by state.", labels=["state"]
        )
        for state in RunState:
            runs.add_metric([state.value], states[state])
        yield runs


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"convergence_orchestrator_{name}", text, value=value)
