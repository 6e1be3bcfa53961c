"""Two orchestrators that may lead, their neighbours, and what is done to them."""

import asyncio
import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Generator
from datetime import timedelta
from random import Random
from typing import Any, Final, cast

from libs.common.errors import ServiceError, Unavailable
from services.orchestrator.active import Active, Seat, lead
from services.orchestrator.api.watches import Watches
from services.orchestrator.backfills.commands import BackfillCommands
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalSealed, JournalUnavailable
from services.orchestrator.retries.pauses import Pauses
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.records import Record
from services.orchestrator.schedules.scheduler import Scheduler
from services.orchestrator.schedules.tenants import MemoryTenants
from services.orchestrator.specs import PipelineSpec, TargetSpec, TransformSpec
from services.orchestrator.warehouse.memory_warehouse import Lost
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import MemoryJudge
from tests.sim.books import Books
from tests.sim.faults import Network, Odds, Point, Wire
from tests.sim.invariants import Broken, Checks
from tests.sim.loop import Process, VirtualLoop
from tests.sim.neighbours import (
    Lease,
    LeaseElection,
    LeaseTaken,
    SimJournals,
    SimSource,
    SimWarehouse,
    SimWorker,
    WorkerProcess,
    WorkerWire,
)
from tests.unit.orchestrator.conductor.world import NOON
from tests.unit.orchestrator.model.story import MODES, PIPELINES, spec_of

TENANTS: Final = ("acme_corp", "beta_inc")
LEASE_SECONDS: Final = 5.0
RATES: Final = (0.02, 0.05, 0.1, 0.15)


@dataclasses.dataclass(slots=True)
class Tenant:
    """A customer: how it writes, what it has, what its table must hold."""

    name: str
    mode: str
    transforms: int
    source: SimSource = dataclasses.field(default_factory=SimSource)
    books: Books = dataclasses.field(default_factory=Books)

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
        return made.model_copy(update={"tenant": self.name, "transforms": transforms})


def tenant(name: str, random: Random) -> Tenant:
    mode = random.choice(MODES)
    copied = mode not in {"report", "merge"}
    return Tenant(name, mode, random.choice([0, 0, 1, 2]) if copied else 0)


class World:
    """Everything that a seed makes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(f"{seed}/world")
        self.loop = VirtualLoop()
        self.story: list[str] = []
        self.odds = Odds(
            random=Random(f"{seed}/odds"),
            rate=self.random.choice(RATES),
            forced=frozenset(self.random.sample(range(3, 45), 3)),
            ends=self.random.choice([0, 1, 2, 3]),
        )
        self.network = Network(
            self.loop, self.odds, self.kill, self._stop, self.old, self._took_effect, self.tell
        )
        self.tenants = [tenant(name, self.random) for name in TENANTS]
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
        self.pause(process, self.odds.random.choice([3, 8, 12, 20, 40]))

    def _wake(self, process: Process) -> None:
        self.tell(f"{process.name:5} WAKES UP")
        self.loop.wake(process)

    def depose(self, process: Process) -> None:
        """End a lease whose holder goes on as if nothing had happened."""
        self.tell(f"{process.name:5} LEASE ENDS")
        self.lease.release(process)

    def heal(self) -> None:
        """From here on nothing breaks any more."""
        self.tell("everything is well from here on")
        self.odds.calm = True
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


class Pod:
    """A place where an orchestrator runs: it is started again whenever it ends."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._starts = 0
        self._random = Random(f"{world.seed}/pod {name}")
        self.process = Process(name)
        self.seat = Seat()

    @property
    def active(self) -> Active | None:
        try:
            return self.seat.active()
        except ServiceError:
            return None

    async def live(self) -> None:
        world = self._world
        while True:
            self._starts += 1
            self.process = process = Process(f"{self._name}{self._starts}")
            self.seat = Seat()
            world.tell(f"{process.name:5} starts")
            main = world.loop.spawn(process, self._lead(process, self.seat))
            killed = world.loop.outside(process.killed.wait())
            await asyncio.wait({main, killed}, return_when=asyncio.FIRST_COMPLETED)
            if not process.dead:
                self._ended(process, main)
                world.loop.kill(process)
            killed.cancel()
            world.later(LEASE_SECONDS, world.expire, process)
            await asyncio.sleep(self._random.uniform(0.2, 8.0))

    def _ended(self, process: Process, main: asyncio.Task[None]) -> None:
        error = None if main.cancelled() else main.exception()
        self._world.tell(f"{process.name:5} ends: {error!r}")
        expected = isinstance(error, JournalSealed | LeaseTaken | Unavailable)
        if not expected and not self._world.old(process):
            self._world.fail(Broken("no-crash", f"{process.name} ended: {error!r}"))

    async def _lead(self, process: Process, seat: Seat) -> None:
        world = self._world
        random = Random(f"{world.seed}/{process.name}")
        pauses = Pauses(sleep=asyncio.sleep, random=random)
        skew = timedelta(seconds=random.uniform(-20, 20))

        def clock() -> Any:
            return NOON + timedelta(seconds=world.loop.now) + skew

        def wire(port: str, target: object, error: Callable[[str], Exception]) -> Any:
            return Wire(world.network, process, port, target, error, frozenset({"close"}))

        journal = wire("journal", world.journals.member(), JournalUnavailable)

        def open_history(epoch: int) -> History:
            world.epochs[process.name] = epoch
            return History(journal, epoch=epoch, clock=clock, new_id=world.new_id, pauses=pauses)

        def open_active(history: History) -> Active:
            workers = [WorkerWire(world.network, process, one) for one in world.workers]
            mesh = Mesh(
                history=history,
                warehouse=wire("warehouse", world.warehouse, Lost),
                dispatcher=Dispatcher(workers, monotonic=world.loop.time, sleep=asyncio.sleep),
                judge=wire("judge", world.judge, _judge_away),
                clock=clock,
                sleep=asyncio.sleep,
                retries=Retries(pauses),
            )
            conductor = Conductor(mesh)
            commands = Commands(conductor, new_run_id=lambda: f"r{world.random.getrandbits(40):x}")
            backfills = BackfillCommands(
                history, clock=clock, new_id=lambda: f"b{world.random.getrandbits(40):x}"
            )
            return Active(
                conductor=conductor,
                commands=commands,
                watches=Watches(conductor),
                backfills=backfills,
                backfilling=BackfillRunner(history, commands),
                scheduler=Scheduler(
                    conductor, commands, MemoryCatalogue(), MemoryTenants(), sleep=_for_ever
                ),
            )

        election = LeaseElection(world.lease, world.network, process)
        await lead(
            seat, election, cast("Any", journal), open_history, open_active, lambda _: [], pauses
        )


async def _for_ever(_: float) -> None:
    """There are no schedules, and stories may last months: nobody looks at the files again."""
    await asyncio.get_running_loop().create_future()


def _judge_away(text: str) -> Exception:
    return Unavailable(text, reason="QUALITY_UNAVAILABLE")
