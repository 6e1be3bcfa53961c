"""Whom an orchestrator talks to, in memory: BigQuery, the journal, sources, workers, the lease."""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.common.errors import FailedPrecondition, Unavailable
from libs.common.names import PipelineName, RunName
from services.orchestrator.elections.elections import LeaseTaken, Term
from services.orchestrator.journal.journal import MemoryJournal, MemoryJournals
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.memory_workers import Item, MemorySource
from services.orchestrator.workers.workers import Assignment, Beat, Planned, WorkerGone
from tests.sim.faults import Fault, Point
from tests.sim.loop import Process
from tests.sim.network import EXCUSED, Network
from tests.unit.orchestrator.model.story import LookingWorker

INGEST = Point("worker", "ingest")


@dataclasses.dataclass(slots=True)
class SimSource(MemorySource):
    """A source whose contents have the same hashes in every process."""

    def hash_of(self, name: str) -> str:
        text = repr([dataclasses.astuple(item) for item in self.inputs[name]])
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclasses.dataclass(slots=True)
class SimWarehouse(MemoryWarehouse):
    """Refuses what BigQuery would, where the fake it is made of is kinder, and notes what comes late."""

    breaking: int = 0
    """A dial: publishing jobs that will fail for good."""
    tidied: set[str] = dataclasses.field(default_factory=set)
    """Runs whose leavings were removed."""
    late: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    """Runs of which a late copy or a former leader has made `staging` or `quarantine` after that, until the
    leader tidies up again."""

    def _came_late(self, run: Run, what: str) -> None:
        if str(run.name) in self.tidied and EXCUSED.get():
            self.late.add((str(run.name), what))

    def _tidy(self, run: Run, *removed: str) -> None:
        self.tidied.add(str(run.name))
        if not EXCUSED.get():
            self.late.difference_update((str(run.name), what) for what in removed)

    async def prepare(self, run: Run, *, staging: bool, expire_time: datetime) -> None:
        await MemoryWarehouse.prepare(self, run, staging=staging, expire_time=expire_time)
        self._came_late(run, "staging")

    async def commit_staged(self, run: Run, done: Sequence[r.Landed]) -> None:
        if self.staging(run) not in self.tables:
            raise FailedPrecondition(f"{run.name} has no staging", reason="WAREHOUSE_REJECTED")
        await MemoryWarehouse.commit_staged(self, run, done)

    async def commit_quarantine(self, run: Run, done: Sequence[r.Landed]) -> None:
        await MemoryWarehouse.commit_quarantine(self, run, done)
        self._came_late(run, "quarantine")

    async def publish(self, run: Run, publishing: r.RunPublishing) -> None:
        if self.breaking and publishing.job_id not in self.jobs:
            self.breaking -= 1
            self.broken_jobs.add(publishing.job_id)
        await MemoryWarehouse.publish(self, run, publishing)

    async def tidy_published(self, run: Run, publishing: r.RunPublishing) -> None:
        await MemoryWarehouse.tidy_published(self, run, publishing)
        self._tidy(run, "staging")

    async def tidy_unpublished(self, run: Run) -> None:
        await MemoryWarehouse.tidy_unpublished(self, run)
        self._tidy(run, "staging", "quarantine")

    def forget_streams(self) -> int:
        """Let every stream end that is not committed; return how many."""
        known = {*self.committed, *self.gone}
        gone = [name for name in self.streams if name not in known]
        self.gone.update(gone)
        return len(gone)


class SimJournal(MemoryJournal):
    """A journal that shows each record to the checks when it is stored."""

    async def append(self, records: Sequence[r.Record]) -> None:
        shared = self.shared
        assert isinstance(shared, SimJournals)
        await MemoryJournal.append(self, records)
        shared.show()


@dataclasses.dataclass(slots=True)
class SimJournals(MemoryJournals):
    stored: Callable[[r.Record], None] = print
    shown: int = 0

    def show(self) -> None:
        """Tell of each record once, in the order in which they are stored."""
        while self.shown < len(self.records):
            self.shown += 1
            self.stored(self.records[self.shown - 1])

    def member(self) -> MemoryJournal:
        return SimJournal(self)


class SimWorker(LookingWorker):
    """A worker's work on one tenant's chunks: each try writes streams of its own."""

    def __init__(
        self,
        address: str,
        source: MemorySource,
        warehouse: MemoryWarehouse,
        tries: dict[str, tuple[Item, ...]],
    ) -> None:
        LookingWorker.__init__(self, address, source, warehouse)
        self.tries = tries
        self.streams = 0

    def _land(self, a: Assignment) -> r.Landed:
        self.streams += 1
        own = f"{self.address}.{self.streams}"
        named = dataclasses.replace(
            a, table=f"{a.table}/{own}", quarantine_table=f"{a.quarantine_table}/{own}"
        )
        items = tuple(self.items(a))
        for table in (named.table, named.quarantine_table):
            self.tries[f"{table}/{a.chunk_attempt}"] = items
        return LookingWorker._land(self, named)


