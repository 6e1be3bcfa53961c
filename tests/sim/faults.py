"""The network between an orchestrator and its neighbours: late, lost, twice, out of order, or the end of who calls."""

import asyncio
import contextlib
import contextvars
import dataclasses
import enum
import functools
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, NamedTuple

from tests.sim.loop import Process, VirtualLoop


class Fault(enum.StrEnum):
    """What may happen to one call."""

    DELAY = "delay"
    FAIL = "fail before"
    LOSE = "lost answer"
    REPEAT = "repeat"
    CRASH = "crash here"
    PAUSE = "pause here"
    """The caller stops before it sends the request, or before it hears the answer, and goes on much later."""
    REORDER = "reorder"
    """Seen, not chosen: a later call of the port took effect before this one."""


CHOSEN: Final = (Fault.DELAY, Fault.FAIL, Fault.LOSE, Fault.REPEAT, Fault.CRASH, Fault.PAUSE)
ENDS: Final = frozenset({Fault.CRASH, Fault.PAUSE})


class Point(NamedTuple):
    """A method of a port."""

    port: str
    method: str

    def __str__(self) -> str:
        return f"{self.port}.{self.method}"


DEDUPLICATED: Final = frozenset(
    {
        "delete_strays",
        "delete_stray_quarantine",
        "tidy_published",
        "tidy_unpublished",
        "take",
        "announce",
    }
)
"""Requests of which a second copy changes nothing, as the first one's job id (or version) is taken: these
are repeated by who asks, at once, and no copy arrives late."""

RARE: Final = frozenset(
    {
        "election.take",
        "election.announce",
        "journal.open",
        "warehouse.delete_strays",
        "warehouse.delete_stray_quarantine",
        "warehouse.keep_staging",
        "warehouse.tidy_unpublished",
    }
)
"""Points that few stories come by: these meet more when they do."""

EXCUSED: contextvars.ContextVar[bool] = contextvars.ContextVar("EXCUSED", default=False)
"""Whether what takes effect is a late copy, or was asked by a leader that is one no more."""


@dataclasses.dataclass(slots=True)
class Odds:
    """Which call meets what, by the seed alone."""

    random: Random
    rate: float
    forced: frozenset[int]
    """Numbers of calls that meet something in any case."""
    ends: int
    """How many crashes and pauses of callers are left."""
    calm: bool = False
    number: int = 0
    met: Counter[tuple[str, Fault]] = dataclasses.field(default_factory=Counter)
    chosen: int = 0
    """Faults of calls."""
    events: int = 0
    """Faults that are no call's: leaders that are killed or paused, workers that die."""

    def meets(self, point: Point) -> Fault | None:
        self.number += 1
        rate = 4 * self.rate if str(point) in RARE else self.rate
        due = self.number in self.forced or self.random.random() < rate
        if self.calm or not due:
            return None
        fault = self.random.choice(CHOSEN)
        if fault in ENDS:
            if not self.ends:
                fault = Fault.DELAY
            else:
                self.ends -= 1
        self.chosen += 1
        self.met[str(point), fault] += 1
        return fault

    def heads(self) -> bool:
        return self.random.random() < 0.5

    def pause(self, fault: Fault | None) -> float:
        """Return how long a request is on its way."""
        if fault is not Fault.DELAY:
            return self.random.uniform(0.001, 0.02)
        return self.random.choice([0.3, 1.0, 3.0, 12.0, 25.0]) * self.random.uniform(0.5, 1.5)


