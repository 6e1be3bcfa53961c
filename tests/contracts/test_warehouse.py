"""What every warehouse keeps, in memory and in BigQuery: staging, publishing, quarantine, transforms."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.ids import DatasetId
from libs.bigquery.tables import list_tables
from libs.common.errors import NotFound
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import (
    ColumnSpec,
    ContractSpec,
    PipelineSpec,
    TargetSpec,
    TransformSpec,
    WriteSpec,
)
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.warehouse.statements import LINEAGE_TYPES
from services.orchestrator.warehouse.warehouse import Counted, PublishFailed, SchemaChanged
from services.orchestrator.workers.memory_workers import Item
from tests.contracts.warehouse_bench import (
    LATER,
    Bench,
    BigQueryRows,
    bigquery_bench,
    items,
    memory_bench,
)
from tests.support.engine import Engine
from tests.unit.orchestrator.conductor.world import spec

LONG = "12345678901234567890.123456789012345678"
APPEND = spec(mode="append")
OTHER = spec().model_copy(update={"pipeline": "p_other"})
LATER_EPOCH = 1_000_000


@pytest.fixture
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    """A connection to an engine without datasets."""
    with connect(Connection(engine.project, "US", engine.rest, engine.grpc)) as bq:
        for dataset in list(bq.rest.list_datasets()):
            bq.rest.delete_dataset(dataset.reference, delete_contents=True)
        yield bq


@pytest.fixture(params=["memory", "bigquery"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        made = memory_bench()
    else:
        made = bigquery_bench(request.getfixturevalue("bigquery"))
    made.worker.source.inputs = {
        "a.csv": items("a.csv", "1.5", LONG),
        "b.csv": items("b.csv", "-7"),
    }
    return made


async def test_rows_wait_unseen_until_their_stream_is_committed(bench: Bench) -> None:
    run = await bench.planned()
    landed = await bench.ingest(run, "a.csv")
    assert await bench.warehouse.chunk_counts(run) == {}
    await bench.warehouse.commit_staged(run, [landed])
    key = (landed.chunk_id, landed.chunk_attempt)
    exact = Counted(row_count=2, money=(Decimal("12345678901234567891.623456789012345678"),))
    assert await bench.warehouse.chunk_counts(run) == {key: exact}
    assert await bench.published() == []


async def test_a_commit_may_be_repeated_and_streams_that_are_gone_hold_up_no_other(
    bench: Bench,
) -> None:
    run = await bench.planned()
    first, second = await bench.ingest(run, "a.csv"), await bench.ingest(run, "b.csv")
    gone = second.model_copy(update={"stream": f"{second.stream}-gone"})
    for _ in range(2):
        await bench.warehouse.commit_staged(run, [gone, first])
    await bench.warehouse.commit_staged(run, [first, second])
    counts = await bench.warehouse.chunk_counts(run)
    assert {key: counted.row_count for key, counted in counts.items()} == {
        (first.chunk_id, first.chunk_attempt): 2,
        (second.chunk_id, second.chunk_attempt): 1,
    }


async def test_staging_may_be_kept_for_longer_and_keeps_its_rows(bench: Bench) -> None:
    run = await bench.staged()
    before = await bench.warehouse.chunk_counts(run)
    for days in (1, 2):
        await bench.warehouse.keep_staging(run, expire_time=LATER + dt.timedelta(days=days))
    await bench.warehouse.prepare(run, staging=True, expire_time=LATER)
    assert await bench.warehouse.chunk_counts(run) == before != {}


async def test_staging_that_was_dropped_is_not_found(bench: Bench) -> None:
    run = await bench.planned()
    await bench.warehouse.tidy_unpublished(run)
    for asked in (bench.warehouse.chunk_counts, bench.warehouse.staged_by_scope):
        with pytest.raises(NotFound):
            await asked(run)
    with pytest.raises(NotFound):
        await bench.warehouse.keep_staging(run, expire_time=LATER)


async def test_a_table_that_was_prepared_has_the_columns_of_its_run(bench: Bench) -> None:
    run = await bench.staged()
    await bench.warehouse.check_columns(run)


async def test_strays_are_deleted_and_what_the_journal_names_stays(bench: Bench) -> None:
    run = await bench.planned()
    tries = [await bench.ingest(run, "a.csv") for _ in range(2)]
    await bench.warehouse.commit_staged(run, tries)
    keys = [(landed.chunk_id, landed.chunk_attempt) for landed in tries]
    for _ in range(2):
        await bench.warehouse.delete_strays(run, keys[1:], below=LATER_EPOCH)
        assert list(await bench.warehouse.chunk_counts(run)) == keys[1:]
    await bench.warehouse.delete_strays(run, [], below=LATER_EPOCH)
    assert await bench.warehouse.chunk_counts(run) == {}


async def test_what_a_later_epoch_has_tried_is_no_stray_to_an_earlier_one(bench: Bench) -> None:
    run = await bench.planned()
    tries = [await bench.ingest(run, "a.csv") for _ in range(3)]
    await bench.warehouse.commit_staged(run, tries)
    keys = [(landed.chunk_id, landed.chunk_attempt) for landed in tries]
    await bench.warehouse.delete_strays(run, keys[:1], below=keys[2][1])
    assert set(await bench.warehouse.chunk_counts(run)) == {keys[0], keys[2]}


@pytest.mark.parametrize("wanted", [spec(), APPEND], ids=["replace", "append"])
async def test_rows_of_a_try_that_the_journal_does_not_name_are_not_published(
    bench: Bench, wanted: PipelineSpec
) -> None:
    run = await bench.planned(wanted)
    tries = [await bench.ingest(run, "a.csv") for _ in range(2)]
    await bench.warehouse.commit_staged(run, tries)
    run = bench.record(run, r.ChunkCompleted(landed=tries[0]))
    await bench.publish(run)
    assert sorted(await bench.published()) == [
        (run.name.run, "a.csv", "1.5"),
        (run.name.run, "a.csv", LONG),
    ]


async def test_a_replace_replaces_its_scope_of_its_own_pipeline_and_nothing_else(
    bench: Bench,
) -> None:
    old = await bench.staged()
    await bench.publish(old)
    other = await bench.staged(OTHER)
    await bench.publish(other)
    bench.worker.source.inputs = {"a.csv": items("a.csv", "2")}
    new = await bench.staged()
    await bench.publish(new)
    assert sorted(await bench.published()) == sorted(
        [
            (new.name.run, "a.csv", "2"),
            (old.name.run, "b.csv", "-7"),
            *((other.name.run, source, cost) for source, cost in
              [("a.csv", "1.5"), ("a.csv", LONG), ("b.csv", "-7")]),
        ]
    )  # fmt: skip


async def test_a_day_that_is_empty_now_is_emptied(bench: Bench) -> None:
    await bench.publish(await bench.staged())
    bench.worker.source.inputs["a.csv"] = []
    await bench.publish(await bench.staged())
    assert [(source, cost) for _, source, cost in await bench.published()] == [("b.csv", "-7")]


@pytest.mark.parametrize("wanted", [spec(), APPEND], ids=["replace", "append"])
async def test_publishing_twice_is_publishing_once(bench: Bench, wanted: PipelineSpec) -> None:
    run = await bench.staged(wanted)
    intent = await bench.publish(run)
    before = await bench.published()
    await bench.warehouse.publish(run, intent)
    again = intent.model_copy(update={"job_id": f"{intent.job_id}-2"})
    await bench.warehouse.publish(run, again)
    assert await bench.published() == before
    assert len(before) == 3


async def test_a_job_that_is_done_is_not_done_again_over_a_newer_run(bench: Bench) -> None:
    old = await bench.staged()
    intent = await bench.publish(old)
    bench.worker.source.inputs["a.csv"] = items("a.csv", "2")
    new = await bench.staged()
    await bench.publish(new)
    await bench.warehouse.publish(old, intent)
    assert {run for run, _, _ in await bench.published()} == {new.name.run}


async def test_a_statement_that_fails_fails_again_under_its_id_and_changes_nothing(
    bench: Bench, request: pytest.FixtureRequest
) -> None:
    await bench.publish(await bench.staged())
    before = await bench.published()
    run = await bench.staged()
    intent = await bench.intent(run, job_id=f"broken-{run.name.run}")
    broken = intent.model_copy(update={"statement": intent.statement.replace("MERGE", "MARGE")})
    if "memory" in request.node.name:
        bench.warehouse.broken_jobs.add(intent.job_id)  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(PublishFailed) as failed:
            await bench.warehouse.publish(run, broken)
        assert failed.value.metadata == {"job": intent.job_id}
    assert await bench.published() == before
    await bench.warehouse.publish(
        run, intent.model_copy(update={"job_id": f"another-{run.name.run}"})
    )
    assert {of for of, _, _ in await bench.published()} == {run.name.run}


async def test_an_append_adds_to_what_is_there(bench: Bench) -> None:
    first = await bench.staged(APPEND)
    await bench.publish(first)
    second = await bench.staged(APPEND)
    await bench.publish(second)
    assert len(await bench.published()) == 6


async def test_inputs_left_out_of_an_append_stay_where_they_are(bench: Bench) -> None:
    run = await bench.staged(APPEND)
    await bench.publish(run, without=("a.csv",))
    assert await bench.published() == [(run.name.run, "b.csv", "-7")]


async def test_a_reloaded_append_replaces_the_rows_of_its_inputs(bench: Bench) -> None:
    first = await bench.staged(APPEND)
    await bench.publish(first)
    bench.worker.source.inputs = {"a.csv": items("a.csv", "2")}
    again = await bench.staged(APPEND, reload=True)
    intent = await bench.publish(again)
    await bench.warehouse.publish(
        again, intent.model_copy(update={"job_id": f"again-{again.name.run}"})
    )
    assert sorted(await bench.published()) == sorted(
        [(again.name.run, "a.csv", "2"), (first.name.run, "b.csv", "-7")]
    )


async def test_a_direct_append_becomes_visible_at_once_and_once(bench: Bench) -> None:
    run = await bench.ingested(await bench.planned(APPEND, direct=True))
    assert await bench.published() == []
    names = [landed.stream for landed in run.landed.values()]
    for _ in range(2):
        assert await bench.warehouse.commit_target(run, names)
    assert len(await bench.published()) == 3


async def test_rows_of_streams_are_counted_before_they_are_committed(bench: Bench) -> None:
    run = await bench.ingested(await bench.planned(APPEND, direct=True))
    first, second = (landed.stream for landed in run.landed.values())
    for _ in range(2):
        counts = await bench.warehouse.stream_counts([first, second, f"{second}-gone"])
        assert counts == {first: 2, second: 1, f"{second}-gone": None}
    assert await bench.warehouse.commit_target(run, [first, second])
    assert len(await bench.published()) == 3


async def test_a_direct_append_whose_stream_is_gone_commits_none(bench: Bench) -> None:
    run = await bench.ingested(await bench.planned(APPEND, direct=True))
    names = [landed.stream for landed in run.landed.values()]
    assert not await bench.warehouse.commit_target(run, [names[0], f"{names[1]}-gone"])
    assert await bench.published() == []


async def test_rows_and_sums_are_counted_by_scope_value_for_the_pipeline_alone(
    bench: Bench,
) -> None:
    run = await bench.staged()
    counted = {
        "a.csv": Counted(row_count=2, money=(Decimal("12345678901234567891.623456789012345678"),)),
        "b.csv": Counted(row_count=1, money=(Decimal(-7),)),
    }
    assert await bench.warehouse.published_by_scope(run, run.scope) == {}
    assert await bench.warehouse.staged_by_scope(run) == counted
    await bench.publish(await bench.staged(OTHER))
    assert await bench.warehouse.published_by_scope(run, run.scope) == {}
    await bench.publish(run)
    assert await bench.warehouse.published_by_scope(run, run.scope) == counted
    one = (("_source", ("b.csv",)),)
    assert await bench.warehouse.published_by_scope(run, one) == {"b.csv": counted["b.csv"]}


async def test_quarantined_rows_are_seen_when_committed_in_order_and_page_by_page(
    bench: Bench,
) -> None:
    bench.worker.source.inputs = {
        "b.csv": items("b.csv", "1", bad=("2", "3")),
        "a.csv": items("a.csv", bad=("4",)),
    }
    run = await bench.ingested(await bench.planned())
    assert await bench.quarantined(run) == []
    for _ in range(2):
        await bench.warehouse.commit_quarantine(run, list(run.landed.values()))
    assert await bench.quarantined(run) == [("a.csv", 0), ("b.csv", 1), ("b.csv", 2)]
    second = await bench.warehouse.quarantined(run, offset=1, limit=1)
    assert [(row["_source"], row["_row_number"]) for row in second] == [("b.csv", 1)]


async def test_quarantined_rows_that_are_visible_are_counted_by_try(bench: Bench) -> None:
    bench.worker.source.inputs = {
        "a.csv": items("a.csv", "1", bad=("2", "3")),
        "b.csv": items("b.csv", bad=("4",)),
    }
    run = await bench.ingested(await bench.planned())
    first, second = run.landed.values()
    await bench.warehouse.commit_quarantine(run, [first])
    key = (first.chunk_id, first.chunk_attempt)
    assert await bench.warehouse.quarantine_counts(run) == {key: first.quarantined_row_count}
    await bench.warehouse.commit_quarantine(run, [second])
    counts = await bench.warehouse.quarantine_counts(run)
    assert sorted(counts.values()) == [1, 2]


async def test_a_run_whose_table_was_never_made_has_no_quarantine(bench: Bench) -> None:
    run = await bench.planned()
    elsewhere = TargetSpec(dataset="raw_bill", table="never")
    spec_ = run.spec.model_copy(update={"target": elsewhere})
    never = dataclasses.replace(run, spec=spec_)
    assert await bench.warehouse.quarantined(never, offset=0, limit=9) == []
    await bench.warehouse.tidy_unpublished(never)


async def test_quarantine_of_a_try_that_does_not_count_is_deleted_for_its_run_alone(
    bench: Bench,
) -> None:
    bench.worker.source.inputs = {"a.csv": items("a.csv", "1", bad=("2",))}
    first = await bench.ingested(await bench.planned())
    await bench.warehouse.commit_quarantine(first, list(first.landed.values()))
    second = await bench.planned()
    tries = [await bench.ingest(second, "a.csv") for _ in range(2)]
    await bench.warehouse.commit_quarantine(second, tries)
    assert len(await bench.quarantined(second)) == 2
    counts = [(tries[1].chunk_id, tries[1].chunk_attempt)]
    for _ in range(2):
        await bench.warehouse.delete_stray_quarantine(second, counts, below=LATER_EPOCH)
    assert len(await bench.quarantined(second)) == len(await bench.quarantined(first)) == 1


async def test_a_publication_deletes_the_quarantine_of_older_looks_at_its_values_only(
    bench: Bench,
) -> None:
    bench.worker.source.inputs = {n: items(n, "1", bad=("2",)) for n in ("a.csv", "b.csv")}
    older, middle, newer = [await bench.ingested(await bench.planned()) for _ in range(3)]
    for run in (older, middle, newer):
        await bench.warehouse.commit_quarantine(run, list(run.landed.values()))
    intent = r.RunPublishing(scope=(("_source", ("a.csv",)),))
    for _ in range(2):
        await bench.warehouse.tidy_published(middle, intent)
    assert await bench.quarantined(older) == [("b.csv", 1)]
    assert await bench.quarantined(middle) == [("a.csv", 1), ("b.csv", 1)]
    assert await bench.quarantined(newer) == [("a.csv", 1), ("b.csv", 1)]


async def test_a_run_that_ends_without_publishing_takes_its_quarantine_along(bench: Bench) -> None:
    bench.worker.source.inputs = {"a.csv": items("a.csv", "1", bad=("2",))}
    ended, other = [await bench.ingested(await bench.planned()) for _ in range(2)]
    for run in (ended, other):
        await bench.warehouse.commit_quarantine(run, list(run.landed.values()))
    for _ in range(2):
        await bench.warehouse.tidy_unpublished(ended)
    assert await bench.quarantined(ended) == []
    assert await bench.quarantined(other) == [("a.csv", 1)]


def with_contract(**modes: str) -> PipelineSpec:
    made = spec()
    source = made.source.model_copy(update={"contract": ContractSpec.model_validate(modes)})
    return made.model_copy(update={"source": source})


async def names(bench: Bench) -> list[str]:
    """Return the target's own columns."""
    found = [column.name for column in await bench.warehouse.columns(spec())]
    return [name for name in found if name not in LINEAGE_TYPES]


