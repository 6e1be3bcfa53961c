"""The edge over the embedded BigQuery: before init, over a kill, while it is away, and its rows."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from convergence.orchestrator.v1 import run_service_pb2 as pb

from libs.bigquery.client import BigQuery, Connection, connect
from services.orchestrator.journal.bigquery_journal import BigQueryJournal
from services.orchestrator.warehouse.bigquery_warehouse import BigQueryWarehouse
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import Item
from tests.integration.auth.serving import Served
from tests.integration.orchestrator.bigquery_world import StreamWorker
from tests.integration.orchestrator.serving import (
    Edge,
    active,
    authenticating,
    orchestrating,
    state_of,
)
from tests.support.engine import Engine, stored_engine
from tests.support.engine_template import Template
from tests.support.metadata_tables import make_metadata
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import World

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("0.000000000000000001",))]
LOST = Item(scope="a.csv", money=("-12345678901234567890.123456789012345678",), bad=True)


@pytest.fixture
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    """A connection to an engine without datasets."""
    with connect(Connection("local", "US", engine.rest, engine.grpc)) as bq:
        for dataset in list(bq.rest.list_datasets()):
            bq.rest.delete_dataset(dataset.reference, delete_contents=True)
        yield bq


@pytest.fixture
def mortal(template: Template) -> Iterator[Engine]:
    """An engine that may be killed and started again on its tables."""
    with stored_engine(template=template) as running:
        yield running
        running.stop()


@pytest.fixture
async def auth(tmp_path: Path) -> AsyncGenerator[Served]:
    async with authenticating(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def over(
    bigquery: BigQuery, world: World, auth: Served, folder: Path
) -> AsyncGenerator[Edge]:
    """Run an orchestrator whose journal, warehouse and streams are BigQuery's.

    Run ids are new in each test, as the engine keeps the ids of jobs when datasets are deleted.
    """
    worker = StreamWorker("w1", world.source, world.warehouse, bigquery=bigquery)
    journal = BigQueryJournal(bigquery, streams_end_with_server=True)
    async with orchestrating(
        world,
        auth,
        folder,
        journal=journal,
        warehouse=BigQueryWarehouse(bigquery, answer_seconds=1.0),
        dispatcher=Dispatcher([worker], monotonic=lambda: 0.0, sleep=asyncio.sleep),
        patience_seconds=2.0,
        new_run_id=lambda: f"r{uuid.uuid4().hex}",
    ) as edge:
        yield edge
    await journal.close()


async def test_an_orchestrator_started_before_init_answers_once_the_tables_are_there(
    bigquery: BigQuery, auth: Served, tmp_path: Path
) -> None:
    async with over(bigquery, World.of(a_csv=ONE), auth, tmp_path) as edge:
        async with asyncio.timeout(10):
            while not await not_initialized(edge):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(make_metadata, bigquery)
        await active(edge)
        assert state_of(await edge.finish()) == "SUCCEEDED"


async def not_initialized(edge: Edge) -> bool:
    try:
        with refused("FAILED_PRECONDITION", "NOT_INITIALIZED") as refusal:
            await edge.create()
    except AssertionError:
        return False
    assert refusal.metadata == {"command": "convergence admin init"}
    return True


async def test_what_was_answered_is_there_after_a_kill_and_a_repeat_gives_the_same_run(
    bigquery: BigQuery, auth: Served, tmp_path: Path
) -> None:
    await asyncio.to_thread(make_metadata, bigquery)
    async with over(bigquery, World.of(a_csv=ONE), auth, tmp_path) as edge:
        await active(edge)
        first = await edge.create(request=7)
    async with over(bigquery, World.of(a_csv=ONE), auth, tmp_path) as edge:
        await active(edge)
        done = await edge.until(first.name, "SUCCEEDED")
        assert (await edge.create(request=7)).name == first.name
        with refused("ALREADY_EXISTS", "REQUEST_ID_REUSED") as refusal:
            await edge.create(request=7, reload=True)
        assert refusal.metadata["differs"] == "reload"
        events = await edge.ask("ListRunEvents", pb.ListRunEventsRequest(parent=first.name))
    assert {event.epoch for event in events.events} >= {1}
    assert done.receipt.landed_row_count == 2
    (money,) = done.receipt.money
    assert money.landed == "1.500000000000000001"


async def test_quarantined_rows_are_shown_with_the_money_as_the_source_wrote_it(
    bigquery: BigQuery, auth: Served, tmp_path: Path
) -> None:
    await asyncio.to_thread(make_metadata, bigquery)
    async with over(bigquery, World.of(a_csv=[*ONE, LOST]), auth, tmp_path) as edge:
        await active(edge)
        run = await edge.finish()
        assert state_of(run) == "HELD"
        asked = pb.ListQuarantinedRowsRequest(parent=run.name)
        (row,) = (await edge.ask("ListQuarantinedRows", asked)).rows
        assert (row.source, row.row_number) == ("a.csv", 2)
        assert list(row.reasons) == ["CAST service: found x"]
        (money,) = row.money
        assert (money.column, money.text, money.amount) == (
            "cost", "-12345678901234567890.123456789012345678",
            "-12345678901234567890.123456789012345678",
        )  # fmt: skip
        await edge.ask("DiscardRun", pb.DiscardRunRequest(name=run.name))
        await edge.until(run.name, "CANCELLED")
        assert not (await edge.ask("ListQuarantinedRows", asked)).rows


async def test_while_bigquery_is_away_calls_say_so_and_what_was_not_promised_may_be_asked_again(
    mortal: Engine, auth: Served, tmp_path: Path
) -> None:
    with connect(Connection("local", "US", mortal.rest, mortal.grpc)) as bigquery:
        await asyncio.to_thread(make_metadata, bigquery)
        await story_of_an_outage(mortal, bigquery, auth, tmp_path)


async def story_of_an_outage(
    engine: Engine, bigquery: BigQuery, auth: Served, tmp_path: Path
) -> None:
    world = World.of(a_csv=ONE)
    async with over(bigquery, world, auth, tmp_path) as edge:
        await active(edge)
        before = await edge.finish(request=1)
        await asyncio.to_thread(engine.kill)
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
            await edge.create(request=7)
        assert refusal.retry_after > 0
        asked = pb.ListQuarantinedRowsRequest(parent=before.name)
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
            await edge.ask("ListQuarantinedRows", asked)
        assert set(refusal.metadata) == {"endpoint"}
        assert state_of(await edge.get(before.name)) == "SUCCEEDED"
    await asyncio.to_thread(engine.restart)
    async with over(bigquery, world, auth, tmp_path) as edge:
        await active(edge)
        run = await edge.create(request=7)
        await edge.until(run.name, "SUCCEEDED")
        answer = await edge.ask("ListRuns", pb.ListRunsRequest(parent="tenants/acme_corp"))
        assert [one.name for one in answer.runs] == [run.name, before.name]
