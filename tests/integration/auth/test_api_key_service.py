"""ApiKeyService over a socket: each RPC's success and each failure that its comment documents."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from convergence.auth.v1 import api_key_pb2, auth_service_pb2
from convergence.auth.v1 import api_key_service_pb2 as pb
from convergence.auth.v1 import tenant_service_pb2 as tenants_pb
from google.protobuf.duration_pb2 import Duration

from services.auth import keys
from services.auth.key_store import MemoryKeyStore
from tests.integration.auth.edge_requests import ask
from tests.integration.auth.serving import (
    ADMIN,
    NOW,
    READER,
    ROOT,
    Served,
    key,
    record,
    served,
    standing,
)
from tests.support.refusals import refused

ENDED = keys.new_secret("acme")


@pytest.fixture
async def auth(tmp_path: Path) -> AsyncGenerator[Served]:
    store = MemoryKeyStore(*standing(), record(ENDED, "acme", expire_time=NOW))
    async with served(tmp_path, key_store=store) as running:
        yield await running.settled()


async def create(
    auth: Served, parent: str = "tenants/acme", *, secret: str = ADMIN, **fields: Any
) -> pb.CreateApiKeyResponse:
    request = pb.CreateApiKeyRequest(parent=parent, api_key=api_key_pb2.ApiKey(**fields))
    answer: pb.CreateApiKeyResponse = await ask(auth, "CreateApiKey", request, secret=secret)
    return answer


async def rotate(
    auth: Served, name: str, *, secret: str = ADMIN, **fields: Any
) -> pb.RotateApiKeyResponse:
    request = pb.RotateApiKeyRequest(name=name, **fields)
    answer: pb.RotateApiKeyResponse = await ask(auth, "RotateApiKey", request, secret=secret)
    return answer


async def revoke(auth: Served, name: str, *, secret: str = ADMIN) -> api_key_pb2.ApiKey:
    request = pb.RevokeApiKeyRequest(name=name)
    answer: pb.RevokeApiKeyResponse = await ask(auth, "RevokeApiKey", request, secret=secret)
    return answer.api_key


async def identify(auth: Served, secret: str) -> auth_service_pb2.Principal:
    asked = auth_service_pb2.AuthenticateRequest(api_key=secret, audience="orchestrator")
    return (await auth.auth.Authenticate(asked)).principal


def name_of(secret: str) -> str:
    return str(record(secret, "acme").name)


async def test_a_new_key_is_shown_once_and_works_at_once(auth: Served) -> None:
    made = await create(auth, scopes=["runs:read"], description="for the dashboard")
    assert made.secret.startswith("cvg_acme_")
    principal = await identify(auth, made.secret)
    assert (principal.tenant, list(principal.scopes)) == ("acme", ["runs:read"])
    shown = made.api_key
    assert (shown.description, list(shown.scopes), shown.active) == (
        "for the dashboard", ["runs:read"], True,
    )  # fmt: skip
    assert shown.created_by == name_of(ADMIN)
    listing = await ask(
        auth, "ListApiKeys", pb.ListApiKeysRequest(parent="tenants/acme"), secret=ADMIN
    )
    assert made.secret not in listing.SerializeToString().decode("latin-1")
    assert made.secret not in repr(await auth.keys.read())


async def test_a_platform_admin_makes_keys_with_what_tenants_need(auth: Served) -> None:
    made = await create(auth, secret=ROOT)
    assert list(made.api_key.scopes) == ["pipelines:read", "runs:read", "runs:write"]


async def test_platform_keys_are_made_below_the_platform(auth: Served) -> None:
    made = await create(auth, "tenants/-", secret=ROOT, scopes=["platform:admin"])
    assert (await identify(auth, made.secret)).tenant == "-"


async def test_nobody_gives_away_more_than_he_may(auth: Served) -> None:
    with refused("PERMISSION_DENIED", "SCOPE_MISSING") as refusal:
        await create(auth, scopes=["runs:read", "runs:write"])
    assert refusal.metadata == {"scope": "runs:write", "method": "CreateApiKey"}
    assert len(await auth.keys.read()) == 4


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": ["runs:delete"]}, "api_key.scopes"),
        ({"description": "x" * 201}, "api_key.description"),
        ({"expire_time": NOW - timedelta(seconds=1)}, "api_key.expire_time"),
    ],
    ids=["scope", "description", "past"],
)
async def test_a_key_that_cannot_be_is_refused_by_field(
    auth: Served, fields: dict[str, Any], field: str
) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await create(auth, secret=ROOT, **fields)
    assert refusal.fields == [field]
    assert len(await auth.keys.read()) == 4


async def test_a_tenant_that_is_not_there_gets_no_key(auth: Served) -> None:
    with refused("NOT_FOUND", "TENANT_NOT_FOUND") as refusal:
        await create(auth, "tenants/gone", secret=ROOT)
    assert refusal.metadata == {"name": "tenants/gone"}


async def test_a_deleted_tenant_gets_no_key(auth: Served) -> None:
    gone = tenants_pb.DeleteTenantRequest(name="tenants/widgets")
    await auth.tenant_service.DeleteTenant(gone, metadata=key(ROOT))
    with refused("FAILED_PRECONDITION", "TENANT_DELETED") as refusal:
        await create(auth, "tenants/widgets", secret=ROOT)
    assert refusal.metadata == {"tenant": "widgets"}


async def test_keys_of_one_tenant_are_listed_newest_first_page_by_page(auth: Served) -> None:
    made = [(await create(auth, scopes=["runs:read"])).api_key.name for _ in range(2)]
    names, token = [], ""
    while True:
        request = pb.ListApiKeysRequest(parent="tenants/acme", page_size=2, page_token=token)
        answer = await ask(auth, "ListApiKeys", request, secret=ADMIN)
        names += [one.name for one in answer.api_keys]
        token = answer.next_page_token
        if not token:
            break
    assert names[:2] == made[::-1]
    assert set(names[2:]) == {name_of(secret) for secret in (ADMIN, READER, ENDED)}


async def test_a_page_token_of_another_tenants_list_is_refused(auth: Served) -> None:
    asked = pb.ListApiKeysRequest(parent="tenants/acme", page_size=1)
    token = (await ask(auth, "ListApiKeys", asked, secret=ROOT)).next_page_token
    for parent, wrong in (("tenants/widgets", token), ("tenants/acme", "x")):
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
            request = pb.ListApiKeysRequest(parent=parent, page_token=wrong)
            await ask(auth, "ListApiKeys", request, secret=ROOT)
        assert refusal.metadata == {"field": "page_token"}


async def test_a_rotated_key_works_until_the_overlap_is_over_and_its_successor_at_once(
    auth: Served,
) -> None:
    answer = await rotate(auth, name_of(READER), overlap=Duration(seconds=3600))
    assert list((await identify(auth, answer.secret)).scopes) == ["runs:read"]
    assert (await identify(auth, READER)).tenant == "acme"
    assert answer.superseded.name == name_of(READER)
    assert answer.superseded.superseded_by == answer.api_key.name
    ends = answer.superseded.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(minutes=55) < ends <= timedelta(hours=1)


async def test_without_an_overlap_the_old_key_ends_now(auth: Served) -> None:
    await rotate(auth, name_of(READER), overlap=Duration())
    with refused("UNAUTHENTICATED", "API_KEY_EXPIRED"):
        await identify(auth, READER)


async def test_an_overlap_that_is_not_said_is_a_day(auth: Served) -> None:
    answer = await rotate(auth, name_of(READER))
    ends = answer.superseded.expire_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(hours=23) < ends <= timedelta(days=1)


@pytest.mark.parametrize("seconds", [-1, 30 * 86400 + 1], ids=["negative", "too long"])
async def test_an_overlap_that_cannot_be_is_refused_by_field(auth: Served, seconds: int) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await rotate(auth, name_of(READER), overlap=Duration(seconds=seconds))
    assert refusal.fields == ["overlap"]


async def test_a_key_that_has_ended_or_was_rotated_cannot_be_rotated(auth: Served) -> None:
    await rotate(auth, name_of(READER))
    for secret in (ENDED, READER):
        with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
            await rotate(auth, name_of(secret), secret=ROOT)
        assert refusal.fields == ["name"]


async def test_nobody_rotates_a_key_that_may_do_more_than_he(auth: Served) -> None:
    strong = await create(auth, secret=ROOT, scopes=["runs:write"])
    with refused("PERMISSION_DENIED", "SCOPE_MISSING") as refusal:
        await rotate(auth, strong.api_key.name)
    assert refusal.metadata == {"scope": "runs:write", "method": "RotateApiKey"}


async def test_a_revoked_key_works_no_more_and_revoking_may_be_repeated(auth: Served) -> None:
    first = await revoke(auth, name_of(READER))
    again = await revoke(auth, name_of(READER))
    assert not first.active
    assert first == again
    with refused("UNAUTHENTICATED", "API_KEY_REVOKED"):
        await identify(auth, READER)


@pytest.mark.parametrize("call", [rotate, revoke], ids=["RotateApiKey", "RevokeApiKey"])
async def test_a_key_that_is_not_there_is_refused(auth: Served, call: Any) -> None:
    with refused("NOT_FOUND", "API_KEY_NOT_FOUND") as refusal:
        await call(auth, "tenants/acme/apiKeys/kgone")
    assert refusal.metadata == {"name": "tenants/acme/apiKeys/kgone"}
