"""AuthService over real gRPC: each success and each documented failure."""

import dataclasses
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from convergence.auth.v1 import auth_service_pb2 as pb
from convergence.auth.v1.tenant_pb2 import TenantLimits

from libs.common.errors import FailedPrecondition, Unavailable
from libs.common.identity import TokenVerifier
from services.auth import keys
from services.auth.key_store import MemoryKeyStore
from services.auth.signing_keys import MemorySigningKeyStore, NotInitialized
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import TenantState
from tests.integration.auth.serving import (
    ACME,
    ADMIN,
    CREDENTIAL,
    NOW,
    READER,
    ROOT,
    Served,
    record,
    served,
    standing,
)
from tests.support.refusals import refused

RUN = "tenants/acme/pipelines/p/runs/r"
ENDED = keys.new_secret("acme")
REVOKED = keys.new_secret("acme")
ENDING = keys.new_secret("acme")
HAND = "inserted by hand"
DOWN = Unavailable("no answer", reason="WAREHOUSE_UNAVAILABLE")


@pytest.fixture
def ends() -> datetime:
    """When the key ENDING ends: before a token would."""
    return datetime.now(UTC) + timedelta(seconds=100)


@pytest.fixture
async def auth(tmp_path: Path, ends: datetime) -> AsyncGenerator[Served]:
    store = MemoryKeyStore(
        *standing(),
        record(ENDED, "acme", expire_time=NOW),
        record(REVOKED, "acme", active=False),
        record(ENDING, "acme", expire_time=ends),
    )
    async with served(tmp_path, key_store=store) as running:
        yield await running.settled()


def asking(
    secret: str, audience: str = "orchestrator", peer: str = "ipv4:10.0.0.1:5"
) -> pb.AuthenticateRequest:
    return pb.AuthenticateRequest(api_key=secret, audience=audience, peer=peer)


def verifier(auth: Served, audience: str) -> TokenVerifier:
    async def fetch() -> dict[str, bytes]:
        answer = await auth.auth.ListSigningKeys(pb.ListSigningKeysRequest())
        return {key.key_id: key.public_key for key in answer.keys}

    return TokenVerifier(audience, fetch, clock=time.time)


async def test_a_key_is_answered_with_a_principal_and_a_token_that_verifies(auth: Served) -> None:
    began = datetime.now(UTC)
    answer = await auth.auth.Authenticate(asking(ADMIN))
    principal = answer.principal
    assert (principal.tenant, list(principal.scopes)) == ("acme", ["runs:read", "tenant:admin"])
    assert (principal.calls_per_second, principal.call_burst, principal.live_run_count) == (
        1000,
        2000,
        3,
    )
    assert (principal.slot_weight, principal.chunk_count) == (1.5, 8)
    assert principal.read_bytes_per_day == 5_000_000_000
    assert 0 < answer.cache_ttl.ToTimedelta().total_seconds() <= 20
    assert not answer.HasField("key_expire_time")
    verified = await verifier(auth, "orchestrator").verify(answer.identity_token)
    assert (verified.tenant, verified.scopes) == ("acme", frozenset(principal.scopes))
    life = answer.expire_time.ToDatetime(tzinfo=UTC) - began
    assert timedelta(minutes=3) < life < timedelta(minutes=6)


async def test_a_key_that_ends_says_when(auth: Served, ends: datetime) -> None:
    answer = await auth.auth.Authenticate(asking(ENDING))
    assert answer.key_expire_time.ToDatetime(tzinfo=UTC) == ends
    assert answer.expire_time.seconds <= answer.key_expire_time.seconds


async def test_a_platform_key_has_the_tenant_of_the_platform(auth: Served) -> None:
    answer = await auth.auth.Authenticate(asking(ROOT))
    assert (answer.principal.tenant, answer.principal.call_burst) == ("-", 0)


@pytest.mark.parametrize(
    ("secret", "reason", "facts"),
    [
        ("", "API_KEY_MALFORMED", set()),
        ("x" * 257, "API_KEY_MALFORMED", set()),
        (ADMIN[:-1] + "_", "API_KEY_MALFORMED", set()),
        ("never seen", "API_KEY_UNKNOWN", set()),
        (ENDED, "API_KEY_EXPIRED", {"keyId", "expireTime"}),
        (REVOKED, "API_KEY_REVOKED", {"keyId"}),
    ],
    ids=["empty", "long", "mistyped", "unknown", "ended", "revoked"],
)
async def test_a_bad_key_is_unauthenticated_by_its_own_reason(
    auth: Served, secret: str, reason: str, facts: set[str]
) -> None:
    with refused("UNAUTHENTICATED", reason) as refusal:
        await auth.auth.Authenticate(asking(secret))
    assert set(refusal.metadata) == facts
    assert secret[4:] not in str(refusal.error) or not secret[4:]


