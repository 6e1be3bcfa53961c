"""What every key store and every tenant store keeps, in memory and in BigQuery."""

import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import bigquery

from libs.bigquery.client import BigQuery, Connection, connect
from libs.common.errors import FailedPrecondition, Unavailable
from libs.metadata.tables import API_KEYS, DATASET, TABLES, TENANTS
from services.auth import keys
from services.auth.bigquery_keys import BigQueryKeyStore
from services.auth.bigquery_metadata import BigQueryMetadata
from services.auth.bigquery_tenants import BigQueryTenantStore
from services.auth.initialisation import SchemaChanged, missing_columns
from services.auth.key_store import KeyStore, MemoryKeyStore
from services.auth.keys import KeyRecord
from services.auth.tenant_store import MemoryTenantStore, TenantStore
from services.auth.tenants import (
    Limits,
    Tenant,
    TenantIdConfusable,
    TenantNotFound,
    TenantStale,
    TenantState,
)
from tests.support.engine import Engine

START = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = START + timedelta(hours=1)
KEY = KeyRecord(
    digest=keys.digest_of("one"),
    tenant="acme",
    key_id="k1",
    create_time=START,
    created_by="tenants/-/apiKeys/root",
    description='it\'s "one" \\ key\n',
    scopes=frozenset({"runs:read", "tenant:admin"}),
    expire_time=LATER,
)
OTHER = dataclasses.replace(KEY, digest=keys.digest_of("two"), key_id="k2", expire_time=None)
FOREIGN = dataclasses.replace(KEY, digest=keys.digest_of("three"), key_id="k3", tenant="widgets")
ACME = Tenant(
    tenant_id="acme",
    create_time=START,
    update_time=START,
    display_name="Acme 'n' Söhne",
    bigquery_location="EU",
    source_prefixes=("gs://a/", "gs://b/c/"),
    limits=Limits(
        calls_per_second=0.5,
        call_burst=7,
        live_run_count=3,
        slot_weight=2.5,
        chunk_count=8,
        read_bytes_per_day=10**13,
    ),
)
PLAIN = Tenant(tenant_id="widgets", create_time=START, update_time=START)


def at(engine: Engine) -> Connection:
    return Connection("local", "US", engine.rest, engine.grpc)


@pytest.fixture
def warehouse(engine: Engine) -> Iterator[BigQuery]:
    with connect(at(engine)) as bq:
        bq.rest.delete_dataset(DATASET, delete_contents=True, not_found_ok=True)
        metadata = BigQueryMetadata(bq)
        for table in (API_KEYS, TENANTS):
            asyncio.run(metadata.ensure(table))
        yield bq


@pytest.fixture(params=["memory", "bigquery"])
def key_store(request: pytest.FixtureRequest) -> KeyStore:
    if request.param == "memory":
        return MemoryKeyStore()
    return BigQueryKeyStore(request.getfixturevalue("warehouse"))


@pytest.fixture(params=["memory", "bigquery"])
def tenant_store(request: pytest.FixtureRequest) -> TenantStore:
    if request.param == "memory":
        return MemoryTenantStore()
    return BigQueryTenantStore(request.getfixturevalue("warehouse"))


async def stored(store: KeyStore) -> dict[str, KeyRecord]:
    return {key.key_id: key for key in await store.read()}


async def test_a_key_comes_back_as_it_went_and_repeating_adds_nothing(key_store: KeyStore) -> None:
    for key in (KEY, OTHER, KEY, dataclasses.replace(KEY, description="again")):
        await key_store.insert(key)
    assert await stored(key_store) == {"k1": KEY, "k2": OTHER}


async def test_revoking_keeps_the_first_time_and_touches_no_other_key(key_store: KeyStore) -> None:
    await key_store.insert(KEY)
    await key_store.insert(OTHER)
    await key_store.revoke(KEY.digest, at=START)
    await key_store.revoke(KEY.digest, at=LATER)
    assert await stored(key_store) == {
        "k1": dataclasses.replace(KEY, active=False, revoke_time=START),
        "k2": OTHER,
    }


async def test_superseding_shortens_a_life_and_never_prolongs_it(key_store: KeyStore) -> None:
    await key_store.insert(KEY)
    await key_store.insert(OTHER)
    for digest in (KEY.digest, OTHER.digest):
        await key_store.supersede(digest, successor="k9", expire_time=LATER + timedelta(hours=1))
    found = await stored(key_store)
    assert found["k1"] == dataclasses.replace(KEY, superseded_by="k9")
    assert found["k2"].expire_time == LATER + timedelta(hours=1)


