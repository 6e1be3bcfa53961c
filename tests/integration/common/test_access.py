"""Who may call what: no caller sees another tenant's resource, or learns that it exists."""

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
import structlog
from convergence.auth.v1.tenant_pb2 import Tenant
from convergence.auth.v1.tenant_service_pb2 import UpdateTenantRequest
from convergence.orchestrator.v1.run_service_pb2 import GetRunRequest, ListRunsRequest
from google.protobuf.message import Message

from libs.common import errors
from libs.common.identity import CredentialMissing, Principal, caller
from libs.common.limits import RateLimiter
from libs.common.rpc import DETAILS, Scoped
from tests.integration.common.shapes import (
    METHODS,
    SERVICE,
    SHAPES,
    Served,
    call,
    logged,
    raising,
    refusal,
    refused,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

READER = Principal(tenant="acme", scopes=frozenset({"runs:read"}), key_id="k1")
OPERATOR = Principal(tenant="-", scopes=frozenset({"platform:admin"}))
PEOPLE = {
    "reader": READER,
    "stranger": Principal(tenant="acme", scopes=frozenset({"pipelines:read"})),
    "operator": OPERATOR,
}
MINE = "tenants/acme/pipelines/p_daily/runs/r1"
THEIRS = "tenants/widgets/pipelines/p_daily/runs/r1"


class RunNotFound(errors.NotFound):
    """What a run answers that is not there."""

    reason = "RUN_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no run {name}", name=name)


async def who(metadata: Mapping[str, str], peer: str) -> Principal:
    """Return whom a call's `x-person` stands for."""
    assert peer.startswith("ipv4:127.0.0.1:")
    try:
        return PEOPLE[metadata["x-person"]]
    except KeyError:
        raise CredentialMissing("the call carries no key") from None


def as_(person: str) -> dict[str, Any]:
    return {"metadata": (("x-person", person),)}


def scoped(**given: object) -> Scoped:
    scopes = {f"/{SERVICE}/{method}": "runs:read" for method in METHODS}
    return Scoped(who, scopes, lambda _, name: RunNotFound(name), **given)  # type: ignore[arg-type]


@pytest.fixture
def guarded(trial: Served) -> Served:
    trial.host.guard(scoped())
    return trial


ABOUT: dict[str, Message] = {
    "UnaryUnary": GetRunRequest(name=THEIRS),
    "UnaryStream": GetRunRequest(name=THEIRS),
    "WithName": GetRunRequest(name=THEIRS),
    "WithParent": ListRunsRequest(parent=THEIRS),
    "WithTenant": UpdateTenantRequest(tenant=Tenant(name="tenants/widgets")),
}


@pytest.mark.parametrize("method", METHODS)
async def test_a_caller_with_the_scope_reaches_its_own_tenant(method: str, guarded: Served) -> None:
    found = []

    async def look() -> None:
        found.append(caller())

    guarded.trial.turn(first=look)
    request = {
        "WithParent": ListRunsRequest(parent=MINE),
        "WithTenant": UpdateTenantRequest(tenant=Tenant(name="tenants/acme")),
    }.get(method, GetRunRequest(name=MINE))
    await call(guarded.channel, method, request, **as_("reader"))
    assert found == [READER]


@pytest.mark.parametrize("method", ABOUT)
async def test_another_tenants_name_answers_as_a_missing_one(method: str, guarded: Served) -> None:
    theirs = await refused(guarded.channel, method, ABOUT[method], **as_("reader"))
    assert guarded.trial.call_count == 0
    name = "tenants/widgets" if method == "WithTenant" else THEIRS
    guarded.trial.turn(first=raising(RunNotFound(name)))
    guarded.host.calls.access = None
    missing = await refused(guarded.channel, method, ABOUT[method])
    assert theirs.code() is missing.code() is grpc.StatusCode.NOT_FOUND
    assert theirs.details() == missing.details() == f"no run {name}"
    said = [dict(status.trailing_metadata() or ())[DETAILS] for status in (theirs, missing)]
    assert said[0] == said[1]


@pytest.mark.parametrize("method", ABOUT)
async def test_a_platform_admin_passes_for_every_tenant(method: str, guarded: Served) -> None:
    await call(guarded.channel, method, ABOUT[method], **as_("operator"))
    assert guarded.trial.call_count == 1


