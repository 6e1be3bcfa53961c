"""The nemesis: does a seeded list of faults to the mesh, one after so many operations each."""

import asyncio
import contextlib
import dataclasses
import random
import resource
import signal
import struct
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, TypeVar

from libs.local.mesh.states import Process, State
from tests.faults import mesh
from tests.faults.histories import History
from tests.faults.kinds import ANSWERED, KINDS, LINKED, SIGNALS, STORED
from tests.faults.links import Link
from tests.faults.odometer import Odometer
from tests.faults.rest_port import RestPort
from tests.faults.robbery import MOMENTS, Robber, leading
from tests.faults.storage_port import METHODS, Fault, StoragePort

T = TypeVar("T")

LEADER: Final = "leader"
"""A place: whichever orchestrator leads."""

ABSENT_SECONDS: Final = 30.0
"""How long a fault waits for its process, which may be starting again."""

SKEWS: Final = (-86_400, -3_600, -30, 30, 3_600, 86_400)
WEIGHTS: Final = {"kill": 5, "term": 4, "stop": 4, "cut": 5, "delay": 3, "refuse": 3, "stall": 3}


@dataclasses.dataclass(frozen=True, slots=True)
class Strike:
    """One fault to come: what, to whom, after how many more operations, for how many seconds."""

    kind: str
    at: str
    after: int
    seconds: float


JOURNAL: Final = "journal"
"""A place: appends to the journal's stream."""


def _armed(strike: Strike) -> Fault:
    if strike.at == JOURNAL:
        return Fault(strike.kind, "AppendRows", strike.seconds, "/tables/run_events/")
    return Fault(strike.kind, strike.at, strike.seconds)


def places(kind: str) -> tuple[str, ...]:
    """Return what a kind of fault can be done to."""
    if kind in SIGNALS:
        return mesh.PROCESSES
    if kind in LINKED:
        return mesh.LINKS
    if kind in STORED:
        return (*METHODS, JOURNAL)
    return {"disk": mesh.SERVICES, "clock": mesh.WORKERS, "usurp": MOMENTS}.get(
        kind, ("bigquery_rest",)
    )


