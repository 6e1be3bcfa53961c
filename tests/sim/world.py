"""Two orchestrators that may lead, their neighbours, and what is done to them."""

import asyncio
import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.records import Record
from services.orchestrator.schedules.scheduler import LOOK_SECONDS
from services.orchestrator.schedules.tenants import MemoryTenants
from services.orchestrator.specs import PipelineSpec, ScheduleSpec, TargetSpec, TransformSpec
from services.orchestrator.workers.memory_workers import MemoryJudge
from tests.sim.books import Books
from tests.sim.faults import Chance, Odds, Point
from tests.sim.invariants import Checks
from tests.sim.loop import Process, VirtualLoop
from tests.sim.neighbours import (
    Lease,
    SimJournals,
    SimSource,
    SimWarehouse,
    SimWorker,
    WorkerProcess,
)
from tests.sim.network import Network
from tests.sim.pods import LEASE_SECONDS, Pod
from tests.unit.orchestrator.conductor.world import NOON
from tests.unit.orchestrator.model.story import MODES, PIPELINES, spec_of

TENANTS: Final = ("acme_corp", "beta_inc")
PLANNER: Final = "cron_ltd"
"""Has a schedule and backfills, in every third story, in the place of the second tenant."""

RATES: Final = (0.02, 0.05, 0.1, 0.15)


@dataclasses.dataclass(slots=True)
class Tenant:
    """A customer: how it writes, what it has, what its table must hold."""

    name: str
    mode: str
    transforms: int
    source: SimSource = dataclasses.field(default_factory=SimSource)
    books: Books = dataclasses.field(default_factory=Books)
    schedule: ScheduleSpec | None = None

    @property
    def pipelines(self) -> tuple[str, ...]:
        """A transform of these stories copies a table that one pipeline alone writes to."""
        return PIPELINES[:1] if self.transforms else PIPELINES

    def spec(self, pipeline: str, account: str = "A") -> PipelineSpec:
        made = spec_of(self.mode, pipeline, account)
        transforms = tuple(
            TransformSpec(
                transform_id=f"t{n}",
                sql="SELECT 1",
                target=TargetSpec(dataset="silver_cost", table=f"silver{n}"),
                scope=(("_source", "x_SourceObject"),),
            )
            for n in range(self.transforms)
        )
        changes = {"tenant": self.name, "transforms": transforms, "schedule": self.schedule}
        return made.model_copy(update=changes)


def tenants_of(seed: int, random: Random) -> list[Tenant]:
    """Return the tenants of a seed's story."""
    first, second = (tenant(name, random) for name in TENANTS)
    return [first, Tenant(PLANNER, "report", 0) if seed % 3 == 0 else second]


def tenant(name: str, random: Random) -> Tenant:
    mode = random.choice(MODES)
    copied = mode not in {"report", "merge"}
    return Tenant(name, mode, random.choice([0, 0, 1, 2]) if copied else 0)


def odds(seed: int) -> Odds:
    """Return what calls of a seed's story meet."""
    random = Random(f"{seed}/odds")
    return Odds(
        random=random,
        rate=random.choice(RATES),
        forced=frozenset(random.sample(range(3, 45), 3)),
        ends=random.choice([0, 1, 2, 3]),
    )