async def test_revoking_a_tenants_keys_leaves_those_of_others(key_store: KeyStore) -> None:
    for key in (KEY, OTHER, FOREIGN):
        await key_store.insert(key)
    await key_store.revoke(KEY.digest, at=START)
    await key_store.revoke_all("acme", at=LATER)
    found = await stored(key_store)
    assert [found[name].revoke_time for name in ("k1", "k2", "k3")] == [START, LATER, None]
    assert [found[name].active for name in ("k1", "k2", "k3")] == [False, False, True]


async def test_last_use_only_moves_forward(key_store: KeyStore) -> None:
    await key_store.insert(KEY)
    await key_store.insert(OTHER)
    await key_store.touch({KEY.digest: LATER, OTHER.digest: START, "ff" * 32: START})
    await key_store.touch({KEY.digest: START, OTHER.digest: LATER})
    await key_store.touch({})
    found = await stored(key_store)
    assert (found["k1"].last_use_time, found["k2"].last_use_time) == (LATER, LATER)


async def test_writing_about_a_key_that_is_not_there_changes_nothing(key_store: KeyStore) -> None:
    await key_store.revoke("ff" * 32, at=START)
    await key_store.supersede("ff" * 32, successor="k9", expire_time=START)
    assert await stored(key_store) == {}


async def test_a_tenant_comes_back_as_it_went_and_the_first_of_an_id_stands(
    tenant_store: TenantStore,
) -> None:
    assert await tenant_store.insert(ACME) == ACME
    assert await tenant_store.insert(PLAIN) == PLAIN
    assert await tenant_store.insert(dataclasses.replace(ACME, display_name="Other")) == ACME
    assert sorted(await tenant_store.read(), key=lambda tenant: tenant.tenant_id) == [ACME, PLAIN]


@pytest.mark.parametrize(("first", "second"), [("acme", "acme_corp"), ("acme_corp", "acme")])
async def test_of_two_confusable_tenants_only_the_first_is_kept(
    tenant_store: TenantStore, first: str, second: str
) -> None:
    await tenant_store.insert(
        dataclasses.replace(PLAIN, tenant_id=first, state=TenantState.DELETED)
    )
    with pytest.raises(TenantIdConfusable) as error:
        await tenant_store.insert(dataclasses.replace(PLAIN, tenant_id=second))
    assert error.value.metadata == {"tenant": second, "other": first}
    assert [tenant.tenant_id for tenant in await tenant_store.read()] == [first]


async def test_an_underscore_in_an_id_is_no_wildcard(tenant_store: TenantStore) -> None:
    await tenant_store.insert(dataclasses.replace(PLAIN, tenant_id="a_b"))
    await tenant_store.insert(dataclasses.replace(PLAIN, tenant_id="axb_c"))
    assert len(await tenant_store.read()) == 2


async def test_a_swap_replaces_every_field_and_may_be_repeated(tenant_store: TenantStore) -> None:
    await tenant_store.insert(ACME)
    new = dataclasses.replace(
        PLAIN,
        tenant_id="acme",
        state=TenantState.SUSPENDED,
        update_time=LATER,
        bigquery_project="other-project",
    )
    await tenant_store.swap(ACME, new)
    await tenant_store.swap(ACME, new)
    assert await tenant_store.read() == [new]


async def test_of_two_racing_swaps_exactly_one_wins(tenant_store: TenantStore) -> None:
    await tenant_store.insert(ACME)
    moves = [
        dataclasses.replace(ACME, display_name=name, update_time=START + timedelta(seconds=number))
        for number, name in enumerate(("A", "B"), start=1)
    ]
    results = await asyncio.gather(
        *(tenant_store.swap(ACME, new) for new in moves), return_exceptions=True
    )
    assert [type(result) for result in results if result] == [TenantStale]
    assert (await tenant_store.read())[0] in moves


async def test_a_missing_tenant_cannot_be_swapped(tenant_store: TenantStore) -> None:
    with pytest.raises(TenantNotFound):
        await tenant_store.swap(ACME, dataclasses.replace(ACME, update_time=LATER))


async def test_without_tables_the_stores_name_the_command(warehouse: BigQuery) -> None:
    warehouse.rest.delete_dataset(DATASET, delete_contents=True)
    for call in (
        BigQueryKeyStore(warehouse).read(),
        BigQueryTenantStore(warehouse).read(),
        BigQueryKeyStore(warehouse).insert(KEY),
    ):
        with pytest.raises(FailedPrecondition, match="convergence admin init") as error:
            await call
        assert error.value.reason == "NOT_INITIALIZED"