async def test_a_target_gets_new_columns_when_rows_are_published_and_not_before(
    bench: Bench,
) -> None:
    assert await names(bench) == []
    old = await bench.staged()
    await bench.publish(old)
    before = await names(bench)
    grown = spec().model_copy(
        update={"columns": (*spec().columns, ColumnSpec(name="tax", type="NUMERIC"))}
    )
    bench.worker.source.inputs = {
        name: [dataclasses.replace(item, money=(*item.money, "0")) for item in found]
        for name, found in bench.worker.source.inputs.items()
    }
    run = await bench.staged(grown)
    await bench.warehouse.check_columns(run)
    found = await bench.warehouse.published_by_scope(run, run.scope)
    counts = {scope: (counted.row_count, counted.money[1]) for scope, counted in found.items()}
    assert counts == {"a.csv": (2, Decimal(0)), "b.csv": (1, Decimal(0))}
    assert await names(bench) == before
    for _ in range(2):
        await bench.warehouse.add_columns(run)
    await bench.publish(run)
    assert await names(bench) == [*before, "tax"]
    assert {name for name, _, _ in await bench.published()} == {run.name.run}


async def test_columns_that_evolved_are_the_runs_own_and_only_used_variants_are_added(
    bench: Bench,
) -> None:
    await bench.publish(await bench.staged())
    before = await names(bench)
    wanted = with_contract(columns="evolve", types="evolve")
    wanted = wanted.model_copy(
        update={
            "columns": (
                *wanted.columns,
                ColumnSpec(name="seen", type="TIMESTAMP"),
                ColumnSpec(name="kept", type="DATE"),
            )
        }
    )
    run = await bench.planned(wanted, evolved=(("surplus", "STRING"),))
    assert run.spec.spec_hash == wanted.spec_hash
    assert run.spec.variants == ("seen__v_text", "kept__v_text")
    run = await bench.ingested(run)
    for landed in run.landed.values():
        used = landed.model_copy(update={"variants": ("seen__v_text",)})
        run = bench.record(run, r.ChunkCompleted(landed=used))
    await bench.publish(run)
    assert await names(bench) == [*before, "seen", "kept", "surplus", "seen__v_text"]


