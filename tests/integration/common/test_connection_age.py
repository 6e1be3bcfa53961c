"""Connections that have an age: callers come anew, and no call notices."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import ClassVar

import pytest_asyncio

from libs.common.settings import ServiceSettings
from tests.integration.common.shapes import Served, call, served

AGE_SECONDS = 0.02


class Aging(ServiceSettings):
    """Settings of a service whose connections last a moment."""

    connection_seconds: ClassVar[float | None] = AGE_SECONDS


@pytest_asyncio.fixture
async def aging() -> AsyncGenerator[Served]:
    async with served(Aging(grace_seconds=0)) as found:
        yield found


async def called(server: Served) -> str:
    """Call; return the address that the call came from, which is of one connection."""
    came_from: list[str] = []

    async def first() -> None:
        came_from.append(server.trial.context.peer())

    server.trial.turn(first=first)
    assert await call(server.channel, "UnaryUnary") == ["the answer"]
    return came_from[0]


async def test_a_call_after_the_age_comes_over_a_new_connection(aging: Served) -> None:
    first = await called(aging)
    await asyncio.sleep(3 * AGE_SECONDS)
    assert await called(aging) != first


async def test_a_service_without_an_age_keeps_its_connections() -> None:
    async with served() as lasting:
        first = await called(lasting)
        await asyncio.sleep(3 * AGE_SECONDS)
        assert await called(lasting) == first


async def test_neither_a_stream_nor_calls_without_pause_notice_that_connections_age(
    aging: Served,
) -> None:
    waits, release = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await release.wait()

    first = await called(aging)
    aging.trial.turn(sends=1, then=wait)
    stream = asyncio.create_task(call(aging.channel, "UnaryStream"))
    await waits.wait()
    end = time.monotonic() + 8 * AGE_SECONDS
    came_from = {first}
    while time.monotonic() < end:
        came_from.add(await called(aging))
    assert len(came_from) >= 4
    assert not stream.done()
    release.set()
    assert await stream == ["0"]
