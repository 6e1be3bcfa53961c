"""Every RPC, whatever its shape: what a failure becomes on the wire, and what is logged of a call."""

import asyncio
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from libs.common import errors
from libs.common.rpc import DETAILS
from tests.integration.common.shapes import (
    RUN,
    SHAPES,
    STREAMS,
    Served,
    call,
    logged,
    raising,
    refused,
)
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEAK = "password of the database"


def details(error: grpc.aio.AioRpcError) -> dict[str, Message]:
    """Return the details of a status by the names of their types."""
    raw = dict(error.trailing_metadata() or ()).get(DETAILS, b"")
    status = status_pb2.Status.FromString(raw if isinstance(raw, bytes) else raw.encode("latin-1"))
    if status.details:
        assert (status.code, status.message) == (error.code().value[0], error.details())
    found: dict[str, Message] = {}
    for detail in status.details:
        name = detail.TypeName().rpartition(".")[2]
        found[name] = getattr(error_details_pb2, name)()
        assert detail.Unpack(found[name])
    return found


def info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    domain = "convergence.internal"
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


KINDS: dict[str, type[errors.ServiceError]] = {
    "UNAUTHENTICATED": errors.Unauthenticated,
    "PERMISSION_DENIED": errors.PermissionDenied,
    "NOT_FOUND": errors.NotFound,
    "ALREADY_EXISTS": errors.AlreadyExists,
    "FAILED_PRECONDITION": errors.FailedPrecondition,
    "ABORTED": errors.Conflict,
}


class RunNotFound(errors.NotFound):
    """A fact beside its noun, as domain code has them."""

    reason = "RUN_NOT_FOUND"


@pytest.mark.parametrize("method", SHAPES)
async def test_a_call_that_nothing_stops_is_answered(method: str, trial: Served) -> None:
    trial.trial.turn(sends=3)
    answers = await call(trial.channel, method)
    assert answers == (["0", "1", "2"] if method in STREAMS else ["the answer"])


@pytest.mark.parametrize("method", SHAPES)
@pytest.mark.parametrize("code", KINDS)
async def test_a_kind_becomes_its_code_with_reason_and_metadata(
    code: str, method: str, trial: Served
) -> None:
    error = KINDS[code]("the run is gone", reason="RUN_STALE", name=RUN)
    trial.trial.turn(first=raising(error))
    status = await refused(trial.channel, method)
    assert (status.code().name, status.details()) == (code, "the run is gone")
    assert details(status) == {"ErrorInfo": info("RUN_STALE", name=RUN)}


@pytest.mark.parametrize("method", STREAMS)
async def test_a_failure_in_the_middle_of_a_stream_is_a_status_too(
    method: str, trial: Served
) -> None:
    trial.trial.turn(sends=2, then=raising(RunNotFound("no such run", name=RUN)))
    got: list[str] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(trial.channel, method, into=got)
    assert got == ["0", "1"]
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert details(caught.value) == {"ErrorInfo": info("RUN_NOT_FOUND", name=RUN)}


@pytest.mark.parametrize("method", SHAPES)
async def test_a_wrong_request_names_every_field(method: str, trial: Served) -> None:
    violations = {"parent": "found nothing", "request_id": "found 'x'; allowed is a UUID"}
    trial.trial.turn(first=raising(errors.InvalidRequest(violations)))
    status = await refused(trial.channel, method)
    found = details(status)
    bad = error_details_pb2.BadRequest()
    for field, why in violations.items():
        bad.field_violations.add(field=field, description=why)
    assert status.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert found == {"ErrorInfo": info("INVALID_REQUEST"), "BadRequest": bad}


@pytest.mark.parametrize("method", SHAPES)
async def test_a_used_up_limit_says_whose_it_is_and_when_to_call_again(
    method: str, trial: Served
) -> None:
    error = errors.QuotaExceeded(
        "too fast", retry_after=1.25, reason="RATE_LIMITED", tenant="acme", limit="50/s"
    )
    trial.trial.turn(first=raising(error))
    status = await refused(trial.channel, method)
    found = details(status)
    quota = error_details_pb2.QuotaFailure()
    quota.violations.add(subject="acme", description="too fast")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1250)
    assert status.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert found == {
        "ErrorInfo": info("RATE_LIMITED", tenant="acme", limit="50/s"),
        "QuotaFailure": quota,
        "RetryInfo": retry,
    }


