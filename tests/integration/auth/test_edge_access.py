"""Who may call TenantService and ApiKeyService: every refusal of every RPC, over a socket."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from libs.common.errors import Unavailable
from libs.common.rpc import DETAILS
from services.auth import keys
from services.auth.access import SCOPES
from services.auth.key_store import MemoryKeyStore
from services.auth.signing_keys import NotInitialized
from services.auth.tenants import TenantState
from tests.integration.auth.edge_requests import KEY_METHODS, REQUESTS, ask
from tests.integration.auth.serving import (
    ADMIN,
    NOW,
    READER,
    ROOT,
    Served,
    record,
    served,
    standing,
)
from tests.support.refusals import refused

ENDED, REVOKED, NEIGHBOUR = (keys.new_secret("acme") for _ in range(3))
DOWN = Unavailable("BigQuery does not answer", reason="WAREHOUSE_UNAVAILABLE", endpoint="x")
TENANT_SCOPED = KEY_METHODS | {"GetTenant"}

every_rpc = pytest.mark.parametrize("method", sorted(REQUESTS))


@pytest.fixture
async def auth(tmp_path: Path) -> AsyncGenerator[Served]:
    store = MemoryKeyStore(
        *standing(),
        record(ENDED, "acme", expire_time=NOW),
        record(REVOKED, "acme", active=False),
        record(NEIGHBOUR, "widgets", scopes=frozenset({"tenant:admin"})),
    )
    async with served(tmp_path, key_store=store) as running:
        yield await running.settled()


def test_every_rpc_of_the_edge_is_asked() -> None:
    assert sorted(REQUESTS) == sorted(method.rpartition("/")[2] for method in SCOPES)


@every_rpc
@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("", "CREDENTIAL_MISSING"),
        (ROOT[:-1] + "_", "API_KEY_MALFORMED"),
        ("never seen", "API_KEY_UNKNOWN"),
        (ENDED, "API_KEY_EXPIRED"),
        (REVOKED, "API_KEY_REVOKED"),
    ],
    ids=["missing", "malformed", "unknown", "expired", "revoked"],
)
async def test_a_call_without_a_good_key_is_unauthenticated(
    auth: Served, method: str, secret: str, reason: str
) -> None:
    with refused("UNAUTHENTICATED", reason):
        await ask(auth, method, REQUESTS[method]("acme"), secret=secret)


@every_rpc
async def test_a_key_without_the_scope_is_refused_and_the_scope_named(
    auth: Served, method: str
) -> None:
    scope = "tenant:admin" if method in TENANT_SCOPED else "platform:admin"
    secret = READER if scope == "tenant:admin" else ADMIN
    with refused("PERMISSION_DENIED", "SCOPE_MISSING") as refusal:
        await ask(auth, method, REQUESTS[method]("acme"), secret=secret)
    assert refusal.metadata == {"scope": scope, "method": method}


@pytest.mark.parametrize("method", sorted(TENANT_SCOPED))
async def test_another_tenants_resources_answer_as_those_that_are_not_there(
    auth: Served, method: str
) -> None:
    reason = (
        "API_KEY_NOT_FOUND" if method in {"RotateApiKey", "RevokeApiKey"} else "TENANT_NOT_FOUND"
    )
    answers = []
    for tenant in ("acme", "gone"):
        asked = REQUESTS[method](tenant)
        with refused("NOT_FOUND", reason) as refusal:
            await ask(auth, method, asked, secret=NEIGHBOUR)
        data = refusal.trailing[DETAILS]
        assert isinstance(data, bytes)
        answers.append(data.replace(b"gone", b"acme"))
    assert answers[0] == answers[1]


@every_rpc
async def test_a_caller_that_hurries_is_told_how_long_to_wait(tmp_path: Path, method: str) -> None:
    slow: Any = {"calls_per_second": 0.001, "call_burst": 1}
    async with served(tmp_path, **slow) as auth:
        await auth.settled()
        await ask(auth, "ListTenants", REQUESTS["ListTenants"]("acme"), secret=ROOT)
        with refused("RESOURCE_EXHAUSTED", "RATE_LIMITED") as refusal:
            await ask(auth, method, REQUESTS[method]("acme"), secret=ROOT)
    assert refusal.metadata == {"tenant": "-", "limit": "0.001/s, 1 at once"}
    assert 0 < refusal.retry_after <= 1000


@every_rpc
async def test_before_init_the_command_is_named(tmp_path: Path, method: str) -> None:
    store = MemoryKeyStore(*standing())
    store.fail_with = NotInitialized("table metadata.api_keys")
    async with served(tmp_path, key_store=store) as auth:
        await auth.settled()
        with refused("FAILED_PRECONDITION", "NOT_INITIALIZED") as refusal:
            await ask(auth, method, REQUESTS[method]("acme"), secret=ROOT)
    assert refusal.metadata == {"command": "convergence admin init"}


WRITES = {
    "CreateTenant": "gadgets", "UpdateTenant": "acme", "DeleteTenant": "acme", "CreateApiKey": "acme",
}  # fmt: skip


@pytest.mark.parametrize("method", sorted(WRITES))
async def test_a_change_that_bigquery_cannot_take_now_is_not_made(
    auth: Served, method: str
) -> None:
    auth.keys.fail_with = auth.tenants.fail_with = DOWN
    with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
        await ask(auth, method, REQUESTS[method](WRITES[method]), secret=ROOT)
    assert refusal.metadata == {"endpoint": "x"}
    assert refusal.retry_after > 0
    auth.keys.fail_with = auth.tenants.fail_with = None
    tenants = {tenant.tenant_id: tenant for tenant in await auth.tenants.read()}
    assert set(tenants) == {"acme", "widgets"}
    assert (tenants["acme"].display_name, tenants["acme"].state) == ("", TenantState.ACTIVE)
    assert len(await auth.keys.read()) == 6


@pytest.mark.parametrize("method", ["RotateApiKey", "RevokeApiKey"])
async def test_a_key_that_bigquery_cannot_change_now_stays_as_it_is(
    auth: Served, method: str
) -> None:
    name = str(record(ADMIN, "acme").name)
    request = REQUESTS[method]("acme")
    request.name = name  # type: ignore[attr-defined]
    before = {key.digest: key for key in await auth.keys.read()}
    auth.keys.fail_with = DOWN
    with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE"):
        await ask(auth, method, request, secret=ROOT)
    auth.keys.fail_with = None
    assert {key.digest: key for key in await auth.keys.read()} == before


@every_rpc
async def test_while_the_tables_are_too_old_nobody_is_let_in(tmp_path: Path, method: str) -> None:
    async with served(tmp_path, promise_seconds=0.2, refresh_seconds=0.1) as auth:
        await auth.settled()
        auth.keys.fail_with = DOWN
        while await auth.serving():
            await asyncio.sleep(0.02)
        with refused("UNAVAILABLE", "AUTH_UNAVAILABLE"):
            await ask(auth, method, REQUESTS[method]("acme"), secret=ROOT)


@pytest.mark.parametrize("method", sorted(REQUESTS))
async def test_names_of_another_form_are_refused_by_field(auth: Served, method: str) -> None:
    if method == "ListTenants":
        request, field = REQUESTS[method]("acme"), "page_size"
        request.page_size = -1  # type: ignore[attr-defined]
    else:
        request = REQUESTS[method]("Not An Id")
        field = {
            "CreateTenant": "tenant_id", "UpdateTenant": "tenant.name",
            "CreateApiKey": "parent", "ListApiKeys": "parent",
        }.get(method, "name")  # fmt: skip
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await ask(auth, method, request, secret=ROOT)
    assert refusal.fields == [field]
