"""All who read with one account make no more requests than its provider takes, however many they are."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncGenerator, Coroutine
from random import Random

import pytest

from services.ingest.sources.request_pace import RequestPace
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.workers.accounts import MOST, Accounts, AccountStanding, Ask
from tests.support.virtual_time import in_virtual_time

PER_MINUTE = 120.0


def ask(
    account: str = "acme/key", *, lane: Lane = Lane.INTERACTIVE, order: tuple[int, ...] = (0,)
) -> Ask:
    return Ask(account=account, per_minute=PER_MINUTE, lane=lane, order=order)


def now() -> float:
    return asyncio.get_running_loop().time()


class Provider:
    """Counts when it is asked, and looks at each moment at what has been given."""

    def __init__(self) -> None:
        self.accounts = Accounts(asyncio.sleep)
        self.asked: list[float] = []
        self.most_using = 0

    async def read(self, requests: int, seconds: float, question: Ask) -> None:
        """Be a chunk that makes requests, each of which takes some time, as a worker paces them."""
        async with self.accounts.share(question) as share:
            assert share >= PER_MINUTE / MOST - 1e-9
            self.look()
            pace = RequestPace(share, now)
            for _ in range(requests):
                await asyncio.sleep(pace.next())
                self.asked.append(now())
                await asyncio.sleep(seconds)

    def look(self) -> None:
        (standing,) = self.accounts.standings()
        assert standing.given_per_minute <= PER_MINUTE + 1e-6
        self.most_using = max(self.most_using, standing.using_count)


@contextlib.asynccontextmanager
async def tasks(*work: Coroutine[None, None, None]) -> AsyncGenerator[list[asyncio.Task[None]]]:
    made = [asyncio.create_task(one) for one in work]
    try:
        yield made
    finally:
        for task in made:
            task.cancel()
        await asyncio.gather(*made, return_exceptions=True)


@pytest.mark.parametrize("seed", range(6))
def test_in_no_time_more_requests_are_made_than_the_account_has_in_it(seed: int) -> None:
    random, provider = Random(seed), Provider()

    async def run(number: int) -> None:
        """A run: it comes at some moment, with chunks of some pages, as many at once as may be."""
        await asyncio.sleep(random.choice([0.0, 0.0, 3.0, 90.0]))
        pages = [random.choice([1, 1, 2, 9]) for _ in range(8)]
        async with asyncio.TaskGroup() as group:
            for place, count in enumerate(pages):
                seconds = random.choice([0.01, 0.2, 5.0])
                group.create_task(provider.read(count, seconds, ask(order=(number, place))))

    async def story() -> None:
        await asyncio.gather(*(run(number) for number in range(8)))

    in_virtual_time(story())
    times = sorted(provider.asked)
    assert len(times) >= 64
    for length in (1, 10, 60, 100):
        for first, last in zip(times, times[length:], strict=False):
            in_it = length + 1
            assert in_it <= PER_MINUTE / 60 * (last - first) + provider.most_using + 1
    assert times[-1] - times[0] <= len(times) * 4 * 60 / PER_MINUTE + 9 * 5 + 90
    assert provider.accounts.standings() == []


def test_short_chunks_one_after_another_are_no_faster_than_one_long_one() -> None:
    provider = Provider()

    async def story() -> None:
        for number in range(60):
            await provider.read(1, 0.0, ask(order=(number,)))

    in_virtual_time(story())
    assert provider.asked[-1] >= 60 * 60 / PER_MINUTE


def test_requests_that_are_earned_before_they_are_made_take_as_long() -> None:
    async def story() -> float:
        accounts = Accounts(asyncio.sleep)
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(accounts.earn(ask(), 2))
        assert accounts.standings() == []
        return now()

    assert in_virtual_time(story()) >= 30 * 2 * 60 / PER_MINUTE


def test_who_asks_at_once_shares_evenly_and_who_comes_later_finds_something() -> None:
    async def story() -> None:
        accounts, gate, shares = Accounts(asyncio.sleep), asyncio.Event(), list[float]()

        async def hold() -> None:
            async with accounts.share(ask()) as share:
                shares.append(share)
                await gate.wait()

        async with tasks(hold(), hold(), hold()):
            await asyncio.sleep(1)
            assert shares == [pytest.approx(PER_MINUTE / 4)] * 3
            async with tasks(hold(), hold(), hold()):
                await asyncio.sleep(1)
                assert shares[3:] == [pytest.approx(PER_MINUTE / MOST)] * 2
                (standing,) = accounts.standings()
                assert standing.given_per_minute == pytest.approx(PER_MINUTE)
                assert dataclasses.replace(standing, given_per_minute=0.0) == AccountStanding(
                    account="acme/key",
                    per_minute=PER_MINUTE,
                    given_per_minute=0.0,
                    using_count=5,
                    waiting_count=1,
                    resting=False,
                )
                async with accounts.share(ask("acme/other")) as other:
                    assert other == PER_MINUTE / 2
                gate.set()
                await asyncio.sleep(1)
                assert len(shares) == 6

    in_virtual_time(story())


def test_of_those_that_wait_the_most_urgent_is_next_and_who_gives_up_keeps_nothing() -> None:
    async def story() -> list[str]:
        accounts, began = Accounts(asyncio.sleep), list[str]()

        async def read(name: str, lane: Lane, order: int) -> None:
            async with accounts.share(ask(lane=lane, order=(order,))):
                began.append(name)
                await asyncio.sleep(10)

        async with tasks(*(read("first", Lane.BACKFILL, n) for n in range(MOST))):
            await asyncio.sleep(1)
            async with (
                tasks(read("gone", Lane.INTERACTIVE, 0)) as (gone,),
                tasks(read("backfill", Lane.BACKFILL, 99), read("asked", Lane.INTERACTIVE, 99)),
            ):
                await asyncio.sleep(1)
                gone.cancel()
                await asyncio.sleep(60)
        assert accounts.standings() == []
        return began

    began = in_virtual_time(story())
    assert [name for name, _ in itertools.groupby(began)] == ["first", "asked", "backfill"]


def test_an_account_whose_provider_asks_for_it_is_left_alone_by_all() -> None:
    async def story() -> list[float]:
        accounts, began = Accounts(asyncio.sleep), list[float]()

        async def read() -> None:
            async with accounts.share(ask()):
                began.append(now())

        accounts.rest("acme/key", 30.0)
        accounts.rest("acme/key", 20.0)
        accounts.rest("acme/key", 0.0)
        async with tasks(*(read() for _ in range(3))):
            await asyncio.sleep(25)
            (standing,) = accounts.standings()
            assert (standing.resting, standing.waiting_count) == (True, 3)
            await asyncio.sleep(10)
        assert accounts.standings() == []
        return began

    assert in_virtual_time(story()) == [30.0] * 3


def test_without_a_bound_nobody_waits() -> None:
    async def story() -> None:
        accounts = Accounts(asyncio.sleep)
        accounts.rest("acme/key", 30.0)
        async with accounts.share(Ask(account="acme/key", per_minute=0.0)) as share:
            assert (share, now()) == (0.0, 0.0)

    in_virtual_time(story())