@dataclasses.dataclass(slots=True, eq=False)
class WorkerProcess:
    """One worker: it serves both tenants while it is up."""

    address: str
    tenants: Mapping[str, SimWorker]
    up: bool = True
    open: Counter[Process] = dataclasses.field(default_factory=Counter)
    """Tries that a process listens to."""

    def of(self, tenant: str) -> SimWorker:
        if not self.up:
            raise Unavailable(f"{self.address} is down")
        return self.tenants[tenant]

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        return await self.of(parent.tenant).plan(parent, spec, window)

    async def land(self, assignment: Assignment) -> r.Landed:
        """Do a chunk to its end. Raises ChunkFailed, and WorkerGone where it dies meanwhile."""
        try:
            worker = self.of(assignment.run.tenant)
        except Unavailable as error:
            raise WorkerGone(str(error), refused=True) from None
        landed = [event async for event in worker.ingest(assignment)][-1]
        if not self.up or not isinstance(landed, r.Landed):
            raise WorkerGone(f"{self.address} died", refused=False)
        return landed


class WorkerWire:
    """A worker as one orchestrator sees it."""

    def __init__(self, network: Network, caller: Process, worker: WorkerProcess) -> None:
        self._network = network
        self._caller = caller
        self._worker = worker
        self.address = worker.address

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        effect = functools.partial(self._worker.plan, parent, spec, window)
        point = Point("worker", "plan")
        planned = await self._network.call(self._caller, point, effect, Unavailable, str(parent))
        assert isinstance(planned, Planned)
        return planned

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        """Listen to one try; who stops listening stops it, unless nobody hears of that."""
        about = f"{assignment.run} {assignment.chunk.input_id} try {assignment.chunk_attempt}"
        fault = await self._network.begin(self._caller, INGEST, about)
        work = self._network.loop.outside(self._try(assignment, fault))
        self._worker.open[self._caller] += 1
        try:
            yield Beat(slot_count=2)
            yield await asyncio.shield(work)
        finally:
            self._worker.open[self._caller] -= 1
            if fault is not Fault.DELAY:
                work.cancel()

    async def _try(self, assignment: Assignment, fault: Fault | None) -> r.Landed:
        chance = self._network.chance
        self._network.issued["ingest"] += 1
        number = self._network.issued["ingest"]
        await asyncio.sleep(chance.way(fault))
        if fault is Fault.FAIL:
            raise WorkerGone(f"{self.address} refused", refused=True)
        land = functools.partial(
            self._network.answer, functools.partial(self._worker.land, assignment)
        )
        landed = await land()
        if number < self._network.newest["ingest"]:
            self._network.met[str(INGEST), Fault.REORDER] += 1
        self._network.newest["ingest"] = max(number, self._network.newest["ingest"])
        if fault is Fault.REPEAT:
            landed = await land()
        elif fault is Fault.ECHO:
            self._network.loop.outside(self._network.echo(land))
        self._network.end(self._caller, fault)
        if fault is Fault.LOSE:
            raise WorkerGone(f"{self.address} fell silent", refused=False)
        await asyncio.sleep(chance.way(None))
        return landed


class LeaseUnavailable(Unavailable):
    """The lease cannot be asked or changed now."""


@dataclasses.dataclass(slots=True)
class Lease:
    """Who leads: changed by compare-and-swap, free once its holder has not renewed it in time."""

    epoch: int = 0
    stream: str = ""
    stream_epoch: int = 0
    holder: Process | None = None
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def term(self) -> Term:
        return Term(epoch=self.epoch, predecessor=self.stream, predecessor_epoch=self.stream_epoch)

    async def take(self, holder: Process, epoch: int) -> Term:
        """Lead after `epoch`. Raises LeaseTaken."""
        if self.holder is not None or self.epoch != epoch:
            raise LeaseTaken("somebody else was faster, or this copy came late")
        self.holder, self.epoch = holder, epoch + 1
        return self.term()

    async def announce(self, won: int, epoch: int, stream: str) -> None:
        """Say where the term that was `won` writes, as `epoch`. Raises LeaseTaken: another has begun."""
        if self.epoch != won:
            raise LeaseTaken("another has begun")
        self.stream, self.stream_epoch = stream, epoch

    def release(self, holder: Process) -> None:
        """Nothing was heard of the holder for too long."""
        if self.holder is holder:
            self.holder = None
            self.changed.set()
            self.changed = asyncio.Event()


class LeaseElection:
    """One process as a candidate for the lease."""

    def __init__(self, lease: Lease, network: Network, process: Process) -> None:
        self._lease = lease
        self._network = network
        self._process = process
        self._epoch = 0

    async def win(self) -> Term:
        while True:
            while self._lease.holder not in {None, self._process}:
                await self._lease.changed.wait()
            if self._lease.holder is None:
                with contextlib.suppress(LeaseTaken, LeaseUnavailable):
                    await self._call("take", self._process, self._lease.epoch)
            if self._lease.holder is self._process:
                self._epoch = self._lease.epoch
                return self._lease.term()
            await asyncio.sleep(0.2)

    async def announce(self, stream: str, epoch: int = 0) -> None:
        await self._call("announce", self._epoch, epoch or self._epoch, stream)

    async def lost(self) -> None:
        """Wait for ever: who was deposed goes on beside its successor until the journal tells it."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        self._lease.release(self._process)

    async def _call(self, method: str, *args: Any) -> Any:
        effect = functools.partial(getattr(self._lease, method), *args)
        point = Point("election", method)
        return await self._network.call(self._process, point, effect, LeaseUnavailable, "")
