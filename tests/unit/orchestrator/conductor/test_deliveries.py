"""A `replace` of what manifests name: the newest manifest of a delivery is all that stands of it."""

import itertools

import pytest

from services.orchestrator.preview import Preview
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import PIPELINE, Orchestrator, World, spec

Months = dict[str, dict[str, tuple[str, ...]]]
"""Amounts by delivery and object; an amount that begins with `!` cannot be cast."""


def deliver(made: World, months: Months) -> None:
    """Let the newest manifests name these files and no others."""
    made.source.deliveries = {month: tuple(files) for month, files in months.items()}
    made.source.inputs = {
        name: [
            Item(scope=name, money=(amount.removeprefix("!"),), bad=amount.startswith("!"))
            for amount in amounts
        ]
        for files in months.values()
        for name, amounts in files.items()
    }


async def run_of(made: World, o: Orchestrator, months: Months) -> Run:
    deliver(made, months)
    return await o.finish(spec(transforms=1))


async def publish(o: Orchestrator, run: Run) -> Run:
    await o.approve(run)
    return await o.until(run, RunState.SUCCEEDED, RunState.SUPERSEDED)


async def test_objects_that_a_newer_manifest_does_not_name_go_with_what_replaces_them() -> None:
    made = World()
    async with made.orchestrator() as o:
        await run_of(made, o, {"10": {"x": ("3",)}, "11": {"a": ("1",), "b": ("2",)}})
        second = await run_of(made, o, {"11": {"c": ("1",), "d": ("2.5",)}})
    assert second.state is RunState.SUCCEEDED
    assert made.published() == [("c", "1"), ("d", "2.5"), ("x", "3")]
    assert second.scope == (("_source", ("c", "d", "a", "b")),)
    assert [job.scope for job in second.transform_jobs] == [
        (("_source", ("a", "b", "c", "d")),),
    ]
    receipt = receipt_of(second)
    assert receipt is not None
    assert receipt.restatement is not None
    assert (receipt.restatement.old_row_count, receipt.restatement.new_row_count) == (2, 2)
    (change,) = receipt.restatement.money
    assert (f"{change.old:f}", f"{change.new:f}") == ("3", "3.5")


async def test_what_was_replaced_is_not_replaced_again() -> None:
    made = World()
    async with made.orchestrator() as o:
        for name in "abcd":
            last = await run_of(made, o, {"11": {name: ("1",)}})
    assert last.scope == (("_source", ("d", "c")),)
    assert made.published() == [("d", "1")]


async def test_an_empty_delivery_is_emptied_and_may_be_filled_again() -> None:
    made = World()
    async with made.orchestrator() as o:
        await run_of(made, o, {"10": {"x": ("3",)}, "11": {"a": ("1",), "b": ("2",)}})
        emptied = await run_of(made, o, {"11": {}})
        assert emptied.state is RunState.SUCCEEDED
        assert made.published() == [("x", "3")]
        receipt = receipt_of(emptied)
        assert receipt is not None
        assert receipt.restatement is not None
        assert (receipt.restatement.old_row_count, receipt.restatement.new_row_count) == (2, 0)
        again = await run_of(made, o, {"11": {}})
        assert (again.state, again.scope) == (RunState.SUCCEEDED, ())
        await run_of(made, o, {"11": {"a": ("4",)}})
    assert made.published() == [("a", "4"), ("x", "3")]


@pytest.mark.parametrize(
    ("files", "reasons"),
    [
        ({"c": ("9",)}, ("11: had 4 rows, has 1 now",)),
        ({"c": ("1", "1", "1", "1")}, ("11: cost was 10, is 4 now",)),
        ({"c": ()}, ("11: had 4 rows, has none now",)),
        ({"c": ("2", "3")}, None),
    ],
    ids=["rows", "money", "none", "half"],
)
async def test_a_delivery_that_shrinks_as_a_whole_is_held(
    files: dict[str, tuple[str, ...]], reasons: tuple[str, ...] | None
) -> None:
    made = World()
    async with made.orchestrator() as o:
        await run_of(made, o, {"11": {"a": ("1", "2"), "b": ("3", "4")}})
        second = await run_of(made, o, {"11": files})
    assert (second.held and second.held.reasons) == reasons
    assert len(made.published()) == (4 if reasons else 2)


async def test_a_delivery_of_files_without_rows_is_held_unless_it_says_so() -> None:
    made = World()
    async with made.orchestrator() as o:
        first = await run_of(made, o, {"10": {"x": ("1",), "y": ()}, "11": {"a": ()}})
    assert first.held is not None
    assert first.held.reasons == ("11: no rows, and the source does not say that it is empty",)