@dataclasses.dataclass(slots=True)
class Network:
    """Carries every call of every process."""

    loop: VirtualLoop
    odds: Odds
    crash: Callable[[Process], None]
    """kill -9."""
    stop: Callable[[Process], None]
    """A long pause."""
    old: Callable[[Process], bool]
    """Whether a process leads no more."""
    took_effect: Callable[[Point, Process], None]
    """Looks at the world after each effect."""
    tell: Callable[[str], None]
    issued: Counter[str] = dataclasses.field(default_factory=Counter)
    newest: Counter[str] = dataclasses.field(default_factory=Counter)
    """Number of the newest call of a port that has taken effect."""

    async def call(
        self,
        caller: Process,
        point: Point,
        effect: Callable[[], Awaitable[Any]],
        error: Callable[[str], Exception],
        about: str = "",
    ) -> Any:
        """Have a neighbour do something and return its answer, unless a fault prevents either.

        A caller that is cancelled waits until nothing of its call will happen any more, as the port
        promises; one that is killed waits for nothing.
        """
        fault = await self.begin(caller, point, about)
        self.issued[point.port] += 1
        number = self.issued[point.port]
        work = self.loop.outside(self._carry(caller, point, effect, error, fault, number))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await ended(work)
            raise

    async def begin(self, caller: Process, point: Point, about: str) -> Fault | None:
        """Return what a call will meet; the caller may be killed before it has sent anything."""
        fault = self.odds.meets(point)
        self.tell(f"{caller.name:5} {point} {about}{f'  <-- {fault}' if fault else ''}")
        if fault is Fault.CRASH and self.odds.heads():
            self.crash(caller)
            await asyncio.get_running_loop().create_future()
        if fault is Fault.PAUSE and self.odds.heads():
            self.stop(caller)
            await asyncio.sleep(0)
            return None
        return fault

    async def _carry(
        self,
        caller: Process,
        point: Point,
        effect: Callable[[], Awaitable[Any]],
        error: Callable[[str], Exception],
        fault: Fault | None,
        number: int,
    ) -> Any:
        await asyncio.sleep(self.odds.pause(fault))
        if fault is Fault.FAIL:
            raise error(f"{point}: nobody heard it")
        happen = functools.partial(self._happen, caller, point, effect, number)
        if fault is Fault.LOSE:
            with contextlib.suppress(Exception):
                await happen()
            raise error(f"{point}: the answer is lost")
        answer = await happen()
        if fault is Fault.REPEAT:
            if point.method in DEDUPLICATED or self.odds.heads():
                answer = await happen()
            else:
                self.loop.outside(self._echo(happen))
        self.end(caller, fault)
        await asyncio.sleep(self.odds.pause(None))
        return answer

    def end(self, caller: Process, fault: Fault | None) -> None:
        """Stop a caller that is to hear its answer late, or never."""
        if fault is Fault.CRASH:
            self.crash(caller)
        elif fault is Fault.PAUSE and caller.awake:
            self.stop(caller)

    async def _happen(
        self,
        caller: Process,
        point: Point,
        effect: Callable[[], Awaitable[Any]],
        number: int,
    ) -> Any:
        if self.old(caller):
            EXCUSED.set(True)
        try:
            return await effect()
        finally:
            if number < self.newest[point.port]:
                self.odds.met[str(point), Fault.REORDER] += 1
            self.newest[point.port] = max(number, self.newest[point.port])
            self.took_effect(point, caller)

    async def _echo(self, happen: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.sleep(self.odds.random.uniform(0.05, 5.0))
        EXCUSED.set(True)
        with contextlib.suppress(Exception):
            await happen()


async def ended(work: asyncio.Task[Any]) -> None:
    """Wait until a task has ended, however often the one that waits is cancelled."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({work})


class Wire:
    """A port as one process sees it: each of its asynchronous methods is a call over the network.

    `error` makes what a failed call raises; methods in `near` need no network.
    """

    def __init__(
        self,
        network: Network,
        caller: Process,
        port: str,
        target: object,
        error: Callable[[str], Exception],
        near: frozenset[str] = frozenset(),
    ) -> None:
        self._network = network
        self._caller = caller
        self._port = port
        self._target = target
        self._error = error
        self._near = near

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name in self._near or not inspect.iscoroutinefunction(method):
            return method
        point = Point(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            effect = functools.partial(method, *args, **kwargs)
            about = str(getattr(args[0], "name", "")) if args else ""
            return await self._network.call(self._caller, point, effect, self._error, about)

        setattr(self, name, call)
        return call
