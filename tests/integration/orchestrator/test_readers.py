"""Whoever reads a table while runs publish to it sees all rows of a run, or none."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

import pytest

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, Connection, connect
from services.orchestrator.specs import PipelineSpec
from tests.contracts.warehouse_bench import Bench, bigquery_bench, items
from tests.support.engine import Engine
from tests.unit.orchestrator.conductor.world import spec

APPEND = spec(mode="append")
READ = "SELECT _run_id, COUNT(*) AS n FROM acme_corp_raw_bill.bills GROUP BY _run_id"
PER_RUN = 40


@pytest.fixture
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    with connect(Connection(engine.project, "US", engine.rest, engine.grpc)) as bq:
        for dataset in list(bq.rest.list_datasets()):
            bq.rest.delete_dataset(dataset.reference, delete_contents=True)
        yield bq


@contextlib.asynccontextmanager
async def reading(bigquery: BigQuery) -> AsyncGenerator[list[dict[str, int]]]:
    """Read the table over and over; give what each reading saw, rows by run."""
    seen: list[dict[str, int]] = []

    async def read() -> None:
        while True:
            rows = await asyncio.to_thread(jobs.query, bigquery, READ)
            seen.append({str(row["_run_id"]): int(str(row["n"])) for row in rows})

    readers = [asyncio.create_task(read()) for _ in range(2)]
    try:
        yield seen
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def publish(bench: Bench, wanted: PipelineSpec, *, direct: bool) -> None:
    if not direct:
        await bench.publish(await bench.staged(wanted))
        return
    run = await bench.ingested(await bench.planned(wanted, direct=True))
    streams = [landed.stream for landed in run.landed.values()]
    assert await bench.warehouse.commit_target(run, streams)


@pytest.mark.parametrize(
    ("wanted", "direct", "runs"),
    [(spec(), False, 1), (APPEND, False, None), (APPEND, True, None)],
    ids=["replace", "append", "direct append"],
)
async def test_a_reader_sees_all_rows_of_a_run_or_none(
    bigquery: BigQuery, wanted: PipelineSpec, direct: bool, runs: int | None
) -> None:
    bench = bigquery_bench(bigquery)
    money = [str(n) for n in range(1, PER_RUN // 2 + 1)]
    bench.worker.source.inputs = {name: items(name, *money) for name in ("a.csv", "b.csv")}
    await publish(bench, wanted, direct=direct)
    async with reading(bigquery) as seen:
        for _ in range(4):
            await publish(bench, wanted, direct=direct)
        before = len(seen)
        async with asyncio.timeout(20):
            while len(seen) < before + 4:
                await asyncio.sleep(0.01)
    assert {count for look in seen for count in look.values()} == {PER_RUN}
    assert len({tuple(sorted(look)) for look in seen}) > 1
    if runs is not None:
        assert {len(look) for look in seen} == {runs}
