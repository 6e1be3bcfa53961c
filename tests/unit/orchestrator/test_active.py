"""Whether calls find the active orchestrator, or hear why there is none."""

import asyncio
from typing import cast

import pytest

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.active import Active, NotActive, Seat

MISSING = FailedPrecondition("run admin init", reason="NOT_INITIALIZED")


async def test_what_was_not_initialised_before_the_call_is_looked_at_anew() -> None:
    seat = Seat()
    await seat.refuse(MISSING)
    call = asyncio.create_task(seat.soon())
    await asyncio.sleep(0)
    await seat.refuse(MISSING)
    assert not call.done()
    active = cast("Active", object())
    await seat.take(active)
    assert await call is active


async def test_what_is_still_not_initialised_is_said_after_a_look_that_began_later() -> None:
    seat = Seat()
    await seat.refuse(MISSING)
    call = asyncio.create_task(seat.soon())
    await asyncio.sleep(0)
    for _ in range(2):
        await seat.refuse(MISSING)
    with pytest.raises(FailedPrecondition, match="run admin init"):
        await call


async def test_other_refusals_are_said_at_once() -> None:
    seat = Seat()
    with pytest.raises(NotActive):
        await seat.soon()
    await seat.refuse(Unavailable("BigQuery is away", reason="WAREHOUSE_UNAVAILABLE"))
    with pytest.raises(Unavailable, match="away"):
        await seat.soon()
