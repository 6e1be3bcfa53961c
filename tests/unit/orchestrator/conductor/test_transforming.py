"""Transforms: silver follows the newest raw rows, whoever is late, delayed or killed."""

import asyncio

import pytest

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
NEWER = [Item(scope="a.csv", money=("3",)), Item(scope="a.csv", money=("4",))]
TWO = [Item(scope="b.csv", money=("7",))]
SILVER = "acme_corp_silver_cost.silver0"


def silver(made: World) -> list[tuple[str, str]]:
    """(scope value, money) of every row of the silver table, sorted."""
    rows = made.warehouse.tables.get(SILVER, [])
    return sorted((row.scope, f"{row.money[0]:f}") for row in rows)


async def reached(made: World, call: str, times: int = 1) -> None:
    """Wait until the warehouse was asked for `call` so many times."""
    async with asyncio.timeout(5):
        while made.warehouse.calls.count(call) < times:
            await asyncio.sleep(0)


async def test_a_transform_of_appended_rows_is_about_the_inputs_that_the_run_published() -> None:
    made = World.of(a_csv=ONE)
    append = spec(mode="append", transforms=1)
    async with made.orchestrator() as o:
        first = await o.finish(append)
        made.source.inputs["b.csv"] = TWO
        second = await o.finish(append)
        third = await o.finish(append)
    assert [x.state for x in (first, second, third)] == [RunState.SUCCEEDED] * 3
    assert first.transforms["t0"].scope == (("_source", ("a.csv",)),)
    assert second.transforms["t0"].scope == (("_source", ("b.csv",)),)
    assert silver(made) == [("a.csv", "1.5"), ("a.csv", "2.25"), ("b.csv", "7")]


async def test_a_run_that_published_nothing_transforms_nothing() -> None:
    made = World.of(a_csv=ONE)
    append = spec(mode="append", transforms=1)
    async with made.orchestrator() as o:
        await o.finish(append)
        again = await o.finish(append)
    assert again.state is RunState.SUCCEEDED
    assert (again.transforms["t0"].row_count, again.transforms["t0"].scope) == (0, ())
    assert len(made.warehouse.stages) == 1


async def test_inputs_whose_transform_failed_are_taken_along_by_the_next_append() -> None:
    made = World.of(a_csv=ONE)
    append = spec(mode="append", transforms=1)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        first = await o.finish(append)
        assert first.state is RunState.TRANSFORM_FAILED
        made.warehouse.broken_transforms.clear()
        made.source.inputs["b.csv"] = TWO
        second = await o.finish(append)
        await o.until(first, RunState.SUCCEEDED)
    assert second.transforms["t0"].scope == (("_source", ("a.csv", "b.csv")),)
    assert len(silver(made)) == 3


@pytest.mark.parametrize("delayed", ["stage_transform", "publish_transform"])
async def test_a_delayed_transform_never_overwrites_a_newer_one(delayed: str) -> None:
    made = World.of(a_csv=ONE)
    wanted = spec(transforms=1)
    async with made.orchestrator() as o:
        made.warehouse.fail[delayed] = 1_000_000
        older = await o.start(wanted)
        await reached(made, delayed)
        made.source.inputs["a.csv"] = NEWER
        newer = await _second(o)
        await o.until(newer, RunState.TRANSFORMING)
        made.warehouse.fail.clear()
        await o.until(older, RunState.SUCCEEDED)
        await o.until(newer, RunState.SUCCEEDED)
    assert silver(made) == [("a.csv", "3"), ("a.csv", "4")]


async def _second(o: Orchestrator) -> Run:
    """Start another run beside a live one, as a run for another window would be."""
    ledger = o.conductor.mesh.history.ledger
    (first,) = ledger.runs.values()
    detail = first.created.model_copy(update={"request_id": "another"})
    run = await o.conductor.mesh.history.record(first.name.parent.run("second"), detail)
    o.conductor.start(run)
    return run


async def test_after_a_kill_the_transform_that_was_on_its_way_is_settled_first() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        made.warehouse.fail.update(stage_transform=1_000_000, publish_transform=1_000_000)
        older = await o.start(spec(transforms=1))
        await reached(made, "stage_transform")
        made.source.inputs["a.csv"] = NEWER
        newer = await _second(o)
        await o.until(newer, RunState.TRANSFORMING)
        del made.warehouse.fail["stage_transform"]
        await reached(made, "publish_transform")
    made.warehouse.fail.clear()
    async with made.orchestrator() as o:
        await o.until(newer, RunState.SUCCEEDED)
        await o.until(older, RunState.SUCCEEDED)
    ends = [x.run for x in made.journals.records if isinstance(x.detail, r.TransformCompleted)]
    assert ends == [str(older.name), str(newer.name)]
    assert silver(made) == [("a.csv", "3"), ("a.csv", "4")]