async def test_a_column_retyped_meanwhile_is_refused_before_anything_is_published(
    bench: Bench,
) -> None:
    await bench.publish(await bench.staged())
    columns = [
        c.model_copy(update={"type": "STRING"}) if c.name == "cost" else c for c in spec().columns
    ]
    with pytest.raises(SchemaChanged, match="column cost is BIGNUMERIC"):
        await bench.planned(spec().model_copy(update={"columns": tuple(columns)}))
    held = await bench.staged()
    held = dataclasses.replace(held, spec=held.spec.model_copy(update={"columns": tuple(columns)}))
    with pytest.raises(SchemaChanged) as refused:
        await bench.warehouse.check_columns(held)
    assert refused.value.metadata["column"] == "cost"


def by_month(month_type: str, *, account: str = "A", partition_by: str = "") -> PipelineSpec:
    """A bill's month of one account."""
    made = spec()
    columns = (
        *made.columns,
        ColumnSpec(name="month", type=month_type),
        ColumnSpec(name="account", type="STRING"),
        ColumnSpec(name="number", type="INT64"),
    )
    fixed = (("account", account), ("number", "7"))
    target = made.target.model_copy(update={"partition_by": partition_by or "ingestion_date"})
    write = WriteSpec(mode="replace", scope=("month",), fixed=fixed)
    return made.model_copy(update={"columns": columns, "write": write, "target": target})