@pytest.mark.parametrize("method", SHAPES)
async def test_what_is_unavailable_says_when_to_call_again(method: str, trial: Served) -> None:
    error = errors.Unavailable("no answer", retry_after=0.5, reason="WAREHOUSE_UNAVAILABLE")
    trial.trial.turn(first=raising(error))
    status = await refused(trial.channel, method)
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(500)
    assert status.code() is grpc.StatusCode.UNAVAILABLE
    assert details(status) == {"ErrorInfo": info("WAREHOUSE_UNAVAILABLE"), "RetryInfo": retry}


@pytest.mark.parametrize("method", SHAPES)
@pytest.mark.parametrize(
    "error",
    [ValueError(LEAK), KeyError(LEAK), errors.ServiceError(LEAK)],
    ids=["ValueError", "KeyError", "ServiceError of no kind"],
)
async def test_any_other_exception_is_an_internal_error_that_says_nothing(
    error: Exception,
    method: str,
    trial: Served,
    lines: list[structlog.typing.EventDict],
) -> None:
    trial.trial.turn(first=raising(error))
    status = await refused(trial.channel, method)
    assert (status.code().name, status.details()) == ("INTERNAL", "internal error")
    assert LEAK not in str(status.trailing_metadata())
    await logged(lines, "rpc.done")
    logs = [line for line in lines if line["log_level"] == "error"]
    assert [(line["event"], line["exc_info"], line["method"]) for line in logs] == [
        ("rpc.crashed", True, f"/convergence.trial.v1.TrialService/{method}")
    ]


@pytest.mark.parametrize("method", STREAMS)
async def test_a_crash_in_the_middle_of_a_stream_says_nothing(method: str, trial: Served) -> None:
    trial.trial.turn(sends=1, then=raising(ValueError(LEAK)))
    status = await refused(trial.channel, method)
    assert (status.code().name, status.details()) == ("INTERNAL", "internal error")


@pytest.mark.parametrize("method", SHAPES)
async def test_a_call_that_its_caller_gives_up_is_cancelled_in_the_service(
    method: str, trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    begun, seen = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.set()
            raise

    trial.trial.turn(first=wait)
    calling = asyncio.create_task(call(trial.channel, method))
    await asyncio.wait_for(begun.wait(), 5)
    calling.cancel()
    await asyncio.wait_for(seen.wait(), 5)
    assert (await logged(lines, "rpc.done"))["code"] == "CANCELLED"
    assert [line["event"] for line in lines] == ["rpc.done"]


@pytest.mark.parametrize("method", SHAPES)
async def test_a_call_over_its_deadline_is_cancelled_in_the_service(
    method: str, trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    trial.trial.turn(first=asyncio.Event().wait)
    status = await refused(trial.channel, method, timeout=0.2)
    assert status.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await logged(lines, "rpc.done"))["code"] == "CANCELLED"


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (None, "OK", None),
        (RunNotFound("no such run", name=RUN), "NOT_FOUND", "RUN_NOT_FOUND"),
        (ValueError(LEAK), "INTERNAL", None),
    ],
    ids=["answered", "refused", "crashed"],
)
@pytest.mark.parametrize("method", SHAPES)
async def test_each_call_is_logged_once_with_code_and_duration(
    method: str,
    error: Exception | None,
    code: str,
    reason: str | None,
    trial: Served,
    lines: list[structlog.typing.EventDict],
) -> None:
    if error is None:
        await call(trial.channel, method)
    else:
        trial.trial.turn(then=raising(error))
        await refused(trial.channel, method)
    line = await logged(lines, "rpc.done")
    assert line["code"] == code
    assert line.get("reason") == reason
    assert 0 < line["duration_ms"] < 60_000
    assert line["method"] == f"/convergence.trial.v1.TrialService/{method}"


