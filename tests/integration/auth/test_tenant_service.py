"""TenantService over a socket: each RPC's success and each failure that its comment documents."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from convergence.auth.v1 import auth_service_pb2, tenant_pb2
from convergence.auth.v1 import tenant_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from services.auth import keys
from services.auth.key_store import MemoryKeyStore
from tests.integration.auth.edge_requests import ask
from tests.integration.auth.serving import ADMIN, NOW, ROOT, Served, record, served, standing
from tests.support.refusals import refused

HAND = keys.new_secret("acme")


@pytest.fixture
async def auth(tmp_path: Path) -> AsyncGenerator[Served]:
    store = MemoryKeyStore(*standing(), record(HAND, "acme"))
    async with served(tmp_path, key_store=store) as running:
        yield await running.settled()


async def create(auth: Served, tenant_id: str, **fields: Any) -> tenant_pb2.Tenant:
    request = pb.CreateTenantRequest(tenant_id=tenant_id, tenant=tenant_pb2.Tenant(**fields))
    answer: pb.CreateTenantResponse = await ask(auth, "CreateTenant", request, secret=ROOT)
    return answer.tenant


async def get(auth: Served, tenant_id: str, *, secret: str = ROOT) -> tenant_pb2.Tenant:
    request = pb.GetTenantRequest(name=f"tenants/{tenant_id}")
    answer: pb.GetTenantResponse = await ask(auth, "GetTenant", request, secret=secret)
    return answer.tenant


async def update(
    auth: Served, name: str, *paths: str, expected: Any = None, **fields: Any
) -> tenant_pb2.Tenant:
    request = pb.UpdateTenantRequest(
        tenant=tenant_pb2.Tenant(name=name, **fields),
        update_mask=FieldMask(paths=paths),
        expected_update_time=expected,
    )
    answer: pb.UpdateTenantResponse = await ask(auth, "UpdateTenant", request, secret=ROOT)
    return answer.tenant


async def delete(auth: Served, tenant_id: str) -> tenant_pb2.Tenant:
    request = pb.DeleteTenantRequest(name=f"tenants/{tenant_id}")
    answer: pb.DeleteTenantResponse = await ask(auth, "DeleteTenant", request, secret=ROOT)
    return answer.tenant


async def listed(auth: Served, **fields: Any) -> list[str]:
    answer = await ask(auth, "ListTenants", pb.ListTenantsRequest(**fields), secret=ROOT)
    return [tenant.name for tenant in answer.tenants]


FULL: dict[str, Any] = {
    "display_name": "Gadgets & Söhne",
    "limits": tenant_pb2.TenantLimits(
        calls_per_second=2.5,
        call_burst=7,
        live_run_count=3,
        slot_weight=1.5,
        chunk_count=8,
        read_bytes_per_day=5_000_000_000,
    ),
}


async def test_a_new_tenant_is_active_with_all_that_was_said(auth: Served) -> None:
    tenant = await create(auth, "gadgets", **FULL)
    assert tenant.name == "tenants/gadgets"
    assert tenant.state == tenant_pb2.TENANT_STATE_ACTIVE
    assert tenant.create_time == tenant.update_time
    for field, value in FULL.items():
        assert getattr(tenant, field) == value
    assert await get(auth, "gadgets") == tenant


async def test_creating_a_tenant_may_be_repeated_with_the_same_content_only(auth: Served) -> None:
    first = await create(auth, "gadgets", **FULL)
    assert await create(auth, "gadgets", **FULL) == first
    with refused("ALREADY_EXISTS", "TENANT_EXISTS") as refusal:
        await create(auth, "gadgets", **{**FULL, "display_name": "Other"})
    assert refusal.metadata["name"] == "tenants/gadgets"
    assert "display_name" in str(refusal.error)
    assert await get(auth, "gadgets") == first


@pytest.mark.parametrize(
    ("first", "second"), [("zeta", "zeta_corp"), ("zeta_corp", "zeta")], ids=["longer", "shorter"]
)
async def test_ids_that_could_be_confused_are_refused_in_both_directions(
    auth: Served, first: str, second: str
) -> None:
    await create(auth, first)
    with refused("ALREADY_EXISTS", "TENANT_ID_CONFUSABLE") as refusal:
        await create(auth, second)
    assert refusal.metadata == {"tenant": second, "other": first}
    assert "tenants/" + second not in await listed(auth)


async def test_ids_that_share_only_letters_stand_beside_each_other(auth: Served) -> None:
    for tenant_id in ("zeta", "zetacorp", "zet"):
        await create(auth, tenant_id)
    assert {"tenants/zeta", "tenants/zetacorp", "tenants/zet"} <= set(await listed(auth))


async def test_a_tombstone_confuses_too_and_its_id_is_never_used_again(auth: Served) -> None:
    await create(auth, "zeta")
    await delete(auth, "zeta")
    with refused("FAILED_PRECONDITION", "TENANT_DELETED") as refusal:
        await create(auth, "zeta")
    assert refusal.metadata == {"tenant": "zeta"}
    with refused("ALREADY_EXISTS", "TENANT_ID_CONFUSABLE"):
        await create(auth, "zeta_corp")


async def test_every_wrong_field_of_a_new_tenant_is_named_at_once(auth: Served) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await create(
            auth,
            "Zeta",
            bigquery_project="UPPER",
            service_account="me@gmail.com",
            source_prefixes=["file:///etc/"],
            limits=tenant_pb2.TenantLimits(call_burst=-1),
        )
    assert refusal.fields == [
        "tenant.bigquery_project", "tenant.limits", "tenant.service_account",
        "tenant.source_prefixes", "tenant_id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bigquery_project", "gadgets-prod"),
        ("bigquery_location", "EU"),
    ],
)
async def test_what_nothing_would_act_on_is_refused_and_no_tenant_is_made(
    auth: Served, field: str, value: object
) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await create(auth, "gadgets", **{field: value})
    assert refusal.fields == [f"tenant.{field}"]
    assert "allowed is nothing in this version" in str(refusal.error)
    assert "tenants/gadgets" not in await listed(auth)


async def test_an_admin_says_as_whom_and_where_a_tenants_sources_read(auth: Served) -> None:
    account, first, other = (
        "loader@gadgets-prod.iam.gserviceaccount.com", "gs://gadgets/bills/", "s3://gadgets/",
    )  # fmt: skip
    made = await create(auth, "gadgets", service_account=account, source_prefixes=[other, first])
    assert (made.service_account, list(made.source_prefixes)) == (account, [first, other])
    less = await update(auth, "tenants/gadgets", "source_prefixes", source_prefixes=[other])
    assert (less.service_account, list(less.source_prefixes)) == (account, [other])
    none = await update(auth, "tenants/gadgets", "source_prefixes", "service_account")
    assert (none.service_account, list(none.source_prefixes)) == ("", [])
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await update(auth, "tenants/gadgets", "source_prefixes", source_prefixes=["gs://gadgets"])
    assert refusal.fields == ["tenant.source_prefixes"]
    with refused("PERMISSION_DENIED", "SCOPE_MISSING"):
        request = pb.UpdateTenantRequest(
            tenant=tenant_pb2.Tenant(name="tenants/acme", source_prefixes=[first]),
            update_mask=FieldMask(paths=["source_prefixes"]),
        )
        await ask(auth, "UpdateTenant", request, secret=ADMIN)


async def test_a_tenants_own_admin_sees_it(auth: Served) -> None:
    assert (await get(auth, "acme", secret=ADMIN)).name == "tenants/acme"


@pytest.mark.parametrize("method", ["GetTenant", "DeleteTenant", "UpdateTenant"])
async def test_a_tenant_that_is_not_there_is_refused(auth: Served, method: str) -> None:
    calls = {
        "GetTenant": lambda: get(auth, "gone"),
        "DeleteTenant": lambda: delete(auth, "gone"),
        "UpdateTenant": lambda: update(auth, "tenants/gone", "display_name", display_name="x"),
    }
    with refused("NOT_FOUND", "TENANT_NOT_FOUND") as refusal:
        await calls[method]()
    assert refusal.metadata == {"name": "tenants/gone"}


async def test_tenants_are_listed_by_id_page_by_page(auth: Served) -> None:
    for tenant_id in ("zeta", "beta"):
        await create(auth, tenant_id)
    names, token = [], ""
    while True:
        request = pb.ListTenantsRequest(page_size=3, page_token=token)
        answer = await ask(auth, "ListTenants", request, secret=ROOT)
        names.append([tenant.name.removeprefix("tenants/") for tenant in answer.tenants])
        token = answer.next_page_token
        if not token:
            break
    assert names == [["acme", "beta", "widgets"], ["zeta"]]


async def test_tombstones_are_listed_only_when_asked_for(auth: Served) -> None:
    await delete(auth, "widgets")
    assert await listed(auth) == ["tenants/acme"]
    assert await listed(auth, show_deleted=True) == ["tenants/acme", "tenants/widgets"]


async def test_a_page_token_of_another_list_is_refused(auth: Served) -> None:
    answer = await ask(auth, "ListTenants", pb.ListTenantsRequest(page_size=1), secret=ROOT)
    for token, show in (("x", False), (answer.next_page_token, True)):
        with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID") as refusal:
            await listed(auth, page_token=token, show_deleted=show)
        assert refusal.metadata == {"field": "page_token"}


async def test_only_the_fields_of_the_mask_are_changed(auth: Served) -> None:
    before = await get(auth, "acme")
    after = await update(
        auth, "tenants/acme", "display_name", display_name="New", bigquery_project="ignored-here"
    )
    assert (after.display_name, after.bigquery_project) == ("New", "")
    assert after.limits == before.limits
    assert after.update_time.ToDatetime() > before.update_time.ToDatetime()
    again = await update(auth, "tenants/acme", "display_name", display_name="New")
    assert again == after


@pytest.mark.parametrize(
    ("paths", "fields", "field"),
    [
        ((), {}, "update_mask"),
        (("bigquery_location",), {"bigquery_location": "EU"}, "update_mask"),
        (("nothing",), {}, "update_mask"),
        (("state",), {"state": tenant_pb2.TENANT_STATE_DELETED}, "tenant.state"),
        (("state",), {}, "tenant.state"),
        (("service_account",), {"service_account": "x"}, "tenant.service_account"),
        (("limits.nothing",), {}, "update_mask"),
        (
            ("limits.chunk_count",),
            {"limits": tenant_pb2.TenantLimits(chunk_count=-1)},
            "tenant.limits.chunk_count",
        ),
    ],
    ids=[
        "no mask",
        "location",
        "unknown",
        "deleted",
        "unspecified",
        "account",
        "limit",
        "negative",
    ],
)
async def test_a_change_that_cannot_be_is_refused_by_field(
    auth: Served, paths: tuple[str, ...], fields: dict[str, Any], field: str
) -> None:
    before = await get(auth, "acme")
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await update(auth, "tenants/acme", *paths, **fields)
    assert refusal.fields == [field]
    assert await get(auth, "acme") == before


async def test_a_limit_is_changed_alone_and_zero_is_a_value(auth: Served) -> None:
    before = await get(auth, "acme")
    for weight in (7.5, 0.0):
        limits = tenant_pb2.TenantLimits(slot_weight=weight, chunk_count=99)
        after = await update(auth, "tenants/acme", "limits.slot_weight", limits=limits)
        before.limits.slot_weight = weight
        assert after.limits == before.limits


async def test_a_change_of_what_somebody_else_changed_is_refused(auth: Served) -> None:
    read = await get(auth, "acme")
    await update(auth, "tenants/acme", "display_name", display_name="Theirs")
    with refused("ABORTED", "RESOURCE_STALE") as refusal:
        await update(
            auth, "tenants/acme", "display_name", display_name="Mine", expected=read.update_time
        )
    assert refusal.metadata == {"name": "tenants/acme"}
    assert (await get(auth, "acme")).display_name == "Theirs"


async def test_a_suspended_tenants_keys_work_again_when_it_is_resumed(auth: Served) -> None:
    suspended, active = tenant_pb2.TENANT_STATE_SUSPENDED, tenant_pb2.TENANT_STATE_ACTIVE
    await update(auth, "tenants/acme", "state", state=suspended)
    asked = auth_service_pb2.AuthenticateRequest(api_key=ADMIN, audience="orchestrator")
    with refused("PERMISSION_DENIED", "TENANT_SUSPENDED"):
        await auth.auth.Authenticate(asked)
    await update(auth, "tenants/acme", "state", state=active)
    assert (await auth.auth.Authenticate(asked)).principal.tenant == "acme"


async def test_a_deleted_tenant_leaves_a_tombstone_without_good_keys(auth: Served) -> None:
    for _ in range(2):
        tombstone = await delete(auth, "acme")
        assert tombstone.state == tenant_pb2.TENANT_STATE_DELETED
    for secret in (ADMIN, HAND):
        with refused("UNAUTHENTICATED", "API_KEY_REVOKED"):
            await auth.auth.Authenticate(
                auth_service_pb2.AuthenticateRequest(api_key=secret, audience="orchestrator")
            )
    with refused("FAILED_PRECONDITION", "TENANT_DELETED") as refusal:
        await update(auth, "tenants/acme", "display_name", display_name="x")
    assert refusal.metadata == {"tenant": "acme"}
    assert (await get(auth, "acme")).create_time.ToDatetime() <= NOW.replace(tzinfo=None)
