"""Publishing: an input once, the newest look, and a failure only where nothing was published."""

import asyncio

import pytest

from libs.common.errors import FailedPrecondition, InvalidRequest, PermissionDenied
from services.orchestrator.conductor.planning import SourceChanged
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import ColumnSpec, PipelineSpec, WriteSpec
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
TWO = [Item(scope="b.csv", money=("7",))]
LOST = Item(scope="a.csv", money=("9.99",), bad=True)
HARMLESS = Item(scope="a.csv", money=("0",), bad=True)


async def test_an_input_that_two_held_appends_have_read_is_published_once() -> None:
    made = World.of(a_csv=[*ONE, LOST])
    append = spec(mode="append")
    async with made.orchestrator() as o:
        first = await o.finish(append)
        made.source.inputs["b.csv"] = TWO
        second = await o.finish(append)
        assert [first.state, second.state] == [RunState.HELD] * 2
        await o.approve(first)
        await o.until(first, RunState.SUCCEEDED)
        await o.approve(second)
        done = await o.until(second, RunState.SUCCEEDED)
    assert made.published() == [("a.csv", "1.5"), ("a.csv", "2.25"), ("b.csv", "7")]
    receipt = receipt_of(done)
    assert receipt is not None
    assert receipt.left_out == (("_source", ("a.csv",)),)
    assert (receipt.read_row_count, receipt.landed_row_count) == (4, 1)
    assert f"{receipt.money[0].landed:f}" == "7"
    assert f"{receipt.money[0].outdated:f}" == "3.75"


async def test_an_append_whose_inputs_are_all_published_meanwhile_adds_nothing() -> None:
    made = World.of(a_csv=[*ONE, LOST])
    append = spec(mode="append")
    async with made.orchestrator() as o:
        runs = [await o.finish(append), await o.finish(append)]
        for run in runs:
            await o.approve(run)
            await o.until(run, RunState.SUCCEEDED)
    assert made.published() == [("a.csv", "1.5"), ("a.csv", "2.25")]
    assert made.warehouse.calls.count("publish") == 1


async def test_an_input_published_meanwhile_with_other_content_cannot_be_approved() -> None:
    made = World.of(a_csv=[*ONE, LOST])
    append = spec(mode="append")
    async with made.orchestrator() as o:
        first = await o.finish(append)
        made.source.inputs["a.csv"] = [*ONE, *ONE, LOST]
        second = await o.finish(append)
        await o.approve(first)
        await o.until(first, RunState.SUCCEEDED)
        with pytest.raises(SourceChanged) as refused:
            await o.approve(second)
        assert refused.value.metadata == {"source": "a.csv"}
        assert o.commands.find(second.name).state is RunState.HELD
    assert len(made.published()) == 2


@pytest.mark.parametrize(
    "error",
    [InvalidRequest({"query": "no"}), FailedPrecondition("no"), KeyError("a bug")],
    ids=["refused", "rejected", "bug"],
)
async def test_a_run_that_has_published_never_says_that_it_failed(error: Exception) -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        first = await o.finish()
        made.warehouse.lose["publish"] = 1
        made.warehouse.errors["publish"] = [error]
        second = await o.finish()
    assert [first.state, second.state] == [RunState.SUCCEEDED] * 2
    assert not any(isinstance(x.detail, r.RunFailed) for x in made.journals.records)
    assert len(made.published()) == 2


async def test_publishing_an_older_look_leaves_the_quarantine_of_a_newer_one() -> None:
    made = World.of(a_csv=[*ONE, LOST])
    async with made.orchestrator() as o:
        older = await o.finish()
        newer = await o.finish()
        assert [older.state, newer.state] == [RunState.HELD] * 2
        await o.approve(older)
        await o.until(older, RunState.SUCCEEDED)
        assert (newer.name.run, "a.csv") in made.quarantined()
        await o.approve(newer)
        await o.until(newer, RunState.SUCCEEDED)
    assert made.quarantined() == [(newer.name.run, "a.csv")]


async def test_what_a_publication_makes_needless_is_removed_after_a_kill_too() -> None:
    made = World.of(a_csv=[*ONE, HARMLESS])
    async with made.orchestrator() as o:
        older = await o.finish()
        made.warehouse.fail["tidy_published"] = 1_000_000
        newer = await o.start()
        await o.until(newer, RunState.TRANSFORMING)
    assert (older.name.run, "a.csv") in made.quarantined()
    made.warehouse.fail.clear()
    async with made.orchestrator() as o:
        done = await o.until(newer, RunState.SUCCEEDED)
    assert made.quarantined() == [(newer.name.run, "a.csv")]
    assert made.warehouse.staging(done) not in made.warehouse.tables


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_rows_of_chunks_that_are_read_again_are_in_quarantine_once(mode: str) -> None:
    made = World.of(a_csv=[*ONE, HARMLESS])
    wanted = spec(mode=mode, on_failure="fail")
    made.warehouse.fail.update(publish=1_000_000, commit_target=1_000_000)
    async with made.orchestrator() as o:
        run = await o.start(wanted)
        publishing = (await o.until(run, RunState.PUBLISHING)).publishing
        assert publishing is not None
        made.warehouse.gone.update(publishing.streams)
        made.warehouse.fail.clear()
        done = await o.until(run, RunState.SUCCEEDED)
    assert done.reread is (mode == "append")
    assert made.quarantined() == [(run.name.run, "a.csv")]
    assert len(made.published()) == 2


