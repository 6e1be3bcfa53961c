"""A place where an orchestrator runs: the real code, from the election to the phases of runs."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

from libs.common.errors import ServiceError, Unavailable
from services.orchestrator.active import Active, Seat, lead
from services.orchestrator.api.watches import Watches
from services.orchestrator.backfills.commands import BackfillCommands
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.limits import Limits
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.elections.elections import LeaseTaken
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalSealed, JournalUnavailable
from services.orchestrator.retries.pauses import Pauses
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs.records import Record
from services.orchestrator.schedules.records import FiresDecided
from services.orchestrator.schedules.scheduler import Scheduler
from services.orchestrator.warehouse.memory_warehouse import Lost
from services.orchestrator.workers.dispatcher import Dispatcher
from tests.sim.invariants import Broken
from tests.sim.loop import Process
from tests.sim.neighbours import (
    LeaseElection,
    LeaseUnavailable,
    WorkerWire,
)
from tests.sim.network import Wire
from tests.unit.orchestrator.conductor.world import NOON

if TYPE_CHECKING:
    from tests.sim.world import World
LEASE_SECONDS: Final = 5.0
DOWN_SECONDS: Final = 600.0
"""How often, while nobody may lead, it is looked whether that is over."""


class Pod:
    """A place where an orchestrator runs: it is started again whenever it ends."""

    def __init__(self, world: "World", name: str) -> None:
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
            while world.loop.now < world.down_until:
                await asyncio.sleep(min(world.down_until - world.loop.now, DOWN_SECONDS))

    def _ended(self, process: Process, main: asyncio.Task[None]) -> None:
        error = None if main.cancelled() else main.exception()
        self._world.tell(f"{process.name:5} ends: {error!r}")
        expected = isinstance(
            error, JournalSealed | JournalUnavailable | LeaseTaken | LeaseUnavailable
        )
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
            return Parting(journal, epoch=epoch, clock=clock, new_id=world.new_id, pauses=pauses)

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
            tenants = wire("tenants", world.standings, _auth_away)
            return Active(
                conductor=conductor,
                commands=commands,
                watches=Watches(conductor),
                backfills=backfills,
                backfilling=BackfillRunner(history, commands),
                scheduler=Scheduler(
                    conductor, commands, world.catalogue, tenants, sleep=world.rest
                ),
                limits=Limits(conductor, tenants, sleep=_for_ever),
            )

        election = LeaseElection(world.lease, world.network, process)
        await lead(
            seat, election, cast("Any", journal), open_history, open_active, lambda _: [], pauses
        )


class Parting(History):
    """Ends an append after a decision about fires: what follows from it may be lost with its leader."""

    def _take_group(self) -> list[Record]:
        group = History._take_group(self)
        last = next((n for n, x in enumerate(group) if isinstance(x.detail, FiresDecided)), None)
        if last is not None:
            rest = group[last + 1 :]
            self._queue.extendleft((x, self._journal.size_of(x)) for x in reversed(rest))
            del group[last + 1 :]
        return group


async def _for_ever(_: float) -> None:
    """Nobody has limits, and stories may last months."""
    await asyncio.get_running_loop().create_future()


def _auth_away(text: str) -> Exception:
    return Unavailable(text, reason="AUTH_UNAVAILABLE")


def _judge_away(text: str) -> Exception:
    return Unavailable(text, reason="QUALITY_UNAVAILABLE")
