"""Making, rotating and revoking keys."""

import dataclasses
from datetime import timedelta

import pytest

from libs.common.errors import InvalidRequest
from libs.common.names import PLATFORM, ApiKeyName
from services.auth import keys
from services.auth.directory import Directory
from services.auth.key_admin import Holder, KeyAdmin, NewKey, checked_description, checked_overlap
from services.auth.key_store import MemoryKeyStore
from services.auth.keys import ApiKeyNotFound, KeyRecord, ScopeMissing
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import Tenant, TenantDeleted, TenantNotFound, TenantState
from tests.unit.auth.virtual_time import START, VirtualTime

DAY = timedelta(days=1)
ACME = Tenant(tenant_id="acme", create_time=START, update_time=START)
GONE = Tenant(tenant_id="gone", create_time=START, update_time=START, state=TenantState.DELETED)
ADMIN = Holder(name="tenants/-/apiKeys/root", scopes=frozenset({"platform:admin"}))
READER = Holder(name="tenants/acme/apiKeys/r", scopes=frozenset({"tenant:admin", "runs:read"}))


class Admin:
    def __init__(self, *records: KeyRecord) -> None:
        self.time = VirtualTime()
        self.store = MemoryKeyStore(*records)
        self.directory = Directory(
            self.store, MemoryTenantStore(ACME, GONE), clock=self.time.clock, sleep=self.time.sleep
        )
        self.it = KeyAdmin(self.directory, now=self.time.now)

    async def create(
        self, tenant: str = "acme", holder: Holder = ADMIN, **fields: object
    ) -> NewKey:
        asked = {"description": "d", "scopes": keys.DEFAULT_SCOPES, "expire_time": None, **fields}
        return await self.it.create(tenant, holder=holder, **asked)  # type: ignore[arg-type]


async def ready(*records: KeyRecord) -> Admin:
    admin = Admin(*records)
    await admin.directory.refresh()
    return admin


async def test_a_new_key_is_stored_by_its_digest_and_its_secret_nowhere() -> None:
    admin = await ready()
    new = await admin.create(expire_time=START + DAY)
    (stored,) = await admin.store.read()
    assert stored == new.key
    assert stored.digest == keys.digest_of(new.secret)
    assert new.secret not in repr(new) + repr(stored)
    assert (stored.created_by, stored.expire_time) == (ADMIN.name, START + DAY)


async def test_nobody_makes_a_key_that_may_do_more_than_they() -> None:
    admin = await ready()
    with pytest.raises(ScopeMissing, match="runs:write"):
        await admin.create(holder=READER, scopes=frozenset({"runs:read", "runs:write"}))
    assert await admin.create(holder=READER, scopes=frozenset({"runs:read"}))


async def test_a_key_needs_a_tenant_that_is_there() -> None:
    admin = await ready()
    with pytest.raises(TenantNotFound):
        await admin.create("nobody")
    with pytest.raises(TenantDeleted):
        await admin.create("gone")
    assert await admin.create(PLATFORM, scopes=frozenset({"platform:admin"}))


async def test_a_key_cannot_be_born_expired() -> None:
    admin = await ready()
    with pytest.raises(InvalidRequest) as error:
        await admin.create(expire_time=START)
    assert list(error.value.violations) == ["api_key.expire_time"]


async def test_keys_are_listed_newest_first_and_only_of_the_tenant() -> None:
    admin = await ready()
    made = []
    for _ in range(3):
        made.append((await admin.create()).key.key_id)
        admin.time.pass_(1)
    await admin.create(PLATFORM)
    assert [key.key_id for key in await admin.it.list("acme")] == made[::-1]


async def test_rotation_lets_both_keys_work_for_the_overlap() -> None:
    admin = await ready()
    old = (await admin.create(scopes=frozenset({"runs:read"}))).key
    new, superseded = await admin.it.rotate(old.name, DAY, ADMIN)
    assert (new.key.scopes, new.key.expire_time) == (frozenset({"runs:read"}), None)
    assert (superseded.superseded_by, superseded.expire_time) == (new.key.key_id, START + DAY)
    assert {key.key_id: key for key in await admin.store.read()} == {
        old.key_id: superseded,
        new.key.key_id: new.key,
    }


async def test_rotation_never_prolongs_a_key_and_its_successor_lives_as_long_as_it_was_meant_to() -> (
    None
):
    admin = await ready()
    old = (await admin.create(expire_time=START + timedelta(hours=10))).key
    admin.time.pass_(9 * 3600)
    await admin.directory.refresh()
    new, superseded = await admin.it.rotate(old.name, DAY, ADMIN)
    assert superseded.expire_time == START + timedelta(hours=10)
    assert new.key.expire_time == START + timedelta(hours=19)


async def test_rotation_hands_out_no_scope_that_the_caller_lacks() -> None:
    admin = await ready()
    key = (await admin.create(scopes=frozenset({"runs:write"}))).key
    with pytest.raises(ScopeMissing):
        await admin.it.rotate(key.name, DAY, READER)


async def test_a_key_that_ended_or_was_rotated_is_not_rotated() -> None:
    admin = await ready()
    revoked, rotated = (await admin.create()).key, (await admin.create()).key
    await admin.it.revoke(revoked.name)
    new, _ = await admin.it.rotate(rotated.name, DAY, ADMIN)
    with pytest.raises(InvalidRequest, match="is revoked; create another"):
        await admin.it.rotate(revoked.name, DAY, ADMIN)
    with pytest.raises(InvalidRequest, match=f"rotate {new.key.key_id} instead"):
        await admin.it.rotate(rotated.name, DAY, ADMIN)


async def test_revoking_twice_keeps_the_first_time() -> None:
    admin = await ready()
    key = (await admin.create()).key
    first = await admin.it.revoke(key.name)
    admin.time.pass_(10)
    assert await admin.it.revoke(key.name) == first
    assert (first.active, first.revoke_time) == (False, START)


async def test_another_tenants_key_and_a_missing_one_are_the_same() -> None:
    admin = await ready()
    key = (await admin.create()).key
    for name in (ApiKeyName("widgets", key.key_id), ApiKeyName("acme", "missing")):
        with pytest.raises(ApiKeyNotFound) as error:
            await admin.it.revoke(name)
        assert error.value.metadata == {"name": str(name)}


async def test_a_key_made_by_another_replica_is_found() -> None:
    admin = await ready()
    key = KeyRecord(digest="d", tenant="acme", key_id="k9", create_time=START)
    await admin.store.insert(key)
    assert (await admin.it.revoke(key.name)).key_id == "k9"


def test_the_overlap_is_a_day_unless_said_and_has_bounds() -> None:
    assert checked_overlap(None) == DAY
    assert checked_overlap(0) == timedelta(0)
    for wrong in (-1, 31 * 86400):
        with pytest.raises(ValueError, match="allowed are 0 to 2592000 seconds"):
            checked_overlap(wrong)


def test_a_description_has_a_length() -> None:
    assert checked_description("x" * 200)
    with pytest.raises(ValueError, match="201 characters; allowed are 200"):
        checked_description("x" * 201)


async def test_zero_overlap_ends_the_old_key_now() -> None:
    admin = await ready()
    old = (await admin.create()).key
    _, superseded = await admin.it.rotate(old.name, timedelta(0), ADMIN)
    assert keys.verdict(superseded, admin.time.now()) is keys.Verdict.EXPIRED
    assert dataclasses.replace(superseded, expire_time=None, superseded_by="") == old