@pytest.mark.parametrize(
    ("month_type", "partition_by"), [("DATE", ""), ("TIMESTAMP", ""), ("TIMESTAMP", "month")]
)
async def test_a_scope_of_several_columns_is_replaced_where_all_of_them_say_so(
    bench: Bench, month_type: str, partition_by: str
) -> None:
    after = " 00:00:00" if month_type == "TIMESTAMP" else ""
    october, november = f"2026-10-01{after}", f"2026-11-01{after}"

    async def bill(account: str, **months: str) -> Run:
        named = {"october": october, "november": november}
        bench.worker.source.inputs = {
            "a.csv": [
                Item(scope=named[month], money=(money,), fixed=(account, "7"))
                for month, money in months.items()
            ]
        }
        wanted = by_month(month_type, account=account, partition_by=partition_by)
        run = await bench.staged(wanted, scope_values=(october, november))
        await bench.publish(run)
        return run

    first = await bill("A", october="1", november="2")
    other = await bill("B", october="4", november="8")
    counted = {october: Counted(row_count=1, money=(Decimal(1),)),
               november: Counted(row_count=1, money=(Decimal(2),))}  # fmt: skip
    assert await bench.warehouse.staged_by_scope(first) == counted
    assert await bench.warehouse.published_by_scope(first, first.scope) == counted
    again = await bill("A", november="16")
    assert sorted((run, cost) for run, _, cost in await bench.published()) == sorted(
        [(other.name.run, "4"), (other.name.run, "8"), (again.name.run, "16")]
    )


