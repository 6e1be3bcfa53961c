"""A limit that was raised lets go on what waits for it, and nobody is asked of whom nothing waits."""

import asyncio

from libs.common.errors import Unavailable
from services.orchestrator.conductor.limits import LOOK_SECONDS, Limits
from services.orchestrator.runs.records import Share, TenantLimited
from services.orchestrator.runs.states import RunState
from services.orchestrator.schedules.tenants import MemoryTenants, Standing
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.test_admission import ONE_RUN, begun, start, turns, world
from tests.unit.orchestrator.conductor.world import Orchestrator, World


def limits(o: Orchestrator, tenants: MemoryTenants) -> Limits:
    return Limits(o.conductor, tenants, sleep=o.conductor.mesh.sleep)


def raised(share: Share) -> MemoryTenants:
    tenants = MemoryTenants()
    tenants.standings["acme_corp"] = Standing(share=share)
    return tenants


def journaled(made: World) -> list[TenantLimited]:
    return [x.detail for x in made.journals.records if isinstance(x.detail, TenantLimited)]


async def test_runs_that_wait_begin_when_the_limit_is_raised_also_after_a_restart() -> None:
    made = world()
    made.hang()
    tenants = raised(Share(live_run_count=3))
    async with made.orchestrator() as o:
        for number in range(4):
            await start(o, number, share=ONE_RUN)
        await turns()
        assert begun(o) == ["p_0"]
        await limits(o, tenants).look()
        await turns()
        assert begun(o) == ["p_0", "p_1", "p_2"]
        assert o.conductor.mesh.history.ledger.share("acme_corp").live_run_count == 3
        await limits(o, tenants).look()
    assert journaled(made) == [TenantLimited(tenant="acme_corp", share=Share(live_run_count=3))]
    async with made.orchestrator() as o:
        assert o.conductor.mesh.history.ledger.share("acme_corp").live_run_count == 3


async def test_chunks_that_wait_get_slots_when_the_limit_is_raised() -> None:
    made = World.of(
        **{f"c{n}_csv": [Item(scope=f"c{n}.csv", money=(f"{n}",))] for n in range(1, 5)}
    )
    made.hang()
    async with made.orchestrator() as o:
        run = await o.start(share=Share(chunk_count=1))
        await turns(100)
        assert [one.slot_count for one in o.conductor.mesh.dispatcher.tenants()] == [1]
        tenants = raised(Share(chunk_count=3))
        await limits(o, tenants).look()
        await turns(100)
        assert [one.slot_count for one in o.conductor.mesh.dispatcher.tenants()] == [3]
        assert o.commands.find(run.name).state is RunState.INGESTING


async def test_nobody_is_asked_of_whom_nothing_waits_for_a_limit() -> None:
    made = world()
    made.hang()
    tenants = raised(Share(live_run_count=9))
    async with made.orchestrator() as o:
        await start(o, 1, share=Share(live_run_count=2))
        await turns()
        await limits(o, tenants).look()
    assert tenants.asked == []
    assert journaled(made) == []


async def test_what_a_call_says_of_a_limit_while_auth_is_asked_stays() -> None:
    made = world()
    made.hang()
    async with made.orchestrator() as o:
        history = o.conductor.mesh.history

        class Slow(MemoryTenants):
            async def standing(self, tenant: str) -> Standing:
                newer = TenantLimited(tenant=tenant, share=Share(live_run_count=3))
                history.decide(None, newer)
                return await super().standing(tenant)

        tenants = Slow()
        tenants.standings["acme_corp"] = Standing(share=Share(live_run_count=2))
        for number in range(2):
            await start(o, number, share=ONE_RUN)
        await turns()
        await limits(o, tenants).look()
        assert history.ledger.share("acme_corp").live_run_count == 3


async def test_while_auth_is_away_the_old_limits_hold_and_it_is_asked_again() -> None:
    made = world()
    made.hang()
    tenants = raised(Share(live_run_count=2))
    tenants.away = Unavailable("away", reason="AUTH_UNAVAILABLE")
    rests = list[float]()
    async with made.orchestrator() as o:
        for number in range(2):
            await start(o, number, share=ONE_RUN)
        await turns()

        async def sleep(seconds: float) -> None:
            rests.append(seconds)
            await asyncio.sleep(0)
            if len(rests) == 3:
                tenants.away = None

        following = asyncio.create_task(Limits(o.conductor, tenants, sleep=sleep).follow())
        async with asyncio.timeout(5):
            while len(begun(o)) < 2:
                assert not following.done()
                await asyncio.sleep(0)
        following.cancel()
    assert set(rests) == {LOOK_SECONDS}
    assert len(rests) >= 3
    assert len(journaled(made)) == 1
