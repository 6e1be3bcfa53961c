"""What every warehouse keeps of `merge`: one row for each key, the highest version, then the newest look."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.common.money import total
from services.orchestrator.runs import records as r
from services.orchestrator.specs import PipelineSpec, WriteSpec
from services.orchestrator.warehouse.warehouse import Counted, KeyNotUnique
from services.orchestrator.workers.memory_workers import Item
from tests.contracts.warehouse_bench import Bench, bigquery_bench, memory_bench
from tests.support.engine import Engine
from tests.unit.orchestrator.conductor.world import spec

MERGE = spec(mode="merge")
OTHER = MERGE.model_copy(update={"pipeline": "p_other"})
APPEND = MERGE.model_copy(update={"write": WriteSpec(mode="append")})
LONG = "12345678901234567890.123456789012345678"


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
        return memory_bench()
    return bigquery_bench(request.getfixturevalue("bigquery"))


def item(key: str, version: int, money: str) -> Item:
    return Item(scope="a.csv", money=(money,), key=key, version=version)


async def merged(bench: Bench, *items: Item, wanted: PipelineSpec = MERGE) -> str:
    """Publish a run over `items`; return its id."""
    bench.worker.source.inputs = {"a.csv": list(items)}
    run = await bench.staged(wanted)
    await bench.publish(run)
    return run.name.run


async def seen(bench: Bench) -> list[tuple[str, str]]:
    """Return run and money of every row that readers see, sorted."""
    return sorted((run, cost) for run, _, cost in await bench.published(MERGE))


async def test_a_row_of_a_try_that_the_journal_does_not_name_wins_no_key(bench: Bench) -> None:
    bench.worker.source.inputs = {"a.csv": [item("k", 1, "5")]}
    run = await bench.planned(MERGE)
    named = await bench.ingest(run, "a.csv")
    bench.worker.source.inputs = {"a.csv": [item("k", 2, "9")]}
    await bench.warehouse.commit_staged(run, [named, await bench.ingest(run, "a.csv")])
    run = bench.record(run, r.ChunkCompleted(landed=named))
    await bench.publish(run)
    assert await seen(bench) == [(run.name.run, "5")]


async def test_the_highest_version_of_a_key_wins_in_a_run_and_against_the_table(
    bench: Bench,
) -> None:
    first = await merged(
        bench, item("a", 1, "1"), item("a", 3, "3"), item("a", 2, "2"), item("b", 5, LONG)
    )
    assert await seen(bench) == sorted([(first, "3"), (first, LONG)])
    second = await merged(bench, item("a", 4, "4"), item("b", 4, "0.1"), item("c", -1, "-7"))
    assert await seen(bench) == sorted([(second, "4"), (first, LONG), (second, "-7")])


async def test_of_equal_versions_the_later_row_wins_in_a_run_and_the_newer_look_in_the_table(
    bench: Bench,
) -> None:
    await merged(bench, item("a", 1, "1"), item("a", 1, "2"))
    assert [cost for _, cost in await seen(bench)] == ["2"]
    second = await merged(bench, item("a", 1, "3"))
    assert await seen(bench) == [(second, "3")]


async def test_an_older_look_that_publishes_late_overwrites_only_lower_versions(
    bench: Bench,
) -> None:
    bench.worker.source.inputs = {
        "a.csv": [item("a", 2, "1"), item("b", 2, "2"), item("c", 2, "3")]
    }
    older = await bench.staged(MERGE)
    newer = await merged(bench, item("a", 2, "10"), item("b", 1, "20"), item("d", 0, "30"))
    await bench.publish(older)
    late = older.name.run
    assert await seen(bench) == sorted([(newer, "10"), (late, "2"), (late, "3"), (newer, "30")])


async def test_merging_twice_is_merging_once_and_counts_the_same(bench: Bench) -> None:
    await merged(bench, item("a", 9, "9"))
    bench.worker.source.inputs = {
        "a.csv": [item("a", 1, "1"), item("b", 1, LONG), item("b", 0, "5"), item("c", 1, "0.5")]
    }
    run = await bench.staged(MERGE)
    intent = await bench.publish(run)
    before = await seen(bench)
    won = Counted(row_count=2, money=(total([Decimal(LONG), Decimal("0.5")]),))
    assert await bench.warehouse.published_of(run) == won
    for again in (intent, intent.model_copy(update={"job_id": f"{intent.job_id}-2"})):
        await bench.warehouse.publish(run, again)
        assert await seen(bench) == before
        assert await bench.warehouse.published_of(run) == won


async def test_a_key_is_found_whatever_partition_it_stands_in(bench: Bench) -> None:
    await merged(bench, item("a", 1, "1"), item("b", 1, "2"), item("c", 1, "3"))
    bench.ingest_time += dt.timedelta(days=40)
    await merged(bench, item("a", 2, "10"), item("c", 0, "30"))
    bench.ingest_time -= dt.timedelta(days=80)
    await merged(bench, item("a", 3, "100"), item("b", 0, "200"))
    assert sorted(cost for _, cost in await seen(bench)) == ["100", "2", "3"]


async def test_pipelines_that_share_a_table_do_not_meet(bench: Bench) -> None:
    first = await merged(bench, item("a", 1, "1"))
    other = await merged(bench, item("a", 2, "2"), wanted=OTHER)
    assert await seen(bench) == sorted([(first, "1"), (other, "2")])


async def test_a_run_without_rows_changes_nothing(bench: Bench) -> None:
    first = await merged(bench, item("a", 1, "1"))
    await merged(bench)
    assert await seen(bench) == [(first, "1")]


async def test_rows_that_share_a_key_already_are_no_place_to_merge_into(bench: Bench) -> None:
    await merged(bench, item("a", 1, "1"), item("a", 1, "2"), item("b", 1, "3"), wanted=APPEND)
    before = await seen(bench)
    bench.worker.source.inputs = {"a.csv": [item("a", 2, "4"), item("b", 2, "5")]}
    run = await bench.staged(MERGE)
    with pytest.raises(
        KeyNotUnique, match="holds 2 rows of this pipeline that share their service"
    ):
        await bench.publish(run)
    assert await seen(bench) == before
    await merged(bench, item("b", 2, "5"))
    assert sorted(cost for _, cost in await seen(bench)) == ["1", "2", "5"]
