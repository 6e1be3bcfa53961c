"""Rows of the key and tenant tables, those made by hand included."""

import dataclasses
from datetime import datetime

import pytest

from libs.metadata.tables import API_KEYS, TENANTS
from services.auth import keys
from services.auth.keys import KeyRecord
from services.auth.rows import key_of, row_of_key, row_of_tenant, tenant_of
from services.auth.tenants import Limits, Tenant, TenantState
from tests.unit.auth.virtual_time import START

DIGEST = keys.digest_of("my-key")
SEED: dict[str, object] = {
    "api_key_hash": DIGEST,
    "tenant_id": "acme_corp",
    "created_at": START,
    "created_by": "me",
    "is_active": True,
    "description": "seed",
}
FULL = KeyRecord(
    digest=DIGEST,
    tenant="acme",
    key_id="k1",
    create_time=START,
    created_by="tenants/-/apiKeys/root",
    active=False,
    description="d",
    scopes=frozenset({"runs:read", "tenant:admin"}),
    expire_time=START,
    revoke_time=START,
    superseded_by="k2",
    last_use_time=START,
)
ACME = Tenant(
    tenant_id="acme",
    create_time=START,
    update_time=START,
    display_name="Acme",
    state=TenantState.SUSPENDED,
    bigquery_project="my-project",
    bigquery_location="EU",
    service_account="a@b.iam.gserviceaccount.com",
    source_prefixes=("gs://a/", "s3://bucket/x/"),
    limits=Limits(
        calls_per_second=1.5,
        call_burst=2,
        live_run_count=3,
        slot_weight=0.5,
        chunk_count=8,
        read_bytes_per_day=10**13,
    ),
)


def test_the_six_columns_are_enough() -> None:
    key = key_of(SEED)
    assert key == KeyRecord(
        digest=DIGEST,
        tenant="acme_corp",
        key_id=f"h{DIGEST[:16]}",
        create_time=START,
        created_by="me",
        description="seed",
        scopes=keys.DEFAULT_SCOPES,
    )
    assert (
        key_of({**SEED, **dict.fromkeys(["key_id", "scopes", "expires_at", "superseded_by"])})
        == key
    )


@pytest.mark.parametrize("value", [False, None])
def test_what_is_not_active_is_revoked(value: object) -> None:
    assert keys.verdict(key_of({**SEED, "is_active": value}), START) is keys.Verdict.REVOKED


def test_a_hash_in_capitals_is_the_same_hash() -> None:
    assert key_of({**SEED, "api_key_hash": DIGEST.upper() + " "}).digest == DIGEST


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("api_key_hash", "my-key"),
        ("api_key_hash", None),
        ("tenant_id", "Acme"),
        ("tenant_id", None),
    ],
)
def test_a_row_that_is_no_key_is_named_without_showing_what_may_be_a_secret(
    column: str, value: object
) -> None:
    with pytest.raises(ValueError, match=column) as error:
        key_of({**SEED, column: value})
    assert "my-key" not in str(error.value)


def test_admin_of_the_platform_cannot_be_inserted_for_a_tenant() -> None:
    assert key_of({**SEED, "scopes": "platform:admin runs:read"}).scopes == {"runs:read"}


@pytest.mark.parametrize(
    "key", [FULL, dataclasses.replace(FULL, superseded_by="", scopes=frozenset())]
)
def test_a_key_comes_back_as_it_went(key: KeyRecord) -> None:
    row = row_of_key(key)
    assert tuple(row) == tuple(column.name for column in API_KEYS.columns)
    assert key_of(row) == key


def test_a_tenant_comes_back_as_it_went() -> None:
    row = row_of_tenant(ACME)
    assert tuple(row) == tuple(column.name for column in TENANTS.columns)
    assert tenant_of(row) == ACME


def test_a_tenant_row_of_nulls_means_the_platforms_defaults() -> None:
    row = {"tenant_id": "acme", "state": "active", "create_time": START, "update_time": START}
    assert tenant_of(row) == Tenant(tenant_id="acme", create_time=START, update_time=START)


@pytest.mark.parametrize(
    "change", [{"tenant_id": "-"}, {"state": "sleeping"}, {"update_time": None}]
)
def test_a_row_that_is_no_tenant_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"tenant_id|sleeping|update_time"):
        tenant_of({**row_of_tenant(ACME), **change})


def test_a_time_without_a_zone_is_utc() -> None:
    assert key_of({**SEED, "created_at": datetime(2026, 11, 1, 12)}).create_time == START  # noqa: DTZ001
