"""Calls between services: failures come back as they were raised; only some calls are repeated."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from libs.common import errors
from libs.common.channel import open_channel, translated
from libs.common.identity import Principal
from tests.integration.common.shapes import (
    SERVICE,
    SHAPES,
    Served,
    call,
    raising,
    refusal,
    refused,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEVER = "UnaryStream"


@pytest_asyncio.fixture(loop_scope="module")
async def channel(trial: Served) -> AsyncGenerator[grpc.aio.Channel]:
    """Yield a channel as services open them; it repeats nothing of NEVER."""
    never = [(SERVICE, NEVER)]
    async with open_channel(trial.address, retried=[SERVICE], never=never) as found:
        yield found


class Aborts:
    """Access that ends calls with a code the first `times`, then lets everybody in."""

    def __init__(self, code: grpc.StatusCode, times: int) -> None:
        self._code = code
        self._times = times
        self.call_count = 0

    async def admit(
        self, method: str, request: object, metadata: object, context: Any
    ) -> Principal:
        self.call_count += 1
        if self.call_count <= self._times:
            await context.abort(self._code, "not now")
        return Principal(tenant="acme")


KINDS = {
    "InvalidRequest": errors.InvalidRequest({"name": "found 'x'"}, reason="INVALID_REQUEST"),
    "InvalidRequest of a reason": errors.InvalidRequest(
        {"a": "1", "b": "2"}, "both wrong", reason="SUITE_INVALID", expectation="e"
    ),
    "Unauthenticated": errors.Unauthenticated("who?", reason="API_KEY_EXPIRED", keyId="k"),
    "PermissionDenied": errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:read"),
    "NotFound": errors.NotFound("none", reason="RUN_NOT_FOUND", name="tenants/a"),
    "AlreadyExists": errors.AlreadyExists("there", reason="TENANT_EXISTS", name="tenants/a"),
    "FailedPrecondition": errors.FailedPrecondition("not yet", reason="NOT_INITIALIZED"),
    "FailedPrecondition with files": errors.FailedPrecondition(
        "wrong files", reason="CONFIG_INVALID", violations={"p.yml": "found x"}
    ),
    "Conflict": errors.Conflict("again", reason="RESOURCE_STALE", name="tenants/a"),
    "QuotaExceeded": errors.QuotaExceeded("slow", retry_after=2.5, reason="RATE_LIMITED"),
    "Unavailable": errors.Unavailable("later", retry_after=0.125, reason="NO_WORKER"),
}


def facts(error: errors.ServiceError) -> dict[str, object]:
    """Return all that a caller may act on."""
    return {"kind": type(error), "text": str(error), **vars(error)}


@pytest.mark.parametrize("method", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_comes_back_as_it_was_raised(kind: str, method: str, trial: Served) -> None:
    trial.trial.turn(first=raising(KINDS[kind]))
    with pytest.raises(errors.ServiceError) as caught, translated():
        await call(trial.channel, method)
    assert facts(caught.value) == {"reason": KINDS[kind].reason, **facts(KINDS[kind])}


async def test_a_bug_of_a_neighbor_is_of_no_kind(trial: Served) -> None:
    trial.trial.turn(first=raising(ValueError("password")))
    _, error = await refusal(trial.channel, "UnaryUnary")
    assert facts(error) == {
        "kind": errors.ServiceError,
        "text": "internal error",
        "reason": "",
        "metadata": {},
    }


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN],
    ids=lambda code: code.name,
)
async def test_what_grpc_itself_ended_may_be_called_again(
    code: grpc.StatusCode, trial: Served
) -> None:
    trial.host.guard(Aborts(code, 1))
    _, error = await refusal(trial.channel, "UnaryUnary")
    assert (type(error), error.reason) == (errors.Unavailable, "")


async def test_a_deadline_that_passed_may_be_called_again(trial: Served) -> None:
    trial.trial.turn(first=asyncio.Event().wait)
    code, error = await refusal(trial.channel, "UnaryUnary", timeout=0.05)
    assert (code, type(error)) == ("DEADLINE_EXCEEDED", errors.Unavailable)


async def test_nobody_who_listens_is_unavailable() -> None:
    async with open_channel("127.0.0.1:9") as channel:
        code, error = await refusal(channel, "UnaryUnary", timeout=5)
    assert (code, type(error)) == ("UNAVAILABLE", errors.Unavailable)


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED], ids=lambda code: code.name
)
async def test_a_call_that_may_be_repeated_is(
    code: grpc.StatusCode, trial: Served, channel: grpc.aio.Channel
) -> None:
    access = Aborts(code, 2)
    trial.host.guard(access)
    assert await call(channel, "UnaryUnary") == ["the answer"]
    assert access.call_count == 3


async def test_a_neighbor_that_says_it_is_unavailable_is_asked_again(
    trial: Served, channel: grpc.aio.Channel
) -> None:
    trial.trial.turn(first=raising(errors.Unavailable("later", reason="NOT_ACTIVE")))
    _, error = await refusal(channel, "UnaryUnary")
    assert error.reason == "NOT_ACTIVE"
    assert trial.trial.call_count == 4


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "Unavailable"])
async def test_what_would_fail_again_is_not_repeated(
    kind: str, trial: Served, channel: grpc.aio.Channel
) -> None:
    trial.trial.turn(first=raising(KINDS[kind]))
    await refused(channel, "UnaryUnary")
    assert trial.trial.call_count == 1


async def test_a_crash_is_not_repeated(trial: Served, channel: grpc.aio.Channel) -> None:
    trial.trial.turn(first=raising(ValueError("a bug")))
    await refused(channel, "UnaryUnary")
    assert trial.trial.call_count == 1


async def test_a_method_that_must_not_be_repeated_is_not(
    trial: Served, channel: grpc.aio.Channel
) -> None:
    trial.trial.turn(first=raising(errors.Unavailable("later")))
    status = await refused(channel, NEVER)
    assert status.code() is grpc.StatusCode.UNAVAILABLE
    assert trial.trial.call_count == 1


async def test_a_service_that_nobody_named_is_not_repeated(trial: Served) -> None:
    trial.trial.turn(first=raising(errors.Unavailable("later")))
    async with open_channel(trial.address, retried=["another.Service"]) as channel:
        await refused(channel, "UnaryUnary")
    assert trial.trial.call_count == 1


async def test_the_callers_deadline_is_the_services(trial: Served) -> None:
    async with open_channel(trial.address) as channel:
        left: list[float] = []

        async def look() -> None:
            left.append(trial.trial.context.time_remaining())

        trial.trial.turn(first=look)
        await call(channel, "UnaryUnary", timeout=7)
    assert 5 < left[0] < 8


async def test_repeating_ends_with_the_deadline(trial: Served, channel: grpc.aio.Channel) -> None:
    trial.host.guard(Aborts(grpc.StatusCode.UNAVAILABLE, 99))
    begun = time.monotonic()
    await refused(channel, "UnaryUnary", timeout=0.1)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("method", SHAPES)
async def test_a_caller_that_is_cancelled_ends_the_services_call(
    trial: Served, channel: grpc.aio.Channel, method: str
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    trial.trial.turn(first=work)
    calling = asyncio.create_task(call(channel, method))
    async with asyncio.timeout(10):
        await begun.wait()
        calling.cancel()
        await asyncio.wait({calling})
        await ended.wait()
    assert calling.cancelled()
