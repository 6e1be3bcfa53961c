"""Runs over the embedded BigQuery: the journal, the audit's counts, the publishing statements."""

import asyncio
import contextlib
import dataclasses
import json
import uuid
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal
from typing import Literal

import pytest

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.columns import Column
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.failures import DatasetNotOwned
from libs.bigquery.ids import DatasetId
from libs.bigquery.tables import drop_table, ensure_table, get_columns
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.bigquery_journal import BigQueryJournal
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalSealed
from services.orchestrator.projections.bigquery_projections import BigQueryProjections
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import ColumnSpec, PipelineSpec, TargetSpec, TransformSpec
from services.orchestrator.warehouse.bigquery_warehouse import BigQueryWarehouse
from services.orchestrator.warehouse.warehouse import SchemaChanged
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.bigquery_world import StreamWorker
from tests.support.engine import Engine
from tests.support.metadata_tables import make_metadata
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("0.000000000000000001",))]
TWO = [Item(scope="b.csv", money=("7",))]


@pytest.fixture
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    """A connection to an engine whose tables are as `admin init` leaves them."""
    connection = Connection("local", "US", engine.rest, engine.grpc)
    with connect(connection) as bq:
        for dataset in engine.client().list_datasets():
            engine.client().delete_dataset(dataset.reference, delete_contents=True)
        make_metadata(bq)
        yield bq


@dataclasses.dataclass(slots=True)
class BigQueryWorld(World):
    """A world whose journal and warehouse are BigQuery's."""

    bigquery: BigQuery | None = None

    @contextlib.asynccontextmanager
    async def orchestrator(self) -> AsyncGenerator[Orchestrator]:
        assert self.bigquery is not None
        epoch = next(self.epochs)
        journal = BigQueryJournal(self.bigquery, streams_end_with_server=True)
        term = Term(epoch=epoch, predecessor=self.stream, predecessor_epoch=epoch - 1)
        records, self.stream = await journal.open(term)
        history = History(
            journal, epoch=epoch, clock=self.clock, new_id=lambda: f"e{next(self.ids)}"
        )
        history.load(records)
        workers = [StreamWorker("w1", self.source, self.warehouse, bigquery=self.bigquery)]
        mesh = Mesh(
            history=history,
            warehouse=BigQueryWarehouse(self.bigquery),
            dispatcher=Dispatcher(workers, monotonic=lambda: 0.0, sleep=asyncio.sleep),
            judge=self.judge,
            clock=self.clock,
            sleep=asyncio.sleep,
            retries=Retries(),
        )
        conductor = Conductor(mesh)
        writer = asyncio.create_task(history.write())
        conductor.resume()
        try:
            yield Orchestrator(
                conductor, Commands(conductor, new_run_id=lambda: f"r{uuid.uuid4().hex}")
            )
        finally:
            await conductor.close()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await journal.close()


@pytest.fixture
def world(bigquery: BigQuery) -> BigQueryWorld:
    made = BigQueryWorld(bigquery=bigquery)
    made.source.inputs.update({"a.csv": ONE, "b.csv": TWO})
    return made


async def rows(bigquery: BigQuery, sql: str) -> list[tuple[object, ...]]:
    found = await asyncio.to_thread(jobs.query, bigquery, sql)
    return [tuple(row.values()) for row in found]


async def published(bigquery: BigQuery) -> list[tuple[object, ...]]:
    return await rows(
        bigquery,
        "SELECT _source, CAST(cost AS STRING) FROM acme_corp_raw_bill.bills ORDER BY 1, 2",
    )


async def rest(o: Orchestrator, run: Run) -> Run:
    async with asyncio.timeout(30):
        while not (now := o.commands.find(run.name)).resting:
            await asyncio.sleep(0.01)
    return await o.commands.settled(now)


SILVER = TransformSpec(
    transform_id="silver",
    sql=(
        "SELECT _source AS x_source, service, SUM(cost) AS total "
        "FROM acme_corp_raw_bill.bills WHERE _source IN UNNEST(@scope) GROUP BY 1, 2"
    ),
    target=TargetSpec(dataset="silver_cost", table="totals"),
    scope=(("_source", "x_source"),),
)


def with_silver(plain: PipelineSpec) -> PipelineSpec:
    return plain.model_copy(update={"transforms": (SILVER,)})


