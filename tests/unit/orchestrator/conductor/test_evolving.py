"""Columns that a run has beside its schema's: planned with it, published with it, or forgotten."""

from services.orchestrator.runs.records import Failure
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import ColumnSpec, ContractSpec, PipelineSpec
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import World, spec

HELD = [Item(scope="a.csv", money=("1.5",), bad=True)]
GOOD = [Item(scope="a.csv", money=("1.5",))]


def evolving(*, mode: str = "replace", on_failure: str = "hold") -> PipelineSpec:
    made = spec(mode=mode, on_failure=on_failure)
    contract = ContractSpec(columns="evolve", types="evolve")
    source = made.source.model_copy(update={"contract": contract})
    return made.model_copy(update={"source": source})


def names(made: World) -> list[str]:
    return list(made.warehouse.schemas[made.warehouse.target(spec())])


async def test_a_run_keeps_the_columns_of_its_plan_and_the_hash_of_its_files() -> None:
    made = World.of(a_csv=GOOD)
    made.source.evolved = (("surplus", "STRING"), ("seen", "TIMESTAMP"))
    async with made.orchestrator() as o:
        run = await o.finish(evolving())
    assert [c.name for c in run.spec.columns] == ["service", "cost", "surplus", "seen"]
    assert run.spec.spec_hash == evolving().spec_hash == run.created.spec_hash
    assert [a.spec for worker in made.workers for a in worker.seen] == [run.spec]


async def test_a_run_that_is_discarded_adds_no_column() -> None:
    made = World.of(a_csv=GOOD)
    async with made.orchestrator() as o:
        await o.finish(spec())
        made.source.evolved = (("surplus", "STRING"),)
        made.source.inputs["a.csv"] = HELD
        run = await o.rest(await o.start(evolving(), request=2))
        assert run.state is RunState.HELD
        await o.commands.discard(run.name, by="k", reason="no")
        assert names(made) == ["service", "cost"]
        again = await o.rest(await o.start(evolving(), request=3))
        await o.commands.approve(again.name, by="k", reason="yes")
        await o.rest(o.commands.find(again.name))
        assert names(made) == ["service", "cost", "surplus"]


async def test_a_column_that_the_table_has_keeps_its_type_there() -> None:
    made = World.of(a_csv=GOOD)
    made.source.evolved = (("surplus", "INT64"),)
    async with made.orchestrator() as o:
        await o.finish(evolving())
        made.source.evolved = (("Surplus", "STRING"),)
        made.source.inputs["a.csv"] = [*GOOD, *GOOD]
        run = await o.finish(evolving())
    assert run.spec.columns[-1] == ColumnSpec(name="surplus", type="INT64")


async def test_append_is_staged_where_columns_evolve_or_are_new() -> None:
    made = World.of(a_csv=GOOD)
    append = spec(mode="append", on_failure="fail")
    grown = append.model_copy(
        update={"columns": (*append.columns, ColumnSpec(name="note", type="STRING"))}
    )
    async with made.orchestrator() as o:
        first = await o.finish(append)
        made.source.inputs["b.csv"] = [Item(scope="b.csv", money=("2",))]
        second = await o.finish(evolving(mode="append", on_failure="fail"))
        made.source.inputs["c.csv"] = [Item(scope="c.csv", money=("3",))]
        third = await o.finish(grown)
        made.source.inputs["d.csv"] = [Item(scope="d.csv", money=("4",))]
        fourth = await o.finish(grown)
    plans = [run.plan for run in (first, second, third, fourth)]
    assert [plan is not None and plan.direct for plan in plans] == [True, False, False, True]
    assert names(made) == ["service", "cost", "note"]
    assert sorted(cost for _, cost in made.published(append)) == ["1.5", "2", "3", "4"]


async def test_a_plan_anew_stages_its_rows_beside_those_of_the_plan_before() -> None:
    made = World.of(a_csv=GOOD)
    changed = Failure(kind="source", reason="SOURCE_CHANGED", message="it changed", advice="")
    for worker in made.workers:
        worker.failures = [ChunkFailed(changed, transient=False)]
    async with made.orchestrator() as o:
        failed = await o.finish(evolving())
        for worker in made.workers:
            worker.failures.clear()
        again = await o.retry(failed)
        assert made.warehouse.staging(again) != made.warehouse.staging(failed)
        assert made.warehouse.staging(again).endswith(f"__{failed.name.run}")
        await o.until(failed, RunState.SUCCEEDED)
    assert not [name for name in made.warehouse.tables if "_staging." in name]


async def test_a_plan_anew_that_is_cancelled_leaves_no_staging_either() -> None:
    made = World.of(a_csv=GOOD)
    changed = Failure(kind="source", reason="SOURCE_CHANGED", message="it changed", advice="")
    for worker in made.workers:
        worker.failures = [ChunkFailed(changed, transient=False)]
    async with made.orchestrator() as o:
        failed = await o.finish(evolving())
        for worker in made.workers:
            worker.failures.clear()
        made.hang()
        again = await o.retry(failed)
        await o.until(again, RunState.INGESTING)
        await o.commands.cancel(again.name, by="k", reason="")
        await o.until(again, RunState.CANCELLED)
    assert not [name for name in made.warehouse.tables if "_staging." in name]