async def test_a_call_is_logged_under_the_resource_that_it_is_about(
    trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    await call(trial.channel, "UnaryUnary")
    line = await logged(lines, "rpc.done")
    names = ("tenant_id", "pipeline_id", "run_id")
    assert [line[name] for name in names] == ["acme", "p_daily", "r1"]


async def test_what_a_service_logs_in_a_call_carries_what_the_call_is_about(
    trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    async def move() -> None:
        structlog.get_logger().info("run.moved")

    trial.trial.turn(first=move)
    await call(trial.channel, "UnaryUnary")
    line = await logged(lines, "run.moved")
    names = ("tenant_id", "pipeline_id", "run_id")
    assert [line.get(name) for name in names] == ["acme", "p_daily", "r1"]


async def test_the_context_of_one_call_is_not_that_of_the_next(
    trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    await call(trial.channel, "UnaryUnary")
    await logged(lines, "rpc.done")
    lines.clear()
    await call(trial.channel, "StreamUnary")
    assert "run_id" not in await logged(lines, "rpc.done")


async def test_neither_health_nor_reflection_is_logged_or_guarded(
    trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    class Nobody:
        async def admit(self, *_: object) -> object:
            raise errors.Unauthenticated("nobody may")

    trial.host.guard(Nobody())  # type: ignore[arg-type]
    check = health_pb2_grpc.HealthStub(trial.channel).Check  # type: ignore[attr-defined]
    answer = await check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    untyped: Any = reflection_pb2_grpc
    stub = untyped.ServerReflectionStub(trial.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    assert [_ async for _ in stub.ServerReflectionInfo(iter([asked]))]
    await refused(trial.channel, "UnaryUnary")
    await logged(lines, "rpc.done")
    assert [line["event"] for line in lines] == ["rpc.done"]


async def test_calls_are_counted_by_method_and_code(trial: Served) -> None:
    def count(code: str) -> float:
        labels = {"method": "/convergence.trial.v1.TrialService/UnaryUnary", "code": code}
        name = "convergence_trial_rpc_seconds_count"
        return trial.host.registry.get_sample_value(name, labels) or 0.0

    before = count("OK"), count("NOT_FOUND")
    await call(trial.channel, "UnaryUnary")
    trial.trial.turn(first=raising(RunNotFound("no such run")))
    await refused(trial.channel, "UnaryUnary")

    def counted() -> bool:
        return (count("OK"), count("NOT_FOUND")) == (before[0] + 1, before[1] + 1)

    await asyncio.to_thread(eventually, counted, within=5)


@pytest.mark.parametrize("letter", ["x", "é", "費"], ids=["ascii", "latin", "han"])
async def test_a_failure_with_much_to_say_still_arrives(letter: str, trial: Served) -> None:
    much = letter * 9_000
    violations = {f"{number}.{much}": much for number in range(50)}
    error = errors.InvalidRequest(violations, much, reason="SUITE_INVALID", name=much, more=much)
    trial.trial.turn(first=raising(error))
    status = await refused(trial.channel, "UnaryUnary")
    assert status.code() is grpc.StatusCode.INVALID_ARGUMENT, status.details()
    found = details(status)["ErrorInfo"]
    assert isinstance(found, error_details_pb2.ErrorInfo)
    assert found.reason == "SUITE_INVALID"
    assert found.metadata["name"].startswith(letter * 80)


async def test_a_call_that_its_service_aborts_is_logged_with_that_code(
    trial: Served, lines: list[structlog.typing.EventDict]
) -> None:
    async def abort() -> None:
        await trial.trial.context.abort(grpc.StatusCode.OUT_OF_RANGE, "no more")

    trial.trial.turn(first=abort)
    status = await refused(trial.channel, "UnaryUnary")
    assert (status.code().name, status.details()) == ("OUT_OF_RANGE", "no more")
    assert (await logged(lines, "rpc.done"))["code"] == "OUT_OF_RANGE"
