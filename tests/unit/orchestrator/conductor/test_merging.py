"""Runs of mode `merge`: what wins is published once, what loses is counted with its money."""

from decimal import Decimal

import pytest

from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import Receipt, receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.warehouse.warehouse import KeyNotUnique
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World, spec

MERGE = spec(mode="merge")


def item(key: str, version: int, money: str, *, bad: bool = False) -> Item:
    return Item(scope="a.csv", money=(money,), key=key, version=version, bad=bad)


def money(made: World) -> list[str]:
    return sorted(cost for _, cost in made.published(MERGE))


def checked(run: Run) -> Receipt:
    """Return a receipt whose rows and money add up."""
    receipt = receipt_of(run)
    assert receipt is not None
    assert receipt.read_row_count == (
        receipt.landed_row_count + receipt.outdated_row_count + receipt.quarantined_row_count
    )
    (line,) = receipt.money
    assert line.read == line.landed + line.outdated + line.quarantined
    return receipt


async def test_losers_in_the_run_and_against_the_table_are_outdated_with_their_money() -> None:
    made = World.of(a_csv=[item("a", 1, "1"), item("a", 2, "2"), item("b", 7, "4")])
    async with made.orchestrator() as o:
        first = checked(await o.finish(MERGE))
        assert (first.landed_row_count, first.outdated_row_count) == (2, 1)
        made.source.inputs["a.csv"] = [item("a", 3, "8"), item("b", 6, "16"), item("c", 0, "32")]
        second = checked(await o.finish(MERGE))
    assert money(made) == ["32", "4", "8"]
    assert (second.landed_row_count, second.outdated_row_count) == (2, 1)
    (line,) = second.money
    assert (line.landed, line.outdated) == (Decimal(40), Decimal(16))
    assert second.restatement is None


async def test_a_receipt_stays_as_it_was_when_a_newer_run_overwrites_its_rows() -> None:
    made = World.of(a_csv=[item("a", 1, "1")])
    async with made.orchestrator() as o:
        first = await o.finish(MERGE)
        before = checked(first)
        made.source.inputs["a.csv"] = [item("a", 2, "2")]
        await o.finish(MERGE)
        assert checked(o.commands.find(first.name)) == before
    assert money(made) == ["2"]


async def test_a_held_run_that_is_approved_late_loses_against_equal_versions_of_newer_looks() -> (
    None
):
    made = World.of(a_csv=[item("a", 1, "1"), item("b", 2, "2"), item("x", 0, "9", bad=True)])
    async with made.orchestrator() as o:
        older = await o.finish(MERGE)
        assert older.state is RunState.HELD
        made.source.inputs["a.csv"] = [item("a", 1, "10"), item("b", 1, "20")]
        newer = await o.finish(MERGE)
        assert newer.state is RunState.SUCCEEDED
        await o.approve(older)
        done = checked(await o.until(older, RunState.SUCCEEDED))
    assert money(made) == ["10", "2"]
    assert (done.landed_row_count, done.outdated_row_count, done.quarantined_row_count) == (1, 1, 1)


async def test_content_under_a_second_name_is_merged_and_counts_once() -> None:
    made = World.of(a_csv=[item("a", 1, "1")])
    async with made.orchestrator() as o:
        await o.finish(MERGE)
        made.source.inputs["b.csv"] = [item("a", 1, "1")]
        done = await o.finish(MERGE)
    assert done.state is RunState.SUCCEEDED
    assert money(made) == ["1"]
    assert checked(done).outdated_row_count == 1


@pytest.mark.parametrize("dial", ["fail", "lose"])
async def test_a_statement_whose_end_nobody_heard_changes_no_count(dial: str) -> None:
    made = World.of(a_csv=[item("a", 1, "1"), item("a", 0, "2")])
    getattr(made.warehouse, dial)["publish"] = 2
    made.warehouse.errors["published_of"] = [KeyError("a bug")]
    async with made.orchestrator() as o:
        done = checked(await o.finish(MERGE))
    assert (done.landed_row_count, done.outdated_row_count) == (1, 1)
    assert money(made) == ["1"]


async def test_a_merge_by_key_waits_for_its_approval_where_the_table_has_a_key_twice() -> None:
    made = World.of(a_csv=[item("a", 1, "1"), item("a", 1, "2")])
    append = MERGE.model_copy(update={"write": spec(mode="append").write})
    async with made.orchestrator() as o:
        await o.finish(append)
        failed = await o.finish(MERGE)
        assert failed.failure is not None
        assert (failed.failure.reason, failed.failure.kind) == ("KEY_NOT_UNIQUE", "data")
        made.source.inputs["a.csv"] = [item("a", 2, "4"), item("x", 0, "9", bad=True)]
        held = await o.finish(MERGE)
        with pytest.raises(KeyNotUnique):
            await o.approve(held)
        assert o.commands.find(held.name).state is RunState.HELD
        assert money(made) == ["1", "2"]
        table = made.warehouse.tables[made.warehouse.target(MERGE)]
        del table[0]
        await o.approve(held)
        await o.until(held, RunState.SUCCEEDED)
    assert money(made) == ["4"]
    assert sum(isinstance(x.detail, r.RunFailed) for x in made.journals.records) == 1