@pytest.mark.parametrize("audience", ["", "everybody"])
async def test_an_audience_that_is_no_service_is_refused(auth: Served, audience: str) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await auth.auth.Authenticate(asking(ADMIN, audience))
    assert refusal.fields == ["audience"]


async def test_a_suspended_tenant_is_refused(tmp_path: Path) -> None:
    suspended = MemoryTenantStore(dataclasses.replace(ACME, state=TenantState.SUSPENDED))
    async with served(tmp_path, tenant_store=suspended) as auth:
        await auth.settled()
        with refused("PERMISSION_DENIED", "TENANT_SUSPENDED") as refusal:
            await auth.auth.Authenticate(asking(ADMIN))
        assert refusal.metadata == {"tenant": "acme"}
        with refused("PERMISSION_DENIED", "TENANT_SUSPENDED"):
            await issue(auth)


async def test_a_row_made_by_hand_registers_its_tenant_once_there_is_a_folder(
    tmp_path: Path,
) -> None:
    hand = [record(f"{HAND} {tenant}", tenant) for tenant in ("gadgets", "acme_corp", "gone")]
    gone = dataclasses.replace(ACME, tenant_id="gone", state=TenantState.DELETED)
    async with served(
        tmp_path, key_store=MemoryKeyStore(*hand), tenant_store=MemoryTenantStore(ACME, gone)
    ) as auth:
        await auth.settled()
        with refused("NOT_FOUND", "TENANT_NOT_FOUND") as refusal:
            await auth.auth.Authenticate(asking(f"{HAND} gadgets"))
        assert refusal.metadata == {"name": "tenants/gadgets"}
        (tmp_path / "gadgets").mkdir()
        (tmp_path / "acme_corp").mkdir()
        answer = await auth.auth.Authenticate(asking(f"{HAND} gadgets"))
        assert list(answer.principal.scopes) == ["pipelines:read", "runs:read", "runs:write"]
        with refused("ALREADY_EXISTS", "TENANT_ID_CONFUSABLE") as refusal:
            await auth.auth.Authenticate(asking(f"{HAND} acme_corp"))
        assert refusal.metadata == {"tenant": "acme_corp", "other": "acme"}
        with refused("FAILED_PRECONDITION", "TENANT_DELETED"):
            await auth.auth.Authenticate(asking(f"{HAND} gone"))


async def test_an_address_that_fails_too_often_waits_and_its_port_does_not_matter(
    auth: Served,
) -> None:
    for port in range(30):
        with refused("UNAUTHENTICATED", "API_KEY_MALFORMED"):
            await auth.auth.Authenticate(asking("", peer=f"ipv4:10.9.9.9:{port}"))
    with refused("RESOURCE_EXHAUSTED", "AUTHENTICATION_THROTTLED") as refusal:
        await auth.auth.Authenticate(asking("", peer="ipv4:10.9.9.9:99"))
    assert refusal.metadata == {"peer": "10.9.9.9"}
    assert 0 < refusal.error.retry_after <= 1  # type: ignore[attr-defined]
    assert await auth.auth.Authenticate(asking(ADMIN, peer="ipv4:10.9.9.9:99"))


async def test_while_bigquery_is_down_nothing_is_known_and_it_recovers_by_itself(
    tmp_path: Path,
) -> None:
    store = MemoryKeyStore(*standing())
    store.fail_with = DOWN
    async with served(tmp_path, key_store=store) as auth:
        assert not await auth.serving()
        with refused("UNAVAILABLE", "AUTH_UNAVAILABLE"):
            await auth.auth.Authenticate(asking(ADMIN))
        with refused("UNAVAILABLE", "AUTH_UNAVAILABLE"):
            await issue(auth)
        store.fail_with = None
        await auth.settled()
        assert await auth.auth.Authenticate(asking(ADMIN))


async def test_a_table_older_than_the_promise_is_not_served(tmp_path: Path) -> None:
    async with served(tmp_path, promise_seconds=0.5, refresh_seconds=0.1) as auth:
        await auth.settled()
        assert await auth.auth.Authenticate(asking(ADMIN))
        auth.keys.fail_with = DOWN
        while await auth.serving():
            assert await auth.serving() in (True, False)
        with refused("UNAVAILABLE", "AUTH_UNAVAILABLE"):
            await auth.auth.Authenticate(asking(ADMIN))