async def test_without_bigquery_the_keys_are_unavailable() -> None:
    nowhere = Connection("local", "US", "http://127.0.0.1:9", "127.0.0.1:9")
    with connect(nowhere) as bq, pytest.raises(Unavailable):
        await BigQueryKeyStore(bq, read_seconds=0.5).read()


async def test_a_row_of_six_columns_is_a_key_and_a_broken_row_is_left_out(
    warehouse: BigQuery,
) -> None:
    client: bigquery.Client = warehouse.rest
    insert = (
        "INSERT INTO metadata.api_keys (api_key_hash, tenant_id, created_at, created_by, is_active, description)"
        " VALUES ({}, {}, CURRENT_TIMESTAMP(), 'me', TRUE, 'seed')"
    )
    for digest, tenant in (
        ("TO_HEX(SHA256('my-key'))", "'acme_corp'"),
        ("UPPER(TO_HEX(SHA256('loud')))", "'acme_corp'"),
        ("'my-key'", "'acme_corp'"),
        ("TO_HEX(SHA256('x'))", "'No Tenant'"),
    ):
        client.query(insert.format(digest, tenant)).result()
    store = BigQueryKeyStore(warehouse)
    found = {key.digest: key for key in await store.read()}
    assert set(found) == {keys.digest_of("my-key"), keys.digest_of("loud")}
    assert {key.scopes for key in found.values()} == {keys.DEFAULT_SCOPES}
    for digest in found:
        await store.revoke(digest, at=START)
    assert {key.active for key in await store.read()} == {False}


async def test_metadata_tables_are_made_once_and_keep_their_columns(warehouse: BigQuery) -> None:
    metadata = BigQueryMetadata(warehouse)
    made = [(await metadata.ensure(table))[0] for table in TABLES]
    assert made == [table not in (API_KEYS, TENANTS) for table in TABLES]
    for table in TABLES:
        created, found = await metadata.ensure(table)
        assert not created
        assert missing_columns(table, found) == ()


async def test_a_missing_column_is_added_and_a_retyped_one_is_refused_by_name(
    warehouse: BigQuery,
) -> None:
    client = warehouse.rest
    metadata = BigQueryMetadata(warehouse)
    client.delete_table("metadata.api_keys")
    fields = [
        bigquery.SchemaField(column.name, column.type, mode=column.mode)
        for column in API_KEYS.columns
        if column.name != "last_used_at"
    ]
    client.create_table(bigquery.Table("local.metadata.api_keys", schema=fields))
    _, found = await metadata.ensure(API_KEYS)
    await metadata.add(API_KEYS, missing_columns(API_KEYS, found))
    await BigQueryKeyStore(warehouse).insert(KEY)
    await BigQueryKeyStore(warehouse).touch({KEY.digest: LATER})
    assert (await BigQueryKeyStore(warehouse).read())[0].last_use_time == LATER
    client.delete_table("metadata.api_keys")
    fields[4] = bigquery.SchemaField("is_active", "STRING", mode="REQUIRED")
    client.create_table(bigquery.Table("local.metadata.api_keys", schema=fields))
    _, found = await metadata.ensure(API_KEYS)
    with pytest.raises(
        SchemaChanged, match=r"is_active of metadata\.api_keys is STRING and must be BOOL"
    ):
        missing_columns(API_KEYS, found)


async def test_tenants_of_a_table_without_the_newest_columns_have_the_defaults_until_init_adds_them(
    warehouse: BigQuery,
) -> None:
    client, metadata, store = (
        warehouse.rest,
        BigQueryMetadata(warehouse),
        BigQueryTenantStore(warehouse),
    )
    client.delete_table("metadata.tenants")
    fields = [bigquery.SchemaField(c.name, c.type, mode=c.mode) for c in TENANTS.columns[:-2]]
    client.create_table(bigquery.Table("local.metadata.tenants", schema=fields))
    client.query(
        "INSERT INTO metadata.tenants (tenant_id, state, create_time, update_time, live_run_count)"
        " VALUES ('acme', 'active', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 3)"
    ).result()
    (acme,) = await store.read()
    assert acme.limits == Limits(live_run_count=3)
    _, found = await metadata.ensure(TENANTS)
    await metadata.add(TENANTS, missing_columns(TENANTS, found))
    heavy = dataclasses.replace(acme, limits=Limits(live_run_count=3, slot_weight=2.5))
    await store.swap(acme, heavy)
    assert list(await store.read()) == [heavy]