async def test_a_failed_transform_gives_its_table_back() -> None:
    made = World.of(a_csv=ONE)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        await o.finish(spec(transforms=1))
        made.warehouse.broken_transforms.clear()
        made.source.inputs["b.csv"] = TWO
        assert (await o.finish(spec(transforms=1))).state is RunState.SUCCEEDED


async def test_a_stage_that_is_repeated_for_more_values_is_another_job() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        made.warehouse.lose["stage_transform"] = 1_000_000
        older = await o.start(spec(transforms=1))
        await reached(made, "stage_transform")
        made.source.inputs = {"b.csv": TWO}
        newer = await _second(o)
        await o.until(newer, RunState.TRANSFORMING)
        made.warehouse.lose.clear()
        done = await o.until(older, RunState.SUCCEEDED)
        await o.until(newer, RunState.SUCCEEDED)
    assert done.transforms["t0"].scope == (("_source", ("a.csv", "b.csv")),)
    scopes: dict[str, set[r.Scope]] = {}
    for job_id, scope in made.warehouse.stages:
        scopes.setdefault(job_id, set()).add(scope)
    assert all(len(of_job) == 1 for of_job in scopes.values())
    assert silver(made) == [("a.csv", "1.5"), ("a.csv", "2.25"), ("b.csv", "7")]


async def test_what_was_published_after_a_transform_looked_still_waits_for_one() -> None:
    made = World.of(a_csv=ONE)
    wanted = spec(transforms=1)
    async with made.orchestrator() as o:
        made.warehouse.fail["publish_transform"] = 1_000_000
        older = await o.start(wanted)
        await reached(made, "publish_transform")
        made.source.inputs["a.csv"] = NEWER
        newer = await _second(o)
        await o.until(newer, RunState.TRANSFORMING)
        made.warehouse.broken_transforms.add("t0")
        made.warehouse.fail.clear()
        await o.until(older, RunState.SUCCEEDED)
        await o.until(newer, RunState.TRANSFORM_FAILED)
        assert silver(made) == [("a.csv", "1.5"), ("a.csv", "2.25")]
        made.warehouse.broken_transforms.clear()
        made.source.inputs = {"b.csv": TWO}
        third = await o.finish(wanted)
        await o.until(newer, RunState.SUCCEEDED)
    assert third.transforms["t0"].scope == (("_source", ("a.csv", "b.csv")),)
    assert silver(made) == [("a.csv", "3"), ("a.csv", "4"), ("b.csv", "7")]


async def test_a_transform_named_publish_is_another_job_than_the_publishing_one() -> None:
    made = World.of(a_csv=ONE)
    wanted = spec(transforms=1)
    named = wanted.transforms[0].model_copy(update={"transform_id": "publish"})
    async with made.orchestrator() as o:
        done = await o.finish(wanted.model_copy(update={"transforms": (named,)}))
    assert done.publishing is not None
    (started,) = done.transform_jobs
    assert started.job_id != done.publishing.job_id
    assert silver(made) == [("a.csv", "1.5"), ("a.csv", "2.25")]


@pytest.mark.parametrize("error", [Unavailable("away"), FailedPrecondition("no")])
async def test_what_a_transform_has_staged_is_dropped_when_its_end_is_durable(
    error: Exception,
) -> None:
    made = World.of(a_csv=ONE)
    wanted = spec(transforms=1)
    async with made.orchestrator() as o:
        run = await o.start(wanted)
        await reached(made, "publish_transform")
        made.journals.gate = asyncio.Event()
        for _ in range(100):
            await asyncio.sleep(0)
        assert "tidy_transform" not in made.warehouse.calls
        made.warehouse.errors["tidy_transform"] = [error]
        made.journals.gate.set()
        done = await o.until(run, RunState.SUCCEEDED)
    assert done.transforms["t0"].row_count == 2
    assert made.warehouse.calls.count("tidy_transform") == 1


async def test_a_warehouse_that_is_away_for_long_never_fails_a_transform() -> None:
    made = World.of(a_csv=ONE)
    made.warehouse.errors["stage_transform"] = [Unavailable("away")] * 40
    async with made.orchestrator() as o:
        run = await o.finish(spec(transforms=1))
    assert run.state is RunState.SUCCEEDED


async def test_a_retried_transform_runs_with_the_sql_that_it_was_retried_with() -> None:
    made = World.of(a_csv=ONE)
    made.warehouse.broken_transforms.add("t0")
    wanted = spec(transforms=1)
    async with made.orchestrator() as o:
        run = await o.finish(wanted)
        made.warehouse.broken_transforms.clear()
        (old,) = wanted.transforms
        new = wanted.model_copy(
            update={"transforms": (old.model_copy(update={"sql": "SELECT 2"}),)}
        )
        await o.commands.retry(run.name, failed_attempt=1, by="k", spec=new.canonical())
        done = await o.until(run, RunState.SUCCEEDED)
    assert [t.sql for t in done.spec.transforms] == ["SELECT 2"]
    assert done.attempt == 2
