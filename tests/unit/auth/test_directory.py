"""The directory: how old it may be, and how it is read again."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from libs.common.errors import FailedPrecondition, Unavailable
from services.auth import keys
from services.auth.directory import AuthUnavailable, Directory, by_digest
from services.auth.key_store import MemoryKeyStore
from services.auth.keys import KeyRecord
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import Tenant, TenantStale
from tests.unit.auth.virtual_time import START, VirtualTime

KEY = KeyRecord(digest="d1", tenant="acme", key_id="k1", create_time=START)
OTHER = KeyRecord(digest="d2", tenant="acme", key_id="k2", create_time=START)
ACME = Tenant(tenant_id="acme", create_time=START, update_time=START)
DOWN = Unavailable("no answer", reason="WAREHOUSE_UNAVAILABLE")
ABSENT = FailedPrecondition("no table", reason="NOT_INITIALIZED", command="convergence admin init")


def directory_over(
    store: MemoryKeyStore, time: VirtualTime, tenants: MemoryTenantStore | None = None
) -> Directory:
    return Directory(store, tenants or MemoryTenantStore(ACME), clock=time.clock, sleep=time.sleep)


async def test_before_the_first_reading_nothing_is_known() -> None:
    directory = directory_over(MemoryKeyStore(KEY), VirtualTime())
    assert not directory.serving
    with pytest.raises(AuthUnavailable):
        directory.current()


async def test_a_reading_serves_until_the_promise_is_over_and_no_longer() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    directory = directory_over(store, time)
    await directory.refresh()
    store.fail_with = DOWN
    time.pass_(59.9)
    await directory.refresh()
    assert directory.current().keys == {"d1": KEY}
    time.pass_(0.2)
    assert not directory.serving
    with pytest.raises(AuthUnavailable) as error:
        directory.current()
    assert error.value.retry_after > 0
    store.fail_with = None
    await directory.refresh()
    assert directory.serving


@pytest.mark.parametrize(
    ("age", "expected"), [(0.0, 20.0), (39.0, 20.0), (50.0, 10.0), (60.0, 0.0), (70.0, 0.0)]
)
async def test_an_answer_and_its_caching_together_never_break_the_promise(
    age: float, expected: float
) -> None:
    time = VirtualTime()
    directory = directory_over(MemoryKeyStore(KEY), time)
    await directory.refresh()
    time.pass_(age)
    assert directory.cache_seconds == pytest.approx(expected)


async def test_before_init_it_serves_and_names_the_command_and_finds_the_tables_at_once() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    store.fail_with = ABSENT
    directory = directory_over(store, time)
    await directory.refresh()
    assert directory.serving
    with pytest.raises(FailedPrecondition) as error:
        await directory.ready()
    assert error.value.metadata == {"command": "convergence admin init"}
    store.fail_with = None
    assert (await directory.ready()).keys == {"d1": KEY}


async def test_who_asks_together_shares_one_reading() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    directory = directory_over(store, time)
    await directory.refresh()
    await asyncio.gather(*(directory.reread() for _ in range(50)))
    assert store.reads == 2


async def test_readings_on_demand_begin_two_seconds_apart() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    directory = directory_over(store, time)
    for _ in range(4):
        await directory.reread()
    assert store.reads == 4
    assert time.slept == [2.0, 2.0, 2.0]


async def test_a_caller_that_gives_up_does_not_stop_the_others() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    directory = directory_over(store, time)
    await directory.reread()
    impatient = asyncio.create_task(directory.reread())
    patient = asyncio.create_task(directory.reread())
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).keys == {"d1": KEY}


async def test_a_failed_reading_on_demand_says_that_nothing_is_known() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    directory = directory_over(store, time)
    await directory.refresh()
    store.fail_with = DOWN
    with pytest.raises(AuthUnavailable):
        await directory.reread()
    assert directory.current().keys == {"d1": KEY}


class SlowKeyStore(MemoryKeyStore):
    """Answers `read` with what was there when the reading began, once it is let go."""

    def __init__(self, *keys: KeyRecord) -> None:
        super().__init__(*keys)
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def read(self) -> list[KeyRecord]:
        found = list(await super().read())
        self.began.set()
        await self.go.wait()
        return found


async def test_a_reading_under_way_cannot_bring_a_revoked_key_back() -> None:
    time, store = VirtualTime(), SlowKeyStore(KEY)
    directory = directory_over(store, time)
    store.go.set()
    await directory.refresh()
    store.go.clear()
    store.began.clear()
    reading = asyncio.create_task(directory.refresh())
    await store.began.wait()
    revoking = asyncio.create_task(directory.revoke_key(KEY, at=time.now()))
    await asyncio.sleep(0)
    store.go.set()
    await asyncio.gather(reading, revoking)
    assert not directory.current().keys["d1"].active


async def test_writes_show_at_once() -> None:
    time = VirtualTime()
    directory = directory_over(MemoryKeyStore(KEY), time)
    await directory.refresh()
    await directory.add_key(OTHER)
    assert directory.current().keys["d2"] == OTHER
    end = START + timedelta(days=1)
    old = await directory.supersede_key(KEY, successor=OTHER, expire_time=end)
    assert (old.superseded_by, old.expire_time) == ("k2", end)
    await directory.revoke_keys_of("acme", at=START)
    assert {key.active for key in directory.current().keys.values()} == {False}


async def test_the_loop_reads_every_twenty_seconds_and_sooner_after_a_failure() -> None:
    time, store = VirtualTime(), MemoryKeyStore(KEY)
    directory = directory_over(store, time)
    task = asyncio.create_task(directory.keep_fresh())
    while len(time.slept) < 2:
        await asyncio.sleep(0)
    store.fail_with = DOWN
    while len(time.slept) < 5:
        await asyncio.sleep(0)
    task.cancel()
    assert time.slept[:2] == [20.0, 20.0]
    assert time.slept[4] == 2.0


async def test_a_lost_race_is_stale_and_leaves_the_winner() -> None:
    tenants = MemoryTenantStore(ACME)
    directory = directory_over(MemoryKeyStore(), VirtualTime(), tenants)
    await directory.refresh()
    winner = dataclasses.replace(ACME, display_name="W", update_time=START + timedelta(seconds=1))
    await tenants.swap(ACME, winner)
    loser = dataclasses.replace(ACME, display_name="L", update_time=START + timedelta(seconds=2))
    with pytest.raises(TenantStale):
        await directory.swap_tenant(ACME, loser)
    assert await tenants.read() == [winner]


def test_of_repeated_rows_the_revoked_one_wins() -> None:
    again = dataclasses.replace(KEY, active=False, created_by="again")
    for rows in ([KEY, again], [again, KEY]):
        index, repeated = by_digest(rows)
        assert not index["d1"].active
        assert repeated == ["d1"]


def test_rows_of_two_tenants_make_a_key_nobodys() -> None:
    index, _ = by_digest([KEY, dataclasses.replace(KEY, tenant="widgets")])
    assert not index["d1"].active


def test_repeated_rows_grant_only_what_all_of_them_grant() -> None:
    index, _ = by_digest([KEY, dataclasses.replace(KEY, scopes=frozenset({keys.RUNS_READ}))])
    assert index["d1"].scopes == {keys.RUNS_READ}
    assert index["d1"].active