async def test_quarantine_of_one_account_stays_when_another_is_published(bench: Bench) -> None:
    def lost(account: str) -> list[Item]:
        return [Item(scope="2026-10-01", money=("1",), fixed=(account, "7"), bad=True)]

    runs = []
    for account in ("A", "B", "A"):
        bench.worker.source.inputs = {"a.csv": lost(account)}
        of = by_month("DATE", account=account)
        run = await bench.ingested(await bench.planned(of, scope_values=("2026-10-01",)))
        await bench.warehouse.commit_quarantine(run, list(run.landed.values()))
        runs.append(run)
    await bench.warehouse.tidy_published(runs[2], r.RunPublishing(scope=runs[2].scope))
    assert [len(await bench.quarantined(run)) for run in runs] == [0, 1, 1]


TRANSFORM = TransformSpec(
    transform_id="costs",
    sql="SELECT _source AS x_source, cost FROM acme_corp_raw_bill.bills WHERE _source IN UNNEST(@scope)",
    target=TargetSpec(dataset="silver_cost", table="costs"),
    scope=(("_source", "x_source"),),
)


async def silver(bench: Bench) -> list[str]:
    """Return the money of every row of the silver table, sorted."""
    if isinstance(bench.rows, type(memory_bench().rows)):
        rows = bench.warehouse.tables["acme_corp_silver_cost.costs"]  # type: ignore[attr-defined]
        return sorted(f"{row.money[0]:f}" for row in rows)
    sql = "(SELECT _run_id, x_source AS _source, cost FROM acme_corp_silver_cost.costs)"
    return sorted(cost for _, _, cost in await bench.rows.of(sql))


