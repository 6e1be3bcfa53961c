"""The client for code without an event loop: the same methods, each returning when it is done."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from libs.client.aio import AsyncClient
from libs.client.backfills import AsyncBackfills
from libs.client.connection import CALL_SECONDS
from libs.client.keys import AsyncKeys
from libs.client.pipelines import AsyncPipelines
from libs.client.runs import PATIENCE_SECONDS, AsyncRuns, Watched
from libs.client.schedules import AsyncSchedules
from libs.client.tenants import AsyncTenants

Inner = TypeVar("Inner")
Result = TypeVar("Result")
Params = ParamSpec("Params")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="convergence-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what `work` returns or raises; an interrupted caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[Result]) -> Iterator[Result]:
        """Yield the items of an asynchronous generator."""
        try:
            while True:
                try:
                    yield self.run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            with contextlib.suppress(RuntimeError):
                self.run(_close(items))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(items: AsyncIterator[Result]) -> Result:
    return await anext(items)


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


class Blocking(Generic[Inner]):
    """An asynchronous object and the loop that its methods run in."""

    def __init__(self, inner: Inner, loop: Loop) -> None:
        self.inner = inner
        self.loop = loop


def blocking(
    method: Callable[Concatenate[Inner, Params], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Blocking[Inner], Params], Result]:
    """Return `method` as one that returns when it is done."""

    @functools.wraps(method)
    def call(self: Blocking[Inner], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return self.loop.run(method(self.inner, *args, **kwargs))

    return call


class Pipelines(Blocking[AsyncPipelines]):
    """See AsyncPipelines."""

    get = blocking(AsyncPipelines.get)
    list = blocking(AsyncPipelines.list)
    validate = blocking(AsyncPipelines.validate)
    plan = blocking(AsyncPipelines.plan)


class Schedules(Blocking[AsyncSchedules]):
    """See AsyncSchedules."""

    get = blocking(AsyncSchedules.get)
    list = blocking(AsyncSchedules.list)
    pause = blocking(AsyncSchedules.pause)
    resume = blocking(AsyncSchedules.resume)


class Tenants(Blocking[AsyncTenants]):
    """See AsyncTenants."""

    create = blocking(AsyncTenants.create)
    get = blocking(AsyncTenants.get)
    list = blocking(AsyncTenants.list)
    update = blocking(AsyncTenants.update)
    suspend = blocking(AsyncTenants.suspend)
    resume = blocking(AsyncTenants.resume)
    delete = blocking(AsyncTenants.delete)


class Keys(Blocking[AsyncKeys]):
    """See AsyncKeys."""

    create = blocking(AsyncKeys.create)
    list = blocking(AsyncKeys.list)
    rotate = blocking(AsyncKeys.rotate)
    revoke = blocking(AsyncKeys.revoke)


class Backfills(Blocking[AsyncBackfills]):
    """See AsyncBackfills."""

    start = blocking(AsyncBackfills.start)
    get = blocking(AsyncBackfills.get)
    list = blocking(AsyncBackfills.list)
    wait = blocking(AsyncBackfills.wait)
    pause = blocking(AsyncBackfills.pause)
    resume = blocking(AsyncBackfills.resume)
    cancel = blocking(AsyncBackfills.cancel)


class Runs(Blocking[AsyncRuns]):
    """See AsyncRuns."""

    start = blocking(AsyncRuns.start)
    get = blocking(AsyncRuns.get)
    list = blocking(AsyncRuns.list)
    wait = blocking(AsyncRuns.wait)
    start_and_wait = blocking(AsyncRuns.start_and_wait)
    cancel = blocking(AsyncRuns.cancel)
    retry = blocking(AsyncRuns.retry)
    approve = blocking(AsyncRuns.approve)
    discard = blocking(AsyncRuns.discard)
    explain = blocking(AsyncRuns.explain)
    events = blocking(AsyncRuns.events)
    results = blocking(AsyncRuns.results)
    quarantine = blocking(AsyncRuns.quarantine)
    queue = blocking(AsyncRuns.queue)

    def watch(
        self, name: str, *, cursor: str = "", patience: float = PATIENCE_SECONDS
    ) -> Iterator[Watched]:
        """Yield the run now and after every change; see AsyncRuns.watch."""
        return self.loop.iterate(self.inner.watch(name, cursor=cursor, patience=patience))

    def watch_all(
        self, parent: str, *, cursor: str = "", patience: float = PATIENCE_SECONDS
    ) -> Iterator[Watched]:
        """Yield every change of runs, for ever; see AsyncRuns.watch_all."""
        return self.loop.iterate(self.inner.watch_all(parent, cursor=cursor, patience=patience))


class Client:
    """Calls an edge with one API key, from any thread; see AsyncClient for the arguments."""

    def __init__(
        self, address: str, api_key: str = "", *, call_seconds: float = CALL_SECONDS
    ) -> None:
        self._loop = Loop()
        try:
            self._inner = self._loop.run(_open(address, api_key, call_seconds))
        except BaseException:
            self._loop.stop()
            raise
        self.pipelines = Pipelines(self._inner.pipelines, self._loop)
        self.runs = Runs(self._inner.runs, self._loop)
        self.backfills = Backfills(self._inner.backfills, self._loop)
        self.schedules = Schedules(self._inner.schedules, self._loop)
        self.tenants = Tenants(self._inner.tenants, self._loop)
        self.keys = Keys(self._inner.keys, self._loop)

    def close(self) -> None:
        """Close the channel and end the thread."""
        self._loop.run(self._inner.close())
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


async def _open(address: str, api_key: str, call_seconds: float) -> AsyncClient:
    return AsyncClient(address, api_key, call_seconds=call_seconds)
