"""What becomes of fires: started once, skipped, buffered, made up, missed; and what nobody may do."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest

from libs.common.errors import Unavailable
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.runs import records as r
from services.orchestrator.runs.facts import forget
from services.orchestrator.runs.states import RunState
from services.orchestrator.schedules.records import SchedulePaused, ScheduleResumed
from services.orchestrator.schedules.scheduler import ScheduleNotFound
from services.orchestrator.schedules.schedules import Schedules
from services.orchestrator.schedules.tenants import Standing
from tests.unit.orchestrator.conductor.world import PIPELINE
from tests.unit.orchestrator.schedules.watched import DAY, HOUR, Watched, at, scheduled

BROKEN = FileError(file="acme_corp/pipelines/p_bill.yml", found="[", allowed="a key", advice="fix")


def world(cron: str = "0 6 * * *", **fields: Any) -> Watched:
    made = Watched()
    made.put(scheduled(cron, **fields))
    return made


async def test_a_fire_starts_one_run_about_the_window_of_its_nominal_time() -> None:
    watched = world(lookback=7)
    async with watched.orchestrator() as leading:
        await leading.on(at("20 05:59"))
        assert leading.runs() == []
        await leading.on(at("20 06:03"))
        await leading.look()
        (run,) = leading.runs()
        assert run.created.fire_time == at("20 06:00")
        assert run.created.created_by == "schedule"
        assert (run.created.window_start, run.created.window_end) == (
            at("14 00:00"),
            at("21 00:00"),
        )
        assert leading.told() == ["20 06:00 start"]
        assert watched.lags == [180.0]


async def test_a_schedule_counts_from_when_it_is_first_read() -> None:
    watched = world()
    watched.now = at("20 06:30")
    async with watched.orchestrator() as leading:
        await leading.on(at("20 07:00"))
        assert leading.told() == []


async def test_jitter_makes_a_fire_late_and_leaves_its_window() -> None:
    watched = world("59 23 * * *", jitter_seconds=600)
    async with watched.orchestrator() as leading:
        await leading.on(at("20 23:59") + timedelta(seconds=71))
        assert leading.runs() == []
        await leading.on(at("20 23:59") + timedelta(seconds=72))
        (run,) = leading.runs()
        assert (run.created.fire_time, run.created.window_end) == (at("20 23:59"), at("21 00:00"))
        assert watched.lags == [0.0]


@pytest.mark.parametrize(
    ("overlap", "told", "waiting", "then"),
    [
        ("skip", ["20 02:00 skip overlap", "20 03:00 skip overlap"], [], ["20 01:00"]),
        ("buffer_one", ["20 03:00 skip overlap"], ["20 02:00 overlap"], ["20 01:00", "20 02:00"]),
        ("buffer_all", [], ["20 02:00 overlap", "20 03:00 overlap"], ["20 01:00", "20 02:00"]),
        ("cancel_other", ["20 02:00 skip overtaken"], ["20 03:00 overlap"], ["20 01:00", "20 03:00"]),
        ("allow_all", ["20 02:00 start", "20 03:00 start"], [], ["20 01:00", "20 02:00", "20 03:00"]),
    ],
)  # fmt: skip
async def test_overlap_says_what_becomes_of_fires_while_a_run_is_live(
    overlap: str, told: list[str], waiting: list[str], then: list[str]
) -> None:
    async with world("0 * * * *", overlap=overlap).orchestrator() as leading:
        for hour in (1, 2, 3):
            await leading.on(at(f"20 0{hour}:00"))
        assert leading.told() == ["20 01:00 start", *told]
        assert leading.waiting() == waiting
        first = leading.runs()[0]
        assert (first.state is RunState.CANCELLING) == (overlap == "cancel_other")
        await leading.end(first.name)
        await leading.look()
        assert [f"20 {fire[3:]}" for fire in leading.fired()] == then


async def test_what_was_skipped_names_the_run_that_was_in_the_way() -> None:
    async with world("0 * * * *").orchestrator() as leading:
        await leading.on(at("20 01:00"))
        await leading.on(at("20 02:00"))
        assert leading.schedule().recent[-1].decision.run == leading.runs()[0].name.run


@pytest.mark.parametrize("overlap", ["skip", "buffer_one", "buffer_all"])
async def test_a_run_that_rests_is_in_nobodys_way(overlap: str) -> None:
    async with world("0 * * * *", overlap=overlap).orchestrator() as leading:
        await leading.on(at("20 01:00"))
        await leading.end(leading.live()[0], fails=True)
        await leading.on(at("20 02:00"))
        assert leading.fired() == ["20 01:00", "20 02:00"]


async def test_buffered_fires_start_one_after_another_oldest_first() -> None:
    async with world("0 * * * *", overlap="buffer_all").orchestrator() as leading:
        for hour in range(1, 5):
            await leading.on(at(f"20 0{hour}:00"))
        for _ in range(4):
            (run,) = leading.live()
            await leading.end(run)
            await leading.look()
        assert leading.fired() == ["20 01:00", "20 02:00", "20 03:00", "20 04:00"]
        assert leading.live() == []


async def test_after_downtime_each_window_is_made_up_once_and_older_ones_are_missed() -> None:
    watched = world("0 */6 * * *", catch_up_seconds=2 * 86400)
    async with watched.orchestrator() as leading:
        await leading.look()
    watched.now = at("24 13:00")
    async with watched.orchestrator() as leading:
        await leading.look()
        assert leading.told() == [
            "20 06:00 miss too_old x10", "23 00:00 skip same_window x5", "22 18:00 start",
        ]  # fmt: skip
        assert leading.waiting() == ["23 18:00 order", "24 12:00 order"]
        for _ in range(3):
            (run,) = leading.live()
            await leading.end(run)
            await leading.look()
        assert leading.fired() == ["22 18:00", "23 18:00", "24 12:00"]
        windows = [run.created.window_start for run in leading.runs()]
        assert windows == [at("22 00:00"), at("23 00:00"), at("24 00:00")]


async def test_without_a_window_one_run_makes_up_for_all_missed_fires() -> None:
    watched = world("0 * * * *", windows=False)
    async with watched.orchestrator() as leading:
        await leading.look()
    watched.now = at("20 10:30")
    async with watched.orchestrator() as leading:
        await leading.look()
        assert leading.told() == ["20 01:00 skip same_window x9", "20 10:00 start"]


async def test_a_pause_says_who_and_why_and_its_end_does_not_flood() -> None:
    watched = world("0 * * * *", overlap="allow_all", windows=False)
    async with watched.orchestrator() as leading:
        await leading.scheduler.pause(PIPELINE, by="key1", reason="the source is down")
        await leading.scheduler.pause(PIPELINE, by="key2", reason="again")
        await leading.on(at("20 05:30"))
        pause = leading.schedule().pause
        assert pause is not None
        assert (pause.by, pause.reason, pause.time) == (
            "key1",
            "the source is down",
            at("20 00:00"),
        )
        assert leading.told() == []
    async with watched.orchestrator() as leading:
        await leading.on(at("20 06:30"))
        assert leading.runs() == []
        await leading.scheduler.resume(PIPELINE, by="key2")
        await leading.look()
        assert leading.told() == ["20 01:00 skip same_window x5", "20 06:00 start"]


async def test_a_suspended_tenant_fires_nothing() -> None:
    watched = world("0 * * * *")
    async with watched.orchestrator() as leading:
        watched.tenants.standings["acme_corp"] = Standing(refusal="the tenant is suspended")
        await leading.on(at("20 01:00"))
        assert leading.runs() == []
        assert leading.scheduler.hindrances == {PIPELINE: "the tenant is suspended"}
        watched.tenants.standings.clear()
        await leading.on(at("20 03:30"))
        assert leading.told() == ["20 01:00 skip same_window x2", "20 03:00 start"]
        assert leading.scheduler.hindrances == {}


async def test_nothing_fires_while_auth_cannot_be_asked_and_nobody_asks_without_need() -> None:
    watched = world()
    async with watched.orchestrator() as leading:
        await leading.on(at("20 05:00"))
        assert watched.tenants.asked == []
        watched.tenants.away = Unavailable("no route", reason="AUTH_UNAVAILABLE")
        await leading.on(at("20 06:00"))
        assert leading.runs() == []
        watched.tenants.away = None
        await leading.on(at("20 06:00") + timedelta(seconds=5))
        assert leading.fired() == ["20 06:00"]


async def test_a_broken_edit_leaves_the_last_good_version_also_after_a_start() -> None:
    watched = world("0 * * * *")
    async with watched.orchestrator() as leading:
        await leading.on(at("20 01:00"))
        await leading.end(leading.live()[0])
        watched.catalogue.put_broken("acme_corp", "p_bill", BROKEN, at=watched.now)
        await leading.on(at("20 02:00"))
        await leading.end(leading.live()[0])
    watched.catalogue.remove("acme_corp", "p_bill")
    watched.catalogue.put_broken("acme_corp", "p_bill", BROKEN, at=watched.now)
    async with watched.orchestrator() as leading:
        await leading.on(at("20 03:00"))
        assert leading.fired() == ["20 01:00", "20 02:00", "20 03:00"]


@pytest.mark.parametrize("ran", [True, False])
async def test_a_broken_edit_leaves_what_the_newest_run_was_made_of_also_when_that_has_left(
    ran: bool,
) -> None:
    watched = world("0 6 * * *")
    async with watched.orchestrator() as leading:
        if ran:
            await leading.on(at("20 06:00"))
            await leading.end(leading.live()[0])
        else:
            await leading.look()
    watched.catalogue.remove("acme_corp", "p_bill")
    watched.catalogue.put_broken("acme_corp", "p_bill", BROKEN, at=watched.now)
    async with watched.orchestrator() as leading:
        forget(leading.history.ledger, leading.runs())
        await leading.on(at("25 06:00"))
        assert leading.fired() == (["21 06:00"] if ran else [])
        said = "its files have errors, and no version without errors is known"
        assert leading.scheduler.hindrances == ({} if ran else {PIPELINE: said})


async def test_a_new_line_counts_from_its_reading_and_the_old_ones_due_fire_is_not_lost() -> None:
    watched = world("0 6 * * *")
    async with watched.orchestrator() as leading:
        watched.put(scheduled("0 5 * * *"))
        await leading.on(at("20 06:01"))
        assert leading.told() == ["20 06:00 start"]
        leading.read()
        await leading.on(at("21 04:59"))
        assert len(leading.told()) == 1
        await leading.end(leading.live()[0])
        await leading.on(at("21 05:00"))
        assert leading.told() == ["20 06:00 start", "21 05:00 start"]


async def test_a_new_line_is_taken_while_a_fire_waits_and_the_fire_is_not_lost() -> None:
    watched = world("0 * * * *", overlap="buffer_one")
    async with watched.orchestrator() as leading:
        await leading.on(at("20 01:00"))
        await leading.on(at("20 02:00"))
        assert leading.waiting() == ["20 02:00 overlap"]
        watched.put(scheduled("30 4 * * *", overlap="buffer_one"))
        leading.read()
        assert leading.schedule().spec.cron == "30 4 * * *"
        await leading.on(at("20 03:00"))
        await leading.end(leading.live()[0])
        await leading.on(at("20 03:01"))
        await leading.end(leading.live()[0])
        await leading.on(at("20 04:30"))
        assert leading.fired() == ["20 01:00", "20 02:00", "20 04:30"]
        assert leading.told() == ["20 01:00 start", "20 02:00 start", "20 04:30 start"]


async def test_a_pipeline_that_is_gone_has_no_schedule_and_begins_anew_paused_as_it_was() -> None:
    watched = world("0 * * * *")
    async with watched.orchestrator() as leading:
        await leading.scheduler.pause(PIPELINE, by="key1", reason="why")
        watched.catalogue.remove("acme_corp", "p_bill")
        with pytest.raises(ScheduleNotFound):
            leading.scheduler.find(PIPELINE)
        assert not leading.schedule().gone
        watched.now += timedelta(seconds=61)
        leading.scheduler.adopt(PIPELINE)
        assert leading.schedule().gone
        watched.now = at("20 05:30")
        watched.put(scheduled("0 * * * *"))
        assert leading.scheduler.find(PIPELINE).pause is not None
        await leading.scheduler.resume(PIPELINE, by="key1")
        await leading.on(at("20 06:00"))
        assert leading.told() == ["20 06:00 start"]


async def test_what_waits_when_a_schedule_goes_is_refused_and_shown() -> None:
    watched = world("0 * * * *", overlap="buffer_one")
    async with watched.orchestrator() as leading:
        await leading.on(at("20 01:00"))
        await leading.on(at("20 02:00"))
        assert leading.waiting() == ["20 02:00 overlap"]
        watched.catalogue.remove("acme_corp", "p_bill")
        leading.scheduler.adopt(PIPELINE)
        watched.now += timedelta(seconds=61)
        leading.scheduler.adopt(PIPELINE)
        gone = leading.schedule()
        assert (gone.gone, gone.waiting, gone.starting) == (True, (), ())
        assert leading.told() == ["20 01:00 start", "20 02:00 refuse refused"]
        assert gone.recent[-1].decision.message == "its pipeline has no schedule any more"
        assert (gone.counts.started, gone.counts.refused) == (1, 1)


async def test_files_that_vanish_for_a_moment_change_nothing() -> None:
    watched = world("0 * * * *")
    async with watched.orchestrator() as leading:
        await leading.on(at("20 00:59") + timedelta(seconds=30))
        watched.catalogue.remove("acme_corp", "p_bill")
        leading.scheduler.adopt(PIPELINE)
        await leading.on(at("20 01:00"))
        assert leading.runs() == []
        watched.put(scheduled("0 * * * *"))
        await leading.on(at("20 01:00") + timedelta(seconds=5))
        assert leading.fired() == ["20 01:00"]


async def test_a_clock_that_jumps_back_fires_nothing_again() -> None:
    async with world("0 * * * *", overlap="allow_all").orchestrator() as leading:
        await leading.on(at("20 03:30"))
        fired = leading.told()
        for moment in ("20 02:30", "19 10:00", "20 03:30"):
            await leading.on(at(moment))
        assert leading.told() == fired
        await leading.on(at("20 04:00"))
        assert leading.told() == [*fired, "20 04:00 start"]


async def test_a_decided_start_whose_run_is_missing_is_created_by_the_successor() -> None:
    watched = world()
    async with watched.orchestrator() as leading:
        await leading.on(at("20 06:00"))
        (run,) = leading.runs()
    created = next(i for i, one in enumerate(watched.journals.records) if one.run)
    del watched.journals.records[created:]
    watched.now = at("20 06:10")
    async with watched.orchestrator() as leading:
        (again,) = leading.runs()
        assert again.name == run.name
        assert again.created.request_id == run.created.request_id
        assert again.created.window_start == run.created.window_start
        await leading.look()
        assert leading.told() == ["20 06:00 start"]


async def test_a_leader_whose_stream_is_sealed_starts_nothing() -> None:
    watched = world()
    async with watched.orchestrator() as stalled, watched.orchestrator() as leading:
        watched.now = at("20 06:00")
        late = asyncio.create_task(stalled.look())
        await leading.look()
        await asyncio.sleep(0.01)
        assert not late.done()
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
    created = [one for one in watched.journals.records if isinstance(one.detail, r.RunCreated)]
    assert [one.epoch for one in created] == [2]


async def test_a_run_that_the_journal_cannot_hold_is_refused_and_the_next_fire_tried() -> None:
    watched = world("0 * * * *")
    async with watched.orchestrator() as leading:
        watched.journals.largest_bytes = 700
        await leading.on(at("20 01:00"))
        assert leading.told() == ["20 01:00 start", "20 01:00 refuse refused"]
        assert leading.schedule().counts.refused == 1
        watched.journals.largest_bytes = 1_000_000
        await leading.on(at("20 02:00"))
        assert leading.fired() == ["20 02:00"]


async def test_an_answer_says_nothing_that_was_decided_while_it_waited_to_be_durable() -> None:
    """That may never be: its leader may have been replaced meanwhile."""
    async with world().orchestrator() as leading:
        await leading.look()
        decide = leading.history.decide
        decide(None, SchedulePaused(pipeline=str(PIPELINE), by="key1", reason="wait"))
        asked = leading.schedule()
        answering = asyncio.create_task(leading.scheduler.settled(PIPELINE))
        await asyncio.sleep(0)
        decide(None, ScheduleResumed(pipeline=str(PIPELINE), by="key2"))
        assert await answering == asked


async def test_a_fold_can_be_kept_as_json_and_goes_on_from_there() -> None:
    async with world("0 * * * *", overlap="buffer_all").orchestrator() as leading:
        for hour in (1, 2, 3):
            await leading.on(at(f"20 0{hour}:00"))
        await leading.scheduler.pause(PIPELINE, by="key1", reason="why")
        restored = Schedules()
        restored.restore(list(leading.history.ledger.schedules.snapshot()))
        assert restored == leading.history.ledger.schedules


async def test_the_missed_fires_of_a_line_for_every_minute_is_counted_in_parts() -> None:
    watched = world("* * * * *", catch_up_seconds=60)
    async with watched.orchestrator() as leading:
        await leading.on(at("20 00:00") + 5 * DAY + HOUR)
        assert sum(o.decision.fire_count for o in leading.schedule().recent) == 5 * 24 * 60 + 60
        assert leading.schedule().counts.missed == 5 * 24 * 60 + 58
        assert len(leading.runs()) == 1


async def test_many_fires_that_are_due_at_once_leave_the_loop_to_others_one_after_another() -> None:
    watched = Watched()
    for number in range(40):
        tenant = {"tenant": f"tenant{number}"}
        watched.put(scheduled("0 6 * * *").model_copy(update=tenant))
    async with watched.orchestrator() as leading:
        watched.now = at("20 06:00")
        looking = asyncio.create_task(leading.scheduler.look())
        counts = [0]
        while not looking.done():
            await asyncio.sleep(0)
            counts.append(len(leading.history.ledger.runs))
        await looking
    assert counts[-1] == 40
    assert max(after - before for before, after in itertools.pairwise(counts)) == 1