NOVEMBERS: tuple[Months, ...] = (
    {"10": {"x": ("1", "!5")}, "11": {"a": ("1",), "b": ("2",)}},
    {"11": {"c": ("3", "!5")}},
    {"10": {}, "11": {"a": ("4", "!5")}},
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("killed", [False, True])
async def test_in_whatever_order_runs_publish_the_newest_look_at_a_delivery_stands_alone(
    order: tuple[int, ...], *, killed: bool
) -> None:
    made = World()
    async with made.orchestrator() as o:
        runs = [await run_of(made, o, months) for months in NOVEMBERS]
        assert {run.state for run in runs} == {RunState.HELD}
        seen: dict[str, int] = {}
        for number in order:
            if o.commands.find(runs[number].name).state is RunState.SUPERSEDED:
                assert all(seen[month] > number for month in NOVEMBERS[number])
                continue
            if killed:
                break
            await publish(o, runs[number])
            seen |= {m: max(number, seen.get(m, number)) for m in NOVEMBERS[number]}
            assert made.published() == standing(seen)
    if killed:
        for number in order:
            async with made.orchestrator() as o:
                if o.commands.find(runs[number].name).state is RunState.HELD:
                    await publish(o, runs[number])
            seen |= {m: max(number, seen.get(m, number)) for m in NOVEMBERS[number]}
            assert made.published() == standing(seen)


def standing(seen: dict[str, int]) -> list[tuple[str, str]]:
    """Rows that are to stand when `seen` is the newest published look at each delivery."""
    return sorted(
        (name, amount)
        for month, number in seen.items()
        for name, amounts in NOVEMBERS[number][month].items()
        for amount in amounts
        if not amount.startswith("!")
    )


async def test_an_older_run_says_what_of_it_a_newer_manifest_has_overtaken() -> None:
    made = World()
    async with made.orchestrator() as o:
        older = await run_of(made, o, NOVEMBERS[0])
        newer = await run_of(made, o, NOVEMBERS[1])
        await publish(o, newer)
        older = await publish(o, older)
    assert older.publishing is not None
    assert older.publishing.deliveries == ("10",)
    assert older.publishing.left_out == (("_source", ("a", "b")),)
    assert [name for name, _ in older.publishing.inputs] == ["x"]
    receipt = receipt_of(older)
    assert receipt is not None
    assert (receipt.landed_row_count, receipt.outdated_row_count) == (1, 2)


async def test_an_older_run_publishes_nothing_of_a_delivery_that_is_empty_by_now() -> None:
    made = World()
    async with made.orchestrator() as o:
        older = await run_of(made, o, {"11": {"a": ("1", "!5")}})
        newer = await run_of(made, o, {"11": {}})
        assert newer.state is RunState.SUCCEEDED
        assert o.commands.find(older.name).state is RunState.SUPERSEDED
    assert made.published() == []


async def test_a_run_that_is_retried_replaces_what_stands_by_then() -> None:
    made = World()
    async with made.orchestrator() as o:
        await run_of(made, o, {"11": {"a": ("1",)}})
        older = await run_of(made, o, {"11": {"b": ("2", "!5")}})
        deliver(made, {"11": {"c": ("3",)}})
        broken = made.warehouse.broken_jobs
        broken.update(f"cvg-acme_corp-r{n}-publish-1" for n in range(99))
        failed = await o.finish()
        assert failed.state is RunState.FAILED
        broken.clear()
        await publish(o, older)
        assert made.published() == [("b", "2")]
        await o.retry(failed)
        assert (await o.until(failed, RunState.SUCCEEDED)).attempt == 2
    assert made.published() == [("c", "3")]


async def test_rows_that_an_append_left_under_a_delivery_are_replaced_with_it() -> None:
    made = World()
    async with made.orchestrator() as o:
        deliver(made, {"11": {"a": ("1",)}})
        await o.finish(spec(mode="append"))
        deliver(made, {"11": {"b": ("2",)}})
        await o.finish(spec(mode="append"))
        await run_of(made, o, {"11": {"c": ("3",)}})
    assert made.published() == [("c", "3")]


async def test_a_journal_from_before_deliveries_were_replaced_says_what_stands_under_them() -> None:
    made = World()
    async with made.orchestrator() as o:
        await run_of(made, o, {"11": {"a": ("1",)}})
        await run_of(made, o, {"11": {"b": ("2",)}})
    ledger = Ledger()
    for record in made.journals.records:
        old = record.detail
        if isinstance(old, r.RunPlanned):
            old = old.model_copy(update={"named_deliveries": ()})
        elif isinstance(old, r.RunPublishing):
            old = old.model_copy(update={"deliveries": ()})
        ledger.add(record.model_copy(update={"detail": old}))
    table = spec().target.table_id("acme_corp")
    assert ledger.standing(PIPELINE, table, "11") == ("a", "b")


async def test_a_preview_names_what_would_be_emptied() -> None:
    made = World()
    async with made.orchestrator() as o:
        await run_of(made, o, {"11": {"a": ("1",)}})
        deliver(made, {"11": {"b": ("1",)}})
        preview = await Preview.of(o.conductor.mesh, PIPELINE, spec(), None)
    assert preview.scope == (("_source", ("b", "a")),)
    assert preview.inputs == ("b",)
