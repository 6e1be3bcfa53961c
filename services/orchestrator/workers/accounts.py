"""What providers take a minute from an account, shared among all chunks that read with it."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from services.orchestrator.retries.pauses import LONGEST_ASKED_SECONDS
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.workers.lane_queue import LaneQueue

MOST: Final = 8
"""Nobody has less of an account than this part of it: more chunks wait."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who asks for requests, and of what."""

    account: str
    per_minute: float
    """Requests that the provider takes from the account; 0 is no bound."""
    lane: Lane = Lane.INTERACTIVE
    order: tuple[int, ...] = (0,)
    """The least goes first among the askers of a lane."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccountStanding:
    """How an account stands."""

    account: str
    per_minute: float
    given_per_minute: float
    using_count: int
    waiting_count: int
    resting: bool


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class _Asker:
    lane: Lane
    order: tuple[int, ...]
    per_minute: float
    given: asyncio.Future[float]


class _Account:
    def __init__(self) -> None:
        self.queue: LaneQueue[_Asker] = LaneQueue()
        self.shares: dict[_Asker, float] = {}
        self.rests = 0
        self.per_minute = 0.0

    @property
    def idle(self) -> bool:
        return not self.queue and not self.shares and not self.rests

    def serve(self) -> None:
        """Give shares to those whose turn it is, as long as there is enough left for one."""
        while not self.rests and (asker := self.queue.first()):
            if asker.given.cancelled():
                self.queue.leave(asker)
                continue
            least = asker.per_minute / MOST
            left = asker.per_minute - sum(self.shares.values())
            if left < least * (1 - 1e-9):
                return
            share = min(max(left / (len(self.queue) + 1), least), left)
            self.queue.take(asker)
            self.shares[asker] = share
            asker.given.set_result(share)


class Accounts:
    """Shares of accounts at providers, in requests a minute.

    What has been given of an account is never more than it has, at any moment. Whoever has a share
    earns each request by waiting for it, the first one included, so all of them together make no
    more requests in any span of time than the account has in it and one more each. A share is half
    of what is left, or less if more ask at once, so that one who comes later finds something.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._accounts: dict[str, _Account] = {}
        self._to_serve: set[str] = set()
        self._resting: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def share(self, ask: Ask) -> AsyncGenerator[float]:
        """Wait until something is left of an account; give it for the block, 0 where there is no bound."""
        if not ask.per_minute:
            yield 0.0
            return
        given = asyncio.get_running_loop().create_future()
        asker = _Asker(lane=ask.lane, order=ask.order, per_minute=ask.per_minute, given=given)
        account = self._accounts.setdefault(ask.account, _Account())
        account.per_minute = ask.per_minute
        account.queue.join(asker)
        self._serve_soon(ask.account)
        try:
            yield await asker.given
        finally:
            account.shares.pop(asker, None)
            if asker in account.queue:
                account.queue.leave(asker)
            self._serve_soon(ask.account)

    async def earn(self, ask: Ask, count: int) -> None:
        """Wait until so many requests have been earned, which the caller makes at once."""
        async with self.share(ask) as share:
            if share:
                await self._sleep(count * 60 / share)

    def rest(self, name: str, seconds: float) -> None:
        """Give no share of an account for a while: its provider asked to be left alone.

        Of any time that was asked for, LONGEST_ASKED_SECONDS at most.
        """
        if seconds <= 0:
            return
        self._accounts.setdefault(name, _Account()).rests += 1
        task = asyncio.create_task(
            self._rest(name, min(seconds, LONGEST_ASKED_SECONDS)), name="account.rest"
        )
        self._resting.add(task)
        task.add_done_callback(self._resting.discard)

    async def _rest(self, name: str, seconds: float) -> None:
        try:
            await self._sleep(seconds)
        finally:
            self._accounts[name].rests -= 1
            self._serve_soon(name)

    def _serve_soon(self, name: str) -> None:
        """Serve when all have asked that do so now: those who ask together share evenly."""
        if not self._to_serve:
            asyncio.get_running_loop().call_soon(self._serve)
        self._to_serve.add(name)

    def _serve(self) -> None:
        names, self._to_serve = self._to_serve, set()
        for name in names:
            if account := self._accounts.get(name):
                account.serve()
                if account.idle:
                    del self._accounts[name]

    def standings(self) -> list[AccountStanding]:
        """Return the accounts that somebody has a share of or waits for, or that rest, by name."""
        return [
            AccountStanding(
                account=name,
                per_minute=account.per_minute,
                given_per_minute=sum(account.shares.values()),
                using_count=len(account.shares),
                waiting_count=len(account.queue),
                resting=account.rests > 0,
            )
            for name, account in sorted(self._accounts.items())
        ]