def strikes(seed: str, *, gap: int, more: int = len(KINDS)) -> list[Strike]:
    """Return one round of the schedule: every kind once, every process killed, and `more` at random."""
    chance = random.Random(seed)
    wanted = [(kind, chance.choice(places(kind))) for kind in KINDS if kind != "kill"]
    wanted += [("kill", name) for name in mesh.PROCESSES]
    others = chance.choices(KINDS, [WEIGHTS.get(kind, 2) for kind in KINDS], k=more)
    wanted += [(kind, chance.choice(places(kind))) for kind in others]
    chance.shuffle(wanted)
    return [
        Strike(
            kind, at, chance.randrange(gap // 2, gap + gap // 2), round(chance.uniform(0.3, 3), 2)
        )
        for kind, at in wanted
    ]


@dataclasses.dataclass(slots=True, kw_only=True)
class Nemesis:
    """Does faults, takes them back, and writes down when."""

    history: History
    odometer: Odometer
    links: Mapping[str, Link]
    rest: RestPort
    storage: StoragePort
    robber: Robber
    spec: mesh.Spec
    state: Callable[[], State]
    done: int = 0
    _number: int = 0
    _tasks: "set[asyncio.Task[None]]" = dataclasses.field(default_factory=set)
    _stopped: set[int] = dataclasses.field(default_factory=set)

    def struck(self, kind: str, at: str) -> None:
        """Write down a fault that an armed port has done."""
        self._write(kind, at, seconds=0.0)

    def _write(self, kind: str, at: str, *, seconds: float) -> None:
        self.done += 1
        self.history.write("fault", fault=kind, at=at, seconds=seconds)

    async def work(self, schedule: list[Strike], stop: asyncio.Event, *, patience: float) -> None:
        """Do each fault after its number of operations, or after `patience` seconds without them."""
        for strike in schedule:
            await self.odometer.reach(self.odometer.count + strike.after, within=patience)
            if stop.is_set():
                return
            await self.strike(strike)

    async def met(self, *, within: float) -> None:
        """Wait until every armed fault has met its call."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.storage.armed or self.rest.armed:
                    await self.odometer.reach(self.odometer.count + 1, within=1.0)

    async def strike(self, strike: Strike) -> None:
        """Do one fault; what lasts is taken back by itself."""
        kind, at = strike.kind, strike.at
        if kind in ANSWERED:
            self.rest.arm(kind, 1 + int(strike.seconds))
        elif kind in STORED:
            self.storage.arm(_armed(strike))
        elif kind in LINKED:
            self._write(kind, at, seconds=strike.seconds)
            self._later(self._link(kind, self.links[at], strike.seconds))
        elif kind == "usurp":
            await self._usurp(at, strike.seconds)
        else:
            process = await self._found(lambda: self._target(at))
            if process is None:
                self.history.write("spared", fault=kind, at=at)
                return
            self._write(kind, process.name, seconds=strike.seconds)
            self._process(kind, process, strike.seconds)

    def _target(self, at: str) -> Process | None:
        """Return the process that a place names; None while there is none."""
        leader = self.leader() if at == LEADER else None
        process = leader or self.state().process(mesh.ORCHESTRATORS[0] if at == LEADER else at)
        return process if process.identity is not None else None

    async def _found(self, look: Callable[[], T | None]) -> T | None:
        """Return what `look` finds as soon as there is something; None if there is nothing for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ABSENT_SECONDS):
                while (found := look()) is None:
                    await asyncio.sleep(0.05)
                return found
        return None

    def _process(self, kind: str, process: Process, seconds: float) -> None:
        assert process.identity is not None
        pid = process.identity.pid
        if kind == "kill":
            process.identity.signal(signal.SIGKILL)
        elif kind == "term":
            process.identity.signal(signal.SIGTERM)
        elif kind == "stop":
            self._later(self._pause(process, seconds))
        elif kind == "disk":
            self._later(self._fill(pid, seconds))
        else:
            self._later(self._skew(process.name, seconds))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _link(self, kind: str, link: Link, seconds: float) -> None:
        if kind == "delay":
            link.delay = seconds / 10
        elif kind == "stall":
            link.stall()
        else:
            link.refusing = kind == "refuse"
            link.cut()
        if kind != "cut":
            await asyncio.sleep(seconds)
            link.flow()

    async def _pause(self, process: Process, seconds: float) -> None:
        assert process.identity is not None
        if process.identity.signal(signal.SIGSTOP):
            await asyncio.sleep(seconds)
            process.identity.signal(signal.SIGCONT)

    async def _fill(self, pid: int, seconds: float) -> None:
        """Let every write to a file fail, as on a full disk: a limit of the kernel's, that needs no rights."""
        with contextlib.suppress(ProcessLookupError):
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
            await asyncio.sleep(seconds)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    async def _skew(self, worker: str, seconds: float) -> None:
        chance = random.Random(f"{worker} {seconds}")
        set_clock(self.spec, worker, chance.choice(SKEWS))
        await asyncio.sleep(seconds)
        set_clock(self.spec, worker, 0)

    async def _usurp(self, moment: str, seconds: float) -> None:
        """Stop the leader, hand its lease to another, and let it wake up beside its successor."""
        both = await self._found(lambda: self.robber.pair(moment))
        if both is None:
            self.history.write("spared", fault="usurp", at=moment)
            return
        leader, second = both
        self._write("usurp", leader.name, seconds=seconds)
        self.robber.rob(leader, second)
        self.links["orchestrator"].cut()
        self._later(self.robber.wake(leader, moment, seconds))

    def leader(self) -> Process | None:
        return leading(self.spec, self.state())

    async def settle(self, *, within: float) -> None:
        """Let every fault come to its end, then take back what is left."""
        await self.met(within=within)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        await self.heal()

    async def heal(self) -> None:
        """Take every fault back."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.storage.disarm()
        self.rest.disarm()
        for link in self.links.values():
            link.flow()
        for worker in mesh.WORKERS:
            set_clock(self.spec, worker, 0)
        for process in self.state().processes:
            if process.identity is not None:
                process.identity.signal(signal.SIGCONT)
                with contextlib.suppress(ProcessLookupError):
                    _, most = resource.prlimit(process.identity.pid, resource.RLIMIT_FSIZE)
                    resource.prlimit(process.identity.pid, resource.RLIMIT_FSIZE, (most, most))
        self.history.write("healed")


def set_clock(spec: mesh.Spec, worker: str, seconds: int) -> None:
    """Shift a worker's clock."""
    file = spec.skew(worker)
    if not file.exists():
        file.write_bytes(struct.pack("q", 0))
    with file.open("r+b") as opened:
        opened.write(struct.pack("q", seconds))
