"""Virtual time: a loop that never waits, and processes that can be stopped between two steps."""

import asyncio
import collections
import contextvars
import dataclasses
import heapq
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST_STEPS: Final = 100_000
"""A story takes some thousand."""


class Stuck(Exception):
    """Time cannot go on."""


@dataclasses.dataclass(eq=False, slots=True)
class Process:
    """What was spawned in it, and whatever that starts, goes on only while it is awake.

    A paused process keeps what became due meanwhile and does it when it wakes up; one that was
    killed never does. No `finally` of its runs: the kernel asks nobody.
    """

    name: str
    awake: bool = True
    dead: bool = False
    kept: list[Any] = dataclasses.field(default_factory=list)
    killed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)


class Numbered(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(self, coro: Any, *, number: int, **kwargs: Any) -> None:
        self.number = number
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without I/O whose clock jumps to the next timer when nothing is ready.

    Two runs of the same code take the same steps in the same order.
    """

    _ready: collections.deque[Any]
    _scheduled: list[Any]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.failure: BaseException | None = None
        """Once set, the loop raises it after the present step, whoever would have caught it."""
        self.ending = False
        self.steps = 0
        self._tasks: list[Numbered] = []
        self._processes: list[Process] = []
        self.set_task_factory(self._numbered)
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        return self.now

    def _numbered(self, loop: Any, coro: Any, **kwargs: Any) -> Numbered:
        task = Numbered(coro, loop=loop, number=len(self._tasks), **kwargs)
        self._tasks.append(task)
        return task

    def outside(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that belongs to no process."""
        return self.create_task(work, context=contextvars.Context())

    def spawn(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task of a process."""
        if process not in self._processes:
            self._processes.append(process)
        context = contextvars.Context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def pause(self, process: Process) -> None:
        process.awake = False

    def wake(self, process: Process) -> None:
        """Let a paused process go on with what became due meanwhile."""
        if not process.dead:
            self._release(process)

    def kill(self, process: Process) -> None:
        process.awake, process.dead = False, True
        process.killed.set()

    def _release(self, process: Process) -> None:
        process.awake = True
        self._ready.extend(process.kept)
        process.kept.clear()

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Stuck("it goes round in circles")
        if not self._ready:
            self._jump()
        while self._scheduled and self._scheduled[0]._when <= self.now:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._ready.append(timer)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is not None and not process.awake:
                process.kept.append(handle)
                continue
            handle._run()
            if self.failure is not None and not self.ending:
                raise self.failure

    def _jump(self) -> None:
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        if self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        elif not self._stopping:
            raise Stuck("nothing is ready, and no timer is set")

    def _write_to_self(self) -> None:
        """There is no selector to wake up."""

    def wind_up(self) -> None:
        """End every task, also those of processes that were killed, and close the loop."""
        self.ending = True
        self.steps = 0
        for process in self._processes:
            self._release(process)
        self.call_soon(self.stop)
        self.run_forever()
        self.run_until_complete(self._end())
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.close()

    async def _end(self) -> None:
        me = asyncio.current_task()
        for _ in range(50):
            left = [task for task in self._tasks if task is not me and not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
        await self.shutdown_asyncgens()
