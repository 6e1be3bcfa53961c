"""Seats go to chunks in the order in which they came, and only the first of them looks for one."""

import asyncio

import pytest

from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import MemorySource, MemoryWorker

WAITING = 20


@pytest.mark.parametrize("avoiding", [frozenset[str](), frozenset({"w1"})])
async def test_whoever_waits_longest_is_served_first(avoiding: frozenset[str]) -> None:
    looks, served = 0, list[int]()

    async def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        await asyncio.Event().wait()

    worker = MemoryWorker("w1", MemorySource(), MemoryWarehouse())
    dispatcher = Dispatcher([worker], monotonic=lambda: 0.0, sleep=sleep)

    async def wait(number: int) -> None:
        async with dispatcher.seat(avoid=avoiding):
            served.append(number)
            await asyncio.sleep(0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for number in range(WAITING):
            group.create_task(wait(number))
    assert served == list(range(WAITING))
    assert looks < 2 * WAITING
