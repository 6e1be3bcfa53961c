"""Creating, changing and deleting tenants."""

import dataclasses
from datetime import timedelta

import pytest

from libs.common.errors import Unavailable
from services.auth.directory import Directory
from services.auth.key_store import MemoryKeyStore
from services.auth.keys import KeyRecord
from services.auth.tenant_admin import TenantAdmin
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import (
    Tenant,
    TenantDeleted,
    TenantExists,
    TenantIdConfusable,
    TenantNotFound,
    TenantStale,
    TenantState,
)
from tests.unit.auth.virtual_time import START, VirtualTime

ACME = Tenant(tenant_id="acme", create_time=START, update_time=START)
KEY = KeyRecord(digest="d", tenant="acme", key_id="k", create_time=START)


class Admin:
    def __init__(self, *tenants: Tenant) -> None:
        self.time = VirtualTime()
        self.keys = MemoryKeyStore(KEY)
        self.tenants = MemoryTenantStore(*tenants)
        self.directory = Directory(
            self.keys, self.tenants, clock=self.time.clock, sleep=self.time.sleep
        )
        self.it = TenantAdmin(self.directory, now=self.time.now)


async def ready(*tenants: Tenant) -> Admin:
    admin = Admin(*tenants)
    await admin.directory.refresh()
    return admin


async def test_creating_twice_with_the_same_content_returns_the_first() -> None:
    admin = await ready()
    assert await admin.it.create(ACME) == ACME
    later = dataclasses.replace(
        ACME, create_time=START + timedelta(days=1), update_time=START + timedelta(days=1)
    )
    assert await admin.it.create(later) == ACME


async def test_creating_again_with_other_content_names_what_differs() -> None:
    admin = await ready(ACME)
    with pytest.raises(TenantExists, match="another display_name") as error:
        await admin.it.create(dataclasses.replace(ACME, display_name="Acme"))
    assert error.value.metadata == {"name": "tenants/acme"}


@pytest.mark.parametrize("state", list(TenantState))
async def test_no_tenant_of_any_state_is_confused_with_a_new_one(state: TenantState) -> None:
    admin = await ready(dataclasses.replace(ACME, state=state))
    with pytest.raises(TenantIdConfusable):
        await admin.it.create(dataclasses.replace(ACME, tenant_id="acme_corp"))


async def test_the_id_of_a_tombstone_is_never_used_again() -> None:
    admin = await ready(dataclasses.replace(ACME, state=TenantState.DELETED))
    with pytest.raises(TenantDeleted):
        await admin.it.create(ACME)
    with pytest.raises(TenantDeleted):
        await admin.it.update("acme", {"state": TenantState.ACTIVE}, expected_update_time=None)


async def test_a_change_moves_update_time_even_if_the_clock_does_not() -> None:
    admin = await ready(ACME)
    new = await admin.it.update("acme", {"display_name": "Acme"}, expected_update_time=START)
    assert new.update_time > START
    assert await admin.tenants.read() == [new]


async def test_a_change_based_on_an_old_reading_is_stale_but_its_repeat_is_not() -> None:
    admin = await ready(ACME)
    first = await admin.it.update("acme", {"display_name": "A"}, expected_update_time=START)
    assert await admin.it.update("acme", {"display_name": "A"}, expected_update_time=START) == first
    with pytest.raises(TenantStale):
        await admin.it.update("acme", {"display_name": "B"}, expected_update_time=START)


async def test_a_change_that_is_based_on_no_reading_is_made_to_what_another_replica_has_changed() -> (
    None
):
    admin = await ready(ACME)
    theirs = dataclasses.replace(
        ACME,
        display_name="T",
        limits=dataclasses.replace(ACME.limits, chunk_count=8, slot_weight=1.0),
        update_time=START + timedelta(seconds=1),
    )
    await admin.tenants.swap(ACME, theirs)
    ours = await admin.it.update("acme", {"limits.slot_weight": 2.5}, expected_update_time=None)
    assert ours.display_name == "T"
    assert ours.limits == dataclasses.replace(theirs.limits, slot_weight=2.5)
    assert await admin.tenants.read() == [ours]


async def test_after_a_race_lost_a_change_that_is_based_on_a_reading_is_refused() -> None:
    admin = await ready(ACME)
    theirs = dataclasses.replace(ACME, display_name="T", update_time=START + timedelta(seconds=1))
    await admin.tenants.swap(ACME, theirs)
    with pytest.raises(TenantStale):
        await admin.it.update("acme", {"limits.chunk_count": 1}, expected_update_time=START)
    assert await admin.tenants.read() == [theirs]


async def test_suspending_and_resuming() -> None:
    admin = await ready(ACME)
    for state in (TenantState.SUSPENDED, TenantState.ACTIVE):
        assert (
            await admin.it.update("acme", {"state": state}, expected_update_time=None)
        ).state is state


async def test_deleting_revokes_the_keys_and_leaves_a_tombstone_and_repeats() -> None:
    admin = await ready(ACME)
    tombstone = await admin.it.delete("acme")
    assert tombstone.state is TenantState.DELETED
    assert [key.active for key in await admin.keys.read()] == [False]
    assert await admin.it.delete("acme") == tombstone == await admin.it.get("acme")
    assert await admin.it.list(show_deleted=False) == []
    assert await admin.it.list(show_deleted=True) == [tombstone]


async def test_a_deletion_that_broke_off_is_finished_by_its_repeat() -> None:
    admin = await ready(ACME)
    admin.keys.fail_with = Unavailable("down", reason="WAREHOUSE_UNAVAILABLE")
    with pytest.raises(Unavailable):
        await admin.it.delete("acme")
    assert (await admin.it.get("acme")).state is TenantState.SUSPENDED
    admin.keys.fail_with = None
    assert (await admin.it.delete("acme")).state is TenantState.DELETED


async def test_a_tenant_that_is_not_there_is_named() -> None:
    admin = await ready()
    for call in (admin.it.get("acme"), admin.it.delete("acme")):
        with pytest.raises(TenantNotFound) as error:
            await call
        assert error.value.metadata == {"name": "tenants/acme"}


async def test_a_tenant_of_another_replica_is_found() -> None:
    admin = await ready()
    await admin.tenants.insert(ACME)
    assert await admin.it.get("acme") == ACME


async def test_tenants_are_listed_by_id() -> None:
    admin = await ready(
        *(dataclasses.replace(ACME, tenant_id=name) for name in ("zeta", "alpha", "mid"))
    )
    assert [tenant.tenant_id for tenant in await admin.it.list(show_deleted=False)] == [
        "alpha",
        "mid",
        "zeta",
    ]
