"""Metrics of runs, read from the ledger when somebody asks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from libs.common.errors import ServiceError
from services.orchestrator.active import Active, NotActive, Seat
from services.orchestrator.api.prometheus_retries import retry_metrics
from services.orchestrator.backfills.backfill import BackfillState
from services.orchestrator.conductor.admission import Admission, Obstacle
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.accounts import AccountStanding
from services.orchestrator.workers.dispatcher import Occupancy
from services.orchestrator.workers.fair_queue import Standing


class RunMetrics(Collector):
    """Runs by state, epoch, journal position, chunks that workers have or that wait, slots, retries."""

    def __init__(self, registry: CollectorRegistry, seat: Seat) -> None:
        self._seat = seat
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return gauges; only the active orchestrator has any but `active` and `leadership`."""
        try:
            active = self._seat.active()
        except ServiceError as refusal:
            yield gauge("active", "Whether this orchestrator is active.", 0)
            yield _leadership("standby" if refusal.reason == NotActive.reason else "blocked")
            return
        yield gauge("active", "Whether this orchestrator is active.", 1)
        yield _leadership("active")
        yield gauge("epoch", "Number of this leadership.", active.history.epoch)
        yield gauge("journal_position", "Newest durable record.", active.history.durable)
        lag = active.ledger.position - active.history.durable
        yield gauge("journal_lag_records", "Records decided that are not durable yet.", lag)
        chunks = sum(len(live.beats) for live in active.conductor.live.values())
        yield gauge("chunks_running", "Chunks that workers have now.", chunks)
        tenants, workers = active.mesh.dispatcher.tenants(), active.mesh.dispatcher.workers()
        yield from _waiting(tenants)
        yield _slots(workers)
        yield _workers(workers)
        waiting = sum(lane.waiting_count for tenant in tenants for lane in tenant.lanes)
        wanted = waiting + sum(worker.busy for worker in workers)
        yield gauge("slots_wanted", "Chunks that have a slot or wait for one.", wanted)
        streams = active.mesh.dispatcher.streams()
        yield gauge("streams_ready", "Streams that chunks may open at once.", streams.ready_count)
        seconds = streams.wait_seconds
        yield gauge("stream_wait_seconds", "Until a chunk may open a stream.", seconds)
        yield from _accounts(active.mesh.dispatcher.accounts.standings())
        yield _pending(active.conductor.admission)
        states = Counter(run.state for run in active.ledger.runs.values())
        yield gauges(
            "runs", "Runs by state.", "state", {one.value: states[one] for one in RunState}
        )
        yield _backfills(active)
        yield from retry_metrics(active.mesh.retries)


def _leadership(now: str) -> Metric:
    """Say whether it leads, stands by, or could not lead: the log has the reason."""
    text = "1 at what this orchestrator is; blocked: no lease, no right, no journal."
    states = ("active", "standby", "blocked")
    return gauges("leadership", text, "state", {state: state == now for state in states})


def _backfills(active: Active) -> Metric:
    states = Counter(one.state for one in active.ledger.backfills.by_name.values())
    counts = {state.value: states[state] for state in BackfillState}
    return gauges("backfills", "Backfills by state.", "state", counts)


def _waiting(tenants: Sequence[Standing]) -> Iterable[Metric]:
    waits = [tenant.wait_seconds for tenant in tenants if tenant.wait_seconds is not None]
    yield _chunks(tenants)
    yield gauge("tenants_waiting", "Tenants of which a chunk waits for a slot.", len(waits))
    longest = max(waits, default=0.0)
    yield gauge("longest_wait_seconds", "How long the first chunk waits for a slot.", longest)


def _chunks(tenants: Sequence[Standing]) -> Metric:
    counts = Counter(dict.fromkeys(Lane, 0))
    for tenant in tenants:
        counts.update({lane.lane: lane.waiting_count for lane in tenant.lanes})
    lanes = {lane.lower(): count for lane, count in counts.items()}
    return gauges("chunks_waiting", "Chunks that wait for a slot, by lane.", "lane", lanes)


def _accounts(accounts: Sequence[AccountStanding]) -> Iterable[Metric]:
    waiting = sum(account.waiting_count for account in accounts)
    text = "Chunks and plans that wait for requests of their account at a provider."
    yield gauge("requests_waiting", text, waiting)
    resting = sum(account.resting for account in accounts)
    yield gauge("accounts_resting", "Accounts that providers asked to leave alone.", resting)


def _pending(admission: Admission) -> Metric:
    counts = Counter(dict.fromkeys(Obstacle, 0))
    for tenant, lanes in admission.waiting().items():
        for lane, count in lanes.items():
            if count and (obstacle := admission.obstacle(tenant, lane)):
                counts[obstacle] += count
    text = "Runs that wait to begin, by what their tenant has none left of."
    limits = {obstacle.lower(): count for obstacle, count in counts.items()}
    return gauges("runs_waiting", text, "limit", limits)


def _slots(workers: Sequence[Occupancy]) -> Metric:
    counts = Counter({"busy": 0, "free": 0, "resting": 0, "draining": 0})
    for worker in workers:
        counts["busy"] += worker.busy
        idle = "draining" if worker.draining else "resting" if worker.resting else "free"
        counts[idle] += max(worker.slot_count - worker.busy, 0)
    return gauges("slots", "Slots of workers by state.", "state", counts)


def _workers(workers: Sequence[Occupancy]) -> Metric:
    counts = Counter(ready=0, draining=0)
    counts.update("draining" if worker.draining else "ready" for worker in workers)
    return gauges("workers", "Workers by state.", "state", counts)


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a gauge with a value for each value of a label."""
    family = GaugeMetricFamily(f"convergence_orchestrator_{name}", text, labels=[label])
    for labelled, value in values.items():
        family.add_metric([labelled], value)
    return family


def gauge(name: str, text: str, value: float) -> Metric:
    """Return a gauge with one value."""
    return GaugeMetricFamily(f"convergence_orchestrator_{name}", text, value=value)
