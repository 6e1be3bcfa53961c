"""The network between an orchestrator and its neighbours: late, lost, twice, out of order, or the end of who calls."""

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from libs.common.errors import ServiceError
from services.orchestrator.workers.workers import ChunkFailed, WorkerGone
from tests.sim.faults import Chance, Fault, Point
from tests.sim.loop import Process, VirtualLoop

T = TypeVar("T")

EXCUSED: contextvars.ContextVar[bool] = contextvars.ContextVar("EXCUSED", default=False)
"""Whether what takes effect is a late copy, or was asked by a leader that is one no more."""

ANSWERS: Final = (ServiceError, ChunkFailed, WorkerGone)
"""What a neighbour may raise: whatever else ends its work is a bug, whoever hears of it."""


@dataclasses.dataclass(slots=True)
class Network:
    """Carries every call of every process."""

    loop: VirtualLoop
    chance: Chance
    crash: Callable[[Process], None]
    """kill -9."""
    stop: Callable[[Process], None]
    """A long pause."""
    depose: Callable[[Process], None]
    """The end of a lease that nobody hears of."""
    forget: Callable[[], object]
    """Let all streams end that are not committed."""
    old: Callable[[Process], bool]
    """Whether a process leads no more."""
    took_effect: Callable[[Point, Process], None]
    """Looks at the world after each effect."""
    tell: Callable[[str], None]
    fail: Callable[[BaseException], None]
    """End the story: a neighbour has crashed."""
    met: Counter[tuple[str, Fault]] = dataclasses.field(default_factory=Counter)
    """Faults by point."""
    under_way: Counter[str] = dataclasses.field(default_factory=Counter)
    """Calls that have begun and not ended, by point."""
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
        self.under_way[str(point)] += 1
        work.add_done_callback(lambda _: self.under_way.subtract([str(point)]))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await ended(work)
            raise

    async def begin(self, caller: Process, point: Point, about: str) -> Fault | None:
        """Return what a call will meet; the caller may be killed before it has sent anything."""
        fault = self.chance.meets(point)
        self.tell(f"{caller.name:5} {point} {about}{f'  <-- {fault}' if fault else ''}")
        if fault is None:
            return None
        self.met[str(point), fault] += 1
        match fault:
            case Fault.CRASH_BEFORE:
                self.crash(caller)
                await asyncio.get_running_loop().create_future()
            case Fault.PAUSE_BEFORE:
                self.stop(caller)
                await asyncio.sleep(0)
            case Fault.DEPOSE:
                self.depose(caller)
            case Fault.ENDED:
                self.forget()
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
        await asyncio.sleep(self.chance.way(fault))
        if fault is Fault.FAIL:
            raise error(f"{point}: nobody heard it")
        happen = functools.partial(self._happen, caller, point, effect, number)
        if fault is Fault.LOSE:
            with contextlib.suppress(*ANSWERS):
                await happen()
            raise error(f"{point}: the answer is lost")
        answer = await happen()
        if fault is Fault.REPEAT:
            answer = await happen()
        elif fault is Fault.ECHO:
            self.loop.outside(self.echo(happen))
        self.end(caller, fault)
        await asyncio.sleep(self.chance.way(None))
        return answer

    def end(self, caller: Process, fault: Fault | None) -> None:
        """Stop a caller that is to hear its answer late, or never."""
        if fault is Fault.CRASH_AFTER:
            self.crash(caller)
        elif fault is Fault.PAUSE_AFTER and caller.awake:
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
            return await self.answer(effect)
        finally:
            if number < self.newest[point.port]:
                self.met[str(point), Fault.REORDER] += 1
            self.newest[point.port] = max(number, self.newest[point.port])
            self.took_effect(point, caller)

    async def answer(self, effect: Callable[[], Awaitable[T]]) -> T:
        """Have a neighbour do something; the story ends if it crashes over that."""
        try:
            return await effect()
        except ANSWERS:
            raise
        except Exception as error:
            self.fail(error)
            raise

    async def echo(self, happen: Callable[[], Awaitable[Any]]) -> None:
        """Let something happen again, some time later; nobody hears how that ends."""
        await asyncio.sleep(self.chance.echo())
        EXCUSED.set(True)
        with contextlib.suppress(*ANSWERS):
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