async def test_before_init_every_call_but_health_names_the_command(tmp_path: Path) -> None:
    store, signing = MemoryKeyStore(*standing()), MemorySigningKeyStore()
    store.fail_with = NotInitialized("table metadata.api_keys")
    async with served(tmp_path, key_store=store, signing=signing) as auth:
        await auth.settled()
        for call in (auth.auth.Authenticate(asking(ADMIN)), issue(auth), listing(auth)):
            with refused("FAILED_PRECONDITION", "NOT_INITIALIZED") as refusal:
                await call
            assert refusal.metadata == {"command": "convergence admin init"}


async def test_a_signing_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    signing = MemorySigningKeyStore()
    signing.fail_with = FailedPrecondition(
        "exposed", reason="SIGNING_KEY_UNUSABLE", path="p", mode="0644"
    )
    async with served(tmp_path, signing=signing) as auth:
        await auth.settled()
        for call in (auth.auth.Authenticate(asking(ADMIN)), issue(auth), listing(auth)):
            with refused("FAILED_PRECONDITION", "SIGNING_KEY_UNUSABLE") as refusal:
                await call
            assert refusal.metadata == {"path": "p", "mode": "0644"}


async def issue(
    auth: Served,
    *,
    run: str = RUN,
    audiences: tuple[str, ...] = ("ingest", "quality"),
    authorization: str = f"Bearer {CREDENTIAL}",
) -> pb.IssueRunTokenResponse:
    request = pb.IssueRunTokenRequest(run=run, audiences=audiences)
    shown = (("authorization", authorization),) if authorization else ()
    return await auth.auth.IssueRunToken(request, metadata=shown)


async def listing(auth: Served) -> pb.ListSigningKeysResponse:
    return await auth.auth.ListSigningKeys(pb.ListSigningKeysRequest())


async def test_the_orchestrator_gets_a_token_bound_to_its_run(auth: Served) -> None:
    issued = await issue(auth)
    token = issued.identity_token
    assert issued.limits == TenantLimits(
        calls_per_second=1000,
        call_burst=2000,
        live_run_count=3,
        slot_weight=1.5,
        chunk_count=8,
        read_bytes_per_day=5_000_000_000,
    )
    for audience in ("ingest", "quality"):
        principal = await verifier(auth, audience).verify(token)
        assert (principal.tenant, principal.run) == ("acme", RUN)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "CREDENTIAL_MISSING"),
        ("Bearer wrong", "IDENTITY_TOKEN_INVALID"),
        (f"Basic {CREDENTIAL}", "IDENTITY_TOKEN_INVALID"),
        (f"Bearer {READER}", "IDENTITY_TOKEN_INVALID"),
    ],
    ids=["none", "wrong", "basic", "an API key"],
)
async def test_nobody_else_gets_tokens_of_runs(
    auth: Served, authorization: str, reason: str
) -> None:
    with refused("UNAUTHENTICATED", reason):
        await issue(auth, authorization=authorization)


async def test_a_request_for_a_run_token_names_every_wrong_field(auth: Served) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await issue(auth, run="tenants/acme/runs/r", audiences=())
    assert refusal.fields == ["audiences", "run"]


async def test_a_run_of_no_tenant_gets_no_token(auth: Served) -> None:
    with refused("NOT_FOUND", "TENANT_NOT_FOUND") as refusal:
        await issue(auth, run="tenants/nobody/pipelines/p/runs/r")
    assert refusal.metadata == {"name": "tenants/nobody"}


async def test_a_run_of_a_deleted_tenant_gets_no_token(tmp_path: Path) -> None:
    deleted = MemoryTenantStore(dataclasses.replace(ACME, state=TenantState.DELETED))
    async with served(tmp_path, tenant_store=deleted) as auth:
        await auth.settled()
        with refused("FAILED_PRECONDITION", "TENANT_DELETED"):
            await issue(auth)


async def test_public_keys_are_raw_ed25519(auth: Served) -> None:
    (key,) = (await listing(auth)).keys
    assert (len(key.key_id), len(key.public_key)) == (16, 32)


async def test_outcomes_and_the_age_of_the_table_are_measured(auth: Served) -> None:
    await auth.auth.Authenticate(asking(ADMIN))
    with refused("UNAUTHENTICATED", "API_KEY_REVOKED"):
        await auth.auth.Authenticate(asking(REVOKED))
    value = auth.host.registry.get_sample_value
    name = "convergence_auth_authentications_total"
    assert value(name, {"outcome": "OK"}) == 1
    assert value(name, {"outcome": "API_KEY_REVOKED"}) == 1
    assert value(name, {"outcome": "API_KEY_UNKNOWN"}) == 0
    age = value("convergence_auth_key_table_age_seconds")
    assert age is not None
    assert 0 <= age < 20