async def test_a_replace_is_published_transformed_and_restated_exactly(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    async with world.orchestrator() as o:
        first = await rest(o, await o.start(with_silver(spec())))
        assert first.failure is None, first.failure
        assert first.state is RunState.SUCCEEDED
        assert await published(bigquery) == [
            ("a.csv", "0.000000000000000001"),
            ("a.csv", "1.500000000000000000"),
            ("b.csv", "7.000000000000000000"),
        ]
        world.source.inputs["a.csv"] = [*ONE, Item(scope="a.csv", money=("2",))]
        second = await rest(o, await o.start(with_silver(spec())))
    assert second.state is RunState.SUCCEEDED
    receipt = receipt_of(second)
    assert receipt is not None
    assert receipt.restatement is not None
    change = receipt.restatement.money[0]
    assert change.new - change.old == 2
    assert (receipt.restatement.old_row_count, receipt.restatement.new_row_count) == (3, 4)
    totals = await rows(
        bigquery,
        "SELECT x_source, CAST(total AS STRING) FROM acme_corp_silver_cost.totals ORDER BY 1",
    )
    assert totals == [("a.csv", "3.500000000000000001"), ("b.csv", "7.000000000000000000")]
    left = await rows(
        bigquery,
        "SELECT table_name FROM acme_corp_staging.INFORMATION_SCHEMA.TABLES",
    )
    assert left == []


async def test_a_delivery_is_replaced_as_a_whole_and_silver_with_it(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    world.source.deliveries = {"10": ("b.csv",), "11": ("a.csv",)}
    totals = "SELECT x_source, CAST(total AS STRING) FROM acme_corp_silver_cost.totals ORDER BY 1"
    async with world.orchestrator() as o:
        await rest(o, await o.start(with_silver(spec())))
        world.source.inputs = {"c.csv": [Item(scope="c.csv", money=("1.25",))]}
        world.source.deliveries = {"11": ("c.csv",)}
        moved = await rest(o, await o.start(with_silver(spec())))
        assert moved.failure is None, moved.failure
        assert await rows(bigquery, totals) == [
            ("b.csv", "7.000000000000000000"),
            ("c.csv", "1.250000000000000000"),
        ]
        world.source.inputs, world.source.deliveries = {}, {"11": ()}
        emptied = await rest(o, await o.start(with_silver(spec())))
        again = await rest(o, await o.start(with_silver(spec())))
    assert [run.failure for run in (emptied, again)] == [None, None]
    assert [run.state for run in (moved, emptied, again)] == [RunState.SUCCEEDED] * 3
    assert await published(bigquery) == [("b.csv", "7.000000000000000000")]
    assert await rows(bigquery, totals) == [("b.csv", "7.000000000000000000")]


async def test_a_transform_reads_no_dataset_without_its_tenants_label(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    salaries = DatasetId("local", "acme_corp_salaries")
    ensure_dataset(bigquery, salaries)
    ensure_table(bigquery, salaries.table("people"), [Column("service", "STRING", "NULLABLE")])
    reading = SILVER.model_copy(
        update={
            "sql": (
                "SELECT b._source AS x_source, p.service FROM acme_corp_raw_bill.bills b, "
                "acme_corp_salaries.people p WHERE b._source IN UNNEST(@scope)"
            ),
            "reads": ("acme_corp_raw_bill", "acme_corp_salaries"),
        }
    )
    wanted = spec().model_copy(update={"transforms": (reading,)})
    async with world.orchestrator() as o:
        with pytest.raises(DatasetNotOwned, match="acme_corp_salaries"):
            await o.conductor.mesh.warehouse.check(wanted)
        run = await rest(o, await o.start(wanted))
    assert run.state is RunState.TRANSFORM_FAILED
    assert run.failure is not None
    assert run.failure.reason == "DATASET_NOT_OWNED"
    assert "acme_corp_salaries" in run.failure.message


@pytest.mark.parametrize(("mode", "state"), [("NULLABLE", "SUCCEEDED"), ("REQUIRED", "FAILED")])
async def test_a_table_gets_new_columns_that_may_be_null_and_no_others(
    world: BigQueryWorld,
    bigquery: BigQuery,
    mode: Literal["NULLABLE", "REQUIRED"],
    state: str,
) -> None:
    grown = spec().model_copy(
        update={"columns": (*spec().columns, ColumnSpec(name="note", type="STRING", mode=mode))}
    )
    async with world.orchestrator() as o:
        await rest(o, await o.start(request=1))
        before = await published(bigquery)
        first = await rest(o, await o.start(grown, request=2))
        again = await rest(o, await o.start(grown, request=3))
    assert [run.state for run in (first, again)] == [state, state]
    if state == "FAILED":
        assert first.failure is not None
        assert (first.failure.reason, first.failure.kind) == ("SCHEMA_CHANGED", "config")
        assert "lacks column note" in first.failure.message
        assert first.failure.metadata["column"] == "note"
    assert await published(bigquery) == before


async def test_append_direct_reads_inputs_once(world: BigQueryWorld, bigquery: BigQuery) -> None:
    append = spec(mode="append", on_failure="fail")
    async with world.orchestrator() as o:
        first = await rest(o, await o.start(append))
        second = await rest(o, await o.start(append))
    assert [first.state, second.state] == [RunState.SUCCEEDED] * 2
    assert first.plan is not None
    assert first.plan.direct
    assert len(await published(bigquery)) == 3


async def test_a_staged_append_that_is_reloaded_replaces_its_inputs(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    append = spec(mode="append")
    async with world.orchestrator() as o:
        await rest(o, await o.start(append))
        again = await rest(o, await o.start(append, reload=True))
    assert again.state is RunState.SUCCEEDED
    assert len(await published(bigquery)) == 3


async def test_quarantined_rows_can_be_read_while_held_and_go_when_discarded(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    world.source.inputs["a.csv"] = [*ONE, Item(scope="a.csv", money=("9.99",), bad=True)]
    async with world.orchestrator() as o:
        run = await rest(o, await o.start())
        assert run.state is RunState.HELD
        (row,) = await o.conductor.mesh.warehouse.quarantined(run, offset=0, limit=10)
        assert row["cost__text"] == "9.99"
        await o.commands.discard(run.name, by="k", reason="")
        await o.until(run, RunState.CANCELLED)
        assert await o.conductor.mesh.warehouse.quarantined(run, offset=0, limit=10) == []
    assert await published(bigquery) == []


@pytest.mark.parametrize("records", [3, 5, 7, 9])
async def test_a_killed_orchestrator_is_followed_by_one_that_ends_the_run(
    world: BigQueryWorld, bigquery: BigQuery, records: int
) -> None:
    async with world.orchestrator() as first:
        run = await first.start()
        async with asyncio.timeout(30):
            while first.conductor.mesh.history.durable < records:
                await asyncio.sleep(0)
    async with world.orchestrator() as second:
        done = await rest(second, run)
    assert done.state is RunState.SUCCEEDED
    assert len(await published(bigquery)) == 3


async def test_a_sealed_journal_refuses_its_old_writer(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    old = BigQueryJournal(bigquery, streams_end_with_server=False)
    records, stream = await old.open(Term(epoch=1))
    assert records == []
    opened = r.Record(
        event_id="e1", position=1, epoch=1, run="", time=world.clock(), detail=r.EpochOpened()
    )
    await old.append([opened])
    new = BigQueryJournal(bigquery, streams_end_with_server=False)
    found, _ = await new.open(Term(epoch=2, predecessor=stream, predecessor_epoch=1))
    assert found == [opened]
    with pytest.raises(JournalSealed):
        await old.append([opened.model_copy(update={"event_id": "e2", "position": 2})])
    await old.close()
    await new.close()


async def test_projections_hold_every_run_and_can_be_rebuilt(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    world.judge.results = (
        r.Result(
            rule_id="rule1",
            expectation_type="expect_column_values_to_not_be_null",
            column="service",
            kwargs=json.dumps({"column": "service"}),
            success=True,
            severity="critical",
            element_count=3,
            missing_count=0,
            unexpected_count=0,
        ),
    )
    async with world.orchestrator() as o:
        run = await rest(o, await o.start())
        projections = BigQueryProjections(bigquery, o.conductor.mesh.history)
        for _ in range(2):
            await projections.write([run])
        states = "SELECT run_id, state, rows_landed FROM metadata.pipeline_runs"
        assert await rows(bigquery, states) == [(run.name.run, "SUCCEEDED", 3)]
        results = "SELECT expectation, success, attempt FROM metadata.dq_results"
        assert await rows(bigquery, results) == [("rule1", True, 1)]
        await rows(bigquery, "DELETE FROM metadata.pipeline_runs WHERE TRUE")
        await projections.write(list(o.conductor.mesh.history.ledger.runs.values()))
        assert await rows(bigquery, states) == [(run.name.run, "SUCCEEDED", 3)]


async def test_a_merge_publishes_the_winner_of_each_key_and_counts_the_others(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    merge = spec(mode="merge")
    small = "0.000000000000000001"
    world.source.inputs = {
        "a.csv": [
            Item(scope="a.csv", money=("1.5",), key="a", version=1),
            Item(scope="a.csv", money=(small,), key="a", version=2),
            Item(scope="a.csv", money=("7",), key="b", version=2),
        ]
    }
    async with world.orchestrator() as o:
        first = await rest(o, await o.start(merge))
        world.source.inputs["a.csv"] = [
            Item(scope="a.csv", money=("4",), key="a", version=2),
            Item(scope="a.csv", money=("8",), key="b", version=1),
        ]
        second = await rest(o, await o.start(merge))
    found = await published(bigquery)
    assert [Decimal(str(cost)) for _, cost in found] == [Decimal(4), Decimal(7)]
    receipts = [receipt_of(run) for run in (first, second)]
    assert [
        (line.landed, line.outdated) for receipt in receipts if receipt for line in receipt.money
    ] == [(Decimal(f"7{small[1:]}"), Decimal("1.5")), (Decimal(4), Decimal(8))]


async def test_a_held_run_is_not_published_into_a_table_that_was_made_anew_without_a_column(
    world: BigQueryWorld, bigquery: BigQuery
) -> None:
    lost = Item(scope="a.csv", money=("9",), bad=True)
    world.source.inputs = {"a.csv": [*ONE, lost]}
    table = DatasetId("local", "acme_corp_raw_bill").table("bills")
    async with world.orchestrator() as o:
        held = await rest(o, await o.start())
        assert held.state is RunState.HELD
        columns = [c for c in get_columns(bigquery, table) if c.name != "service"]
        drop_table(bigquery, table)
        ensure_table(bigquery, table, columns)
        with pytest.raises(SchemaChanged) as refused:
            await o.approve(held)
        assert refused.value.metadata["column"] == "service"
        assert o.commands.find(held.name).state is RunState.HELD
    assert await published(bigquery) == []
