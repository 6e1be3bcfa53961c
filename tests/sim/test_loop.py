"""What stories rest on: time that jumps, steps in the same order, processes that stop between two of them."""

import asyncio
import time
from collections.abc import Generator

import pytest

from tests.sim.loop import Process, Stuck, VirtualLoop


@pytest.fixture
def loop() -> Generator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.wind_up()


def test_a_month_passes_at_once(loop: VirtualLoop) -> None:
    begun = time.monotonic()
    loop.run_until_complete(asyncio.sleep(30 * 86_400))
    assert loop.time() == 30 * 86_400
    assert time.monotonic() - begun < 1


def test_a_timeout_ends_what_takes_longer(loop: VirtualLoop) -> None:
    async def late() -> None:
        async with asyncio.timeout(10):
            await asyncio.sleep(11)

    with pytest.raises(TimeoutError):
        loop.run_until_complete(late())
    assert loop.time() == 10


def test_what_nothing_will_ever_wake_is_found(loop: VirtualLoop) -> None:
    with pytest.raises(Stuck):
        loop.run_until_complete(asyncio.Event().wait())


def test_a_paused_process_does_later_what_became_due_meanwhile(loop: VirtualLoop) -> None:
    steps: list[float] = []

    async def steady() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            steps.append(loop.time())

    async def story() -> None:
        process = Process("p")
        task = loop.spawn(process, steady())
        await asyncio.sleep(1.5)
        loop.pause(process)
        await asyncio.sleep(10)
        loop.wake(process)
        await task

    loop.run_until_complete(story())
    assert steps == [1, 11.5, 12.5]


def test_a_killed_process_does_nothing_more_not_even_what_it_would_do_last(
    loop: VirtualLoop,
) -> None:
    steps: list[str] = []
    process = Process("p")

    async def child() -> None:
        try:
            await asyncio.sleep(2)
        finally:
            steps.append("last")

    async def parent() -> None:
        await asyncio.create_task(child())

    async def story() -> None:
        loop.spawn(process, parent())
        await asyncio.sleep(1)
        loop.kill(process)
        loop.wake(process)
        await asyncio.sleep(10)
        assert steps == []

    loop.run_until_complete(story())


def test_a_failure_ends_the_loop_whoever_would_have_caught_it(loop: VirtualLoop) -> None:
    async def caught() -> None:
        try:
            loop.failure = ValueError("found")
            await asyncio.sleep(1)
        except ValueError:
            pass

    with pytest.raises(ValueError, match="found"):
        loop.run_until_complete(caught())