class World:
    """Everything that a seed makes."""

    def __init__(
        self, seed: int, chance: Chance | None = None, tenants: "list[Tenant] | None" = None
    ) -> None:
        self.seed = seed
        self.random = Random(f"{seed}/world")
        self.loop = VirtualLoop()
        self.story: list[str] = []
        self.chance = chance or odds(seed)
        self.network = Network(
            self.loop,
            self.chance,
            self.kill,
            self._stop,
            self.depose,
            self._forget,
            self.old,
            self._took_effect,
            self.tell,
            self.fail,
        )
        self.events = 0
        """Faults that are no call's: leaders that are killed or paused, workers that die."""
        self.tenants = tenants or tenants_of(seed, self.random)
        self.catalogue = MemoryCatalogue()
        """The tenants' files, as far as schedules need them."""
        self.standings = MemoryTenants()
        """What auth says of tenants."""
        self.look_seconds = 0.0
        """Least time between two looks at schedules, of a story that lasts for days; 0: nobody looks."""
        self.down_until = 0.0
        """Until when no orchestrator is started again."""
        self.warehouse = SimWarehouse()
        self.journals = SimJournals()
        self.lease = Lease()
        self.judge = MemoryJudge()
        self.checks = Checks(
            self.journals,
            self.warehouse,
            {one.name: one.books for one in self.tenants},
            self.fail,
            self.tell,
        )
        self.journals.stored = self._stored
        self.workers = [self._worker(f"w{n}") for n in (1, 2)]
        self.pods = [Pod(self, name) for name in "AB"]
        self.epochs: dict[str, int] = {}
        """Terms by name of the process that won them."""
        self.overlapped = False
        """Whether a former leader went on beside its successor."""

    def _worker(self, address: str) -> WorkerProcess:
        serving = {
            one.name: SimWorker(
                f"{address}.{one.name}", one.source, self.warehouse, one.books.tries
            )
            for one in self.tenants
        }
        return WorkerProcess(address, serving)

    def _forget(self) -> None:
        self.warehouse.forget_streams()

    def tell(self, text: str) -> None:
        self.story.append(f"{self.loop.now:11.3f} {text}")

    def fail(self, error: BaseException) -> None:
        if self.loop.failure is None:
            self.tell(f"BROKEN {error}")
            self.loop.failure = error

    def old(self, process: Process) -> bool:
        """Whether a process has led, and another one has been elected since."""
        return 0 < self.epochs.get(process.name, 0) < self.lease.epoch

    def _stored(self, record: Record) -> None:
        with self._failing():
            self.checks.stored(record)

    def _took_effect(self, point: Point, caller: Process) -> None:
        if self.old(caller) and caller.awake and point.port != "journal":
            self.overlapped = True
        with self._failing():
            self.checks.look()
        holder = self.lease.holder
        if holder is not None and not holder.awake:
            self.later(LEASE_SECONDS, self.expire, holder)

    def expire(self, process: Process) -> None:
        """End the lease of a process that could not renew it."""
        if not process.awake:
            self.lease.release(process)

    @contextlib.contextmanager
    def _failing(self) -> Generator[None]:
        """What the checks stumble over ends the story; no caller of theirs may catch it."""
        try:
            yield
        except Exception as error:
            self.fail(error)
            raise

    def new_id(self) -> str:
        """Return an id that no two records share, and that is the same each time."""
        return f"e{self.random.getrandbits(64):x}"

    def later(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        self.loop.call_later(seconds, what, *args, context=contextvars.Context())

    def kill(self, process: Process) -> None:
        if not process.dead:
            self.tell(f"{process.name:5} KILLED")
            self.loop.kill(process)

    def pause(self, process: Process, seconds: float) -> None:
        """Stop a process for a while; its lease ends meanwhile if that is long."""
        self.tell(f"{process.name:5} PAUSED for {seconds:.1f} s")
        self.loop.pause(process)
        self.later(LEASE_SECONDS, self.expire, process)
        self.later(seconds, self._wake, process)

    def _stop(self, process: Process) -> None:
        self.pause(process, self.chance.stop())

    def _wake(self, process: Process) -> None:
        self.tell(f"{process.name:5} WAKES UP")
        self.loop.wake(process)

    def depose(self, process: Process) -> None:
        """End a lease whose holder goes on as if nothing had happened."""
        if self.lease.holder is process:
            self.tell(f"{process.name:5} LEASE ENDS")
            self.lease.release(process)

    async def rest(self, seconds: float) -> None:
        """Pass time between two looks at schedules, exact only when something is due at once."""
        if not self.look_seconds:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(seconds if seconds < LOOK_SECONDS else self.look_seconds)

    def now(self) -> datetime:
        """Return the time that all clocks are about."""
        return NOON + timedelta(seconds=self.loop.now)

    def outage(self, seconds: float) -> None:
        """Let no orchestrator run for a while."""
        self.tell(f"      nobody leads for {seconds / 3600:.2f} h")
        self.down_until = self.loop.now + seconds
        for pod in self.pods:
            self.kill(pod.process)

    def heal(self) -> None:
        """From here on nothing breaks any more."""
        self.tell("everything is well from here on")
        self.chance.calm = True
        self.down_until = 0.0
        self.standings.standings.clear()
        for pod in self.pods:
            if not pod.process.dead:
                self.loop.wake(pod.process)
        for worker in self.workers:
            worker.up = True
            for serving in worker.tenants.values():
                serving.failures.clear()
        self.warehouse.breaking = 0
        self.warehouse.broken_transforms.clear()

    def active(self) -> "list[Pod]":
        """Return who answers calls, the newest leader first."""
        found = [pod for pod in self.pods if pod.active is not None and not pod.process.dead]
        return sorted(found, key=lambda pod: -self.epochs.get(pod.process.name, 0))

    async def ledger(self) -> Ledger:
        """Return what the leader knows."""
        async with asyncio.timeout(300):
            while True:
                found = [pod for pod in self.active() if not self.old(pod.process)]
                if found and found[0].active is not None:
                    return found[0].active.ledger
                await asyncio.sleep(0.5)