async def test_a_plan_made_anew_leaves_nothing_of_the_first_in_quarantine() -> None:
    made = World.of(a_csv=[*ONE, HARMLESS], b_csv=TWO)
    made.warehouse.errors["chunk_counts"] = [FailedPrecondition("b", reason="SOURCE_CHANGED")]
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.failure is not None
        assert run.failure.reason == "SOURCE_CHANGED"
        assert made.quarantined() == [(run.name.run, "a.csv")]
        made.source.inputs["a.csv"] = [*ONE, *ONE, HARMLESS]
        await o.retry(run)
        await o.until(run, RunState.SUCCEEDED)
    assert made.quarantined() == [(run.name.run, "a.csv")]
    assert len(made.published()) == 5


async def test_a_run_cancelled_in_the_middle_says_nothing_of_a_failure() -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    gate = made.hang()
    async with made.orchestrator() as o:
        run = await o.start()
        async with asyncio.timeout(5):
            while len([x for w in made.workers for x in w.seen]) < 2:
                await asyncio.sleep(0)
        o.conductor.mesh.history.decide(run.name, r.RunCancelling(by="k", reason="mistake"))
        gate.set()
        done = await o.until(run, RunState.CANCELLED)
    assert done.failure is None
    assert "commit_quarantine" not in made.warehouse.calls
    assert made.published() == []


@pytest.mark.parametrize(
    ("error", "times"),
    [(InvalidRequest({"query": "no"}), 1), (RuntimeError("a bug"), 3)],
    ids=["refused", "bug"],
)
async def test_cancelling_goes_on_until_nothing_is_left(error: Exception, times: int) -> None:
    made = World.of(a_csv=ONE)
    made.hang()
    async with made.orchestrator() as o:
        run = await o.start()
        await o.until(run, RunState.INGESTING)
        made.warehouse.errors["tidy_unpublished"] = [error] * times
        await o.commands.cancel(run.name, by="k", reason="")
        done = await o.until(run, RunState.CANCELLED)
    assert made.warehouse.staging(done) not in made.warehouse.tables


@pytest.mark.parametrize("reason", ["TENANT_SUSPENDED", "TENANT_DELETED"])
async def test_runs_of_a_tenant_that_is_suspended_are_cancelled(reason: str) -> None:
    made = World.of(a_csv=ONE)
    for worker in made.workers:
        worker.failures = [PermissionDenied("acme_corp is suspended", reason=reason)]
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.state is RunState.CANCELLED
    assert run.cancel is not None
    assert (run.cancel.by, run.cancel.reason) == ("platform", "acme_corp is suspended")


async def test_a_tenant_suspended_while_its_run_publishes_sees_it_finished() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        run = await o.start(spec(transforms=1))
        await o.until(run, RunState.PUBLISHING)
        for worker in made.workers:
            worker.failures = [PermissionDenied("suspended", reason="TENANT_SUSPENDED")]
        await o.until(run, RunState.SUCCEEDED)
    assert len(made.published()) == 2


@pytest.mark.parametrize("mode", ["replace", "append"])
async def test_an_empty_source_is_held(mode: str) -> None:
    made = World.of(a_csv=[])
    async with made.orchestrator() as o:
        run = await o.finish(spec(mode=mode))
    assert run.state is RunState.HELD
    assert run.held is not None
    assert "does not say" in run.held.reasons[0]


@pytest.mark.parametrize("mode", ["replace", "append"])
async def test_a_source_without_inputs_is_held_and_publishes_nothing_when_approved(
    mode: str,
) -> None:
    made = World.of(a_csv=ONE)
    wanted = spec(mode=mode, transforms=1)
    async with made.orchestrator() as o:
        await o.finish(wanted)
        made.source.inputs = {}
        run = await o.finish(wanted)
        assert run.state is RunState.HELD
        await o.approve(run)
        await o.until(run, RunState.SUCCEEDED)
    assert len(made.published(wanted)) == 2


async def test_a_scope_value_that_had_rows_and_has_none_is_held_and_stays_as_it_was() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        await o.finish()
        made.source.inputs["a.csv"] = []
        second = await o.finish()
    assert second.held is not None
    assert second.held.reasons == ("a.csv: had 2 rows, has none now",)
    assert len(made.published()) == 2


def of_account(account: str | None) -> PipelineSpec:
    fixed = (("account", account),) if account else ()
    write = WriteSpec(mode="replace", scope=("_source",), fixed=fixed)
    columns = (*spec().columns, ColumnSpec(name="account", type="STRING"))
    return spec().model_copy(update={"write": write, "columns": columns})


@pytest.mark.parametrize(
    ("older", "newer", "end"),
    [
        ("A", "A", RunState.SUPERSEDED),
        ("A", "B", RunState.SUCCEEDED),
        (None, "A", RunState.SUPERSEDED),
        ("A", None, RunState.SUPERSEDED),
    ],
)
async def test_looks_are_told_apart_by_all_columns_of_the_scope(
    older: str | None, newer: str | None, end: RunState
) -> None:
    def rows(account: str | None, money: str, *more: Item) -> list[Item]:
        fixed = (account,) if account else ()
        return [Item(scope="a.csv", money=(money,), fixed=fixed), *more]

    made = World.of(a_csv=rows(older, "1", LOST))
    async with made.orchestrator() as o:
        held = await o.finish(of_account(older))
        assert held.state is RunState.HELD
        made.source.inputs["a.csv"] = rows(newer, "2")
        done = await o.finish(of_account(newer))
        assert done.state is RunState.SUCCEEDED
        if end is RunState.SUCCEEDED:
            await o.approve(held)
        await o.until(held, end)
    expected = [("a.csv", "2")] if end is RunState.SUPERSEDED else [("a.csv", "1"), ("a.csv", "2")]
    assert made.published() == expected