async def left_over(bench: Bench) -> list[str]:
    """Return what transforms have staged and nobody dropped."""
    if isinstance(bench.warehouse, MemoryWarehouse):
        return list(bench.warehouse.results)
    assert isinstance(bench.rows, BigQueryRows)
    staging = DatasetId(bench.rows.bigquery.connection.project, "acme_corp_staging")
    found = await asyncio.to_thread(list_tables, bench.rows.bigquery, staging)
    return [table.table for table in found if table.table.startswith("costs__")]


async def test_a_transforms_result_waits_for_its_merge_which_may_be_repeated(bench: Bench) -> None:
    wanted = spec().model_copy(update={"transforms": (TRANSFORM,)})
    run = await bench.staged(wanted)
    await bench.publish(run)
    staged = await bench.warehouse.stage_transform(
        run, TRANSFORM, run.scope, f"stage-1-{run.name.run}"
    )
    assert staged.row_count == 3
    started = r.TransformStarted(
        transform_id="costs",
        job_id=f"merge-{run.name.run}",
        statement=staged.statement,
        scope=run.scope,
    )
    for _ in range(2):
        assert await bench.warehouse.publish_transform(run, started) == 3
    assert len(await left_over(bench)) == 1
    for _ in range(2):
        await bench.warehouse.tidy_transform(run, started)
        assert await bench.warehouse.publish_transform(run, started) == 3
    assert await left_over(bench) == []
    assert await silver(bench) == sorted(["1.5", LONG, "-7"])


async def test_a_transforms_stage_runs_once_under_its_id(bench: Bench) -> None:
    wanted = spec().model_copy(update={"transforms": (TRANSFORM,)})
    run = await bench.staged(wanted)
    await bench.publish(run)
    first = await bench.warehouse.stage_transform(
        run, TRANSFORM, run.scope, f"stage-1-{run.name.run}"
    )
    bench.worker.source.inputs = {"a.csv": items("a.csv", "2"), "b.csv": []}
    await bench.publish(await bench.staged(wanted))
    again = await bench.warehouse.stage_transform(
        run, TRANSFORM, run.scope, f"stage-1-{run.name.run}"
    )
    fresh = await bench.warehouse.stage_transform(
        run, TRANSFORM, run.scope, f"stage-2-{run.name.run}"
    )
    assert (first.row_count, again.row_count, fresh.row_count) == (3, 3, 1)