@pytest.mark.parametrize("name", ["tenants/-", "tenants/-/apiKeys/k1"])
async def test_the_platform_is_another_tenant_too(name: str, guarded: Served) -> None:
    code, error = await refusal(
        guarded.channel, "WithName", GetRunRequest(name=name), **as_("reader")
    )
    assert (code, error.reason) == ("NOT_FOUND", "RUN_NOT_FOUND")


@pytest.mark.parametrize("method", SHAPES)
async def test_a_missing_scope_is_named(method: str, guarded: Served) -> None:
    code, error = await refusal(guarded.channel, method, **as_("stranger"))
    assert (code, error.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")
    assert error.metadata == {"scope": "runs:read", "method": method}
    assert "runs:read" in str(error)
    assert guarded.trial.call_count == 0


async def test_who_lacks_the_scope_learns_nothing_of_other_tenants(guarded: Served) -> None:
    answers = [
        await refused(guarded.channel, "WithName", GetRunRequest(name=name), **as_("stranger"))
        for name in (MINE, THEIRS)
    ]
    assert answers[0].trailing_metadata() == answers[1].trailing_metadata()


@pytest.mark.parametrize("method", SHAPES)
async def test_a_call_without_a_credential_is_refused_before_anything(
    method: str, guarded: Served
) -> None:
    code, error = await refusal(guarded.channel, method)
    assert (code, error.reason) == ("UNAUTHENTICATED", "CREDENTIAL_MISSING")
    assert guarded.trial.call_count == 0


async def test_a_method_that_nobody_gave_a_scope_lets_no_one_in(trial: Served) -> None:
    trial.host.guard(Scoped(who, {}, lambda _, name: RunNotFound(name)))
    status = await refused(trial.channel, "UnaryUnary", **as_("operator"))
    assert (status.code().name, status.details()) == ("INTERNAL", "internal error")
    assert trial.trial.call_count == 0


async def test_a_method_of_scope_nothing_lets_every_known_caller_in(trial: Served) -> None:
    scopes = {f"/{SERVICE}/UnaryUnary": ""}
    trial.host.guard(Scoped(who, scopes, lambda _, name: RunNotFound(name)))
    await call(trial.channel, "UnaryUnary", **as_("stranger"))
    code, _ = await refusal(trial.channel, "UnaryUnary")
    assert code == "UNAUTHENTICATED"


async def test_a_caller_over_its_limit_is_told_when_to_call_again(trial: Served) -> None:
    limiter = RateLimiter(rate=4.0, burst=2, monotonic=lambda: 0.0)
    trial.host.guard(scoped(limit=lambda principal: limiter.admit(principal.tenant)))
    for _ in range(2):
        await call(trial.channel, "UnaryUnary", **as_("reader"))
    code, error = await refusal(trial.channel, "UnaryUnary", **as_("reader"))
    assert (code, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert isinstance(error, errors.QuotaExceeded)
    assert error.retry_after == 0.25
    assert error.metadata == {"tenant": "acme", "limit": "4/s, 2 at once"}


@pytest.mark.parametrize(
    ("person", "tenant"), [("reader", "acme"), ("operator", "widgets")], ids=["reader", "operator"]
)
async def test_a_call_is_logged_under_the_tenant_that_it_is_about(
    person: str, tenant: str, guarded: Served, lines: list[structlog.typing.EventDict]
) -> None:
    request = GetRunRequest(name=f"tenants/{tenant}")
    await call(guarded.channel, "WithName", request, **as_(person))
    assert (await logged(lines, "rpc.done"))["tenant_id"] == tenant


async def test_a_call_about_no_resource_is_logged_under_its_callers_tenant(
    guarded: Served, lines: list[structlog.typing.EventDict]
) -> None:
    await call(guarded.channel, "WithName", GetRunRequest(), **as_("reader"))
    line = await logged(lines, "rpc.done")
    assert (line["tenant_id"], line["key_id"]) == ("acme", "k1")


async def test_a_refused_call_is_logged_with_its_reason(
    guarded: Served, lines: list[structlog.typing.EventDict]
) -> None:
    await refused(guarded.channel, "UnaryUnary", **as_("stranger"))
    line = await logged(lines, "rpc.done")
    assert (line["code"], line["reason"]) == ("PERMISSION_DENIED", "SCOPE_MISSING")
