"""PENDING → PLANNING: runs of a tenant begin in turn, while it has fewer than it may and bytes left."""

import asyncio
import contextlib
import dataclasses
import enum
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta

from libs.common.names import RunName
from services.orchestrator.journal.history import History
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.run import Run
from services.orchestrator.workers.lane_queue import LaneQueue


class Obstacle(enum.StrEnum):
    """Which limit keeps runs of a tenant from beginning, named as in `convergence.orchestrator.v1.RunLimit`."""

    LIVE_RUNS = "LIVE_RUNS"
    READ_BYTES = "READ_BYTES"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a run has not begun, and what it waits for."""

    obstacle: Obstacle
    ahead_count: int
    """Runs of its lane that go before it."""
    until: datetime | None
    """When it may go on if nothing else happens; None where nobody can say."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class _Applicant:
    """A run that would begin."""

    run: RunName
    lane: Lane
    order: tuple[int, ...]
    granted: asyncio.Future[None]


class Admission:
    """Lets runs begin as their tenants' limits allow, which the ledger says.

    A tenant's runs begin by lane and age; those of backfills have as many places as all others, and
    take none from them. A run that has begun is never stopped by a limit: it goes
    on, and counts as live, until it rests. What may begin is looked at when a record of the tenant
    says that something changed, and when the day ends.
    """

    def __init__(
        self,
        history: History,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._history = history
        self._clock = clock
        self._sleep = sleep
        self._queues: dict[str, LaneQueue[_Applicant]] = {}
        self._applicants: dict[RunName, _Applicant] = {}
        self._granted: defaultdict[str, set[RunName]] = defaultdict(set)
        """Runs that may begin, until the ledger says that they have or they gave up."""
        self._to_serve: set[str] = set()
        self._night: asyncio.Task[None] | None = None
        """Waits for the day's end while somebody waits for it."""
        history.follow(self._changed)

    @contextlib.asynccontextmanager
    async def turn(self, run: Run) -> AsyncGenerator[None]:
        """Wait until a PENDING run may begin, and let it do so in the block."""
        tenant = run.name.tenant
        applicant = _Applicant(
            run=run.name,
            lane=run.lane,
            order=(self._history.ledger.begun(run),),
            granted=asyncio.get_running_loop().create_future(),
        )
        queue = self._queues.setdefault(tenant, LaneQueue())
        queue.join(applicant)
        self._applicants[run.name] = applicant
        self._serve_soon(tenant)
        try:
            await applicant.granted
            yield
        finally:
            self._applicants.pop(run.name, None)
            if applicant in queue:
                queue.leave(applicant)
            self._granted[tenant].discard(run.name)
            self._serve_soon(tenant)

    def obstacle(self, tenant: str, lane: Lane) -> Obstacle | None:
        """Return why no further run of a tenant's lane may begin; None if one may."""
        ledger = self._history.ledger
        share = ledger.share(tenant)
        of_backfills = lane is Lane.BACKFILL
        begun = ledger.begun_runs(tenant, of_backfills=of_backfills)
        granted = (n for n in self._granted[tenant] if ledger.runs[n].of_backfill == of_backfills)
        if len(begun.union(granted)) >= share.live_run_count:
            return Obstacle.LIVE_RUNS
        today = self._clock().date()
        if 0 < share.read_bytes_per_day <= ledger.read_bytes_on(tenant, today):
            return Obstacle.READ_BYTES
        return None

    def wait_of(self, run: Run) -> Wait | None:
        """Return why a run waits to begin; None if it does not."""
        applicant = self._applicants.get(run.name)
        queue = self._queues.get(run.name.tenant)
        if applicant is None or queue is None or applicant not in queue:
            return None
        obstacle = self.obstacle(run.name.tenant, run.lane)
        if obstacle is None:
            return None
        return Wait(
            obstacle=obstacle,
            ahead_count=queue.ahead(applicant),
            until=self._midnight() if obstacle is Obstacle.READ_BYTES else None,
        )

    def waiting(self) -> dict[str, Counter[Lane]]:
        """Return how many runs wait to begin, by tenant and lane; of those only that have some."""
        return {
            tenant: Counter({lane: queue.count(lane) for lane in Lane})
            for tenant, queue in self._queues.items()
            if queue
        }

    def look_again(self, tenant: str) -> None:
        """Look what may begin now that the ledger says something else of a tenant."""
        if tenant in self._queues:
            self._serve_soon(tenant)

    async def close(self) -> None:
        """Let nobody begin any more."""
        if self._night is not None:
            self._night.cancel()
            await asyncio.gather(self._night, return_exceptions=True)

    def _changed(self, run: Run) -> None:
        self.look_again(run.name.tenant)

    def _serve_soon(self, tenant: str) -> None:
        """Serve when all have joined that do so now: after a start, the most urgent run begins first."""
        if not self._to_serve:
            asyncio.get_running_loop().call_soon(self._serve_all)
        self._to_serve.add(tenant)

    def _serve_all(self) -> None:
        tenants, self._to_serve = self._to_serve, set()
        for tenant in tenants:
            self._serve(tenant)

    def _serve(self, tenant: str) -> None:
        queue = self._queues.get(tenant)
        if queue is None:
            return
        while applicant := queue.first(self._open(tenant)):
            if applicant.granted.cancelled():
                queue.leave(applicant)
                continue
            queue.take(applicant)
            self._granted[tenant].add(applicant.run)
            applicant.granted.set_result(None)
        if not queue:
            del self._queues[tenant]
        elif self._night is None and Obstacle.READ_BYTES in self._obstacles(tenant):
            self._night = asyncio.create_task(self._until_midnight(), name="night")

    def _open(self, tenant: str) -> list[Lane]:
        """Return the lanes of which a further run may begin."""
        return [lane for lane in Lane if self.obstacle(tenant, lane) is None]

    def _obstacles(self, tenant: str) -> set[Obstacle | None]:
        return {self.obstacle(tenant, lane) for lane in Lane}

    def _midnight(self) -> datetime:
        day = self._clock().replace(hour=0, minute=0, second=0, microsecond=0)
        return day + timedelta(days=1)

    async def _until_midnight(self) -> None:
        await self._sleep((self._midnight() - self._clock()).total_seconds())
        self._night = None
        for tenant in list(self._queues):
            self._serve_soon(tenant)


def told(wait: Wait, share: Share) -> str:
    """Say which limit keeps a run of a tenant that may have `share`, and what to do."""
    match wait.obstacle:
        case Obstacle.LIVE_RUNS:
            return (
                "the tenant has as many live runs as its limit live_run_count allows, "
                f"{share.live_run_count}; wait until one ends, or have the limit raised"
            )
        case Obstacle.READ_BYTES:
            return (
                "the tenant's runs have read as many bytes today as its limit read_bytes_per_day "
                f"allows, {share.read_bytes_per_day}; wait until 00:00 UTC, or have the limit raised"
            )
