"""The stories of the model over the embedded BigQuery: the same ones every time, and with STORIES more."""

import asyncio
import itertools
import logging
import os
from collections.abc import Iterator
from decimal import Decimal

import pytest
import structlog
from hypothesis import HealthCheck, given, settings

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.failures import TableNotFound
from services.orchestrator.warehouse.bigquery_warehouse import BigQueryWarehouse
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from tests.integration.orchestrator.bigquery_world import StreamWorker
from tests.support.engine import Engine
from tests.unit.orchestrator.conductor.cutting import CutJournals
from tests.unit.orchestrator.conductor.world import World
from tests.unit.orchestrator.model.story import LookingWorker, Story, Telling, stories

NUMBERS = itertools.count(1)
"""Of stories: each has a table and run ids of its own."""


class LookingStreamWorker(LookingWorker, StreamWorker):
    """Finds what there is, and writes it to real streams."""


@pytest.fixture(scope="module")
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    before = structlog.get_config()
    critical = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=critical, cache_logger_on_first_use=False)
    with connect(Connection(engine.project, "US", engine.rest, engine.grpc)) as bq:
        yield bq
    structlog.configure(**before)


async def told(bigquery: BigQuery, story: Story) -> None:
    number = next(NUMBERS)
    world = World(journals=CutJournals(), ids=itertools.count(number * 1_000_000))
    world.warehouse = BigQueryWarehouse(bigquery)  # type: ignore[assignment]
    world.workers = [
        LookingStreamWorker(f"w{i}", world.source, MemoryWarehouse(), bigquery=bigquery)
        for i in (1, 2)
    ]

    async def seen() -> list[tuple[object, ...]]:
        statement = (
            "SELECT _pipeline_id, _run_id, _source, _row_number, _snapshot, CAST(cost AS STRING)"
            f" FROM acme_corp_raw_bill.bills{number}"
        )
        try:
            rows = await asyncio.to_thread(jobs.query, bigquery, statement)
        except TableNotFound:
            return []
        return [(*list(row.values())[:5], Decimal(str(list(row.values())[5]))) for row in rows]

    telling = Telling(world, story.mode, seen, table=f"bills{number}", seconds=60.0, pause=0.01)
    await telling.tell(story)


@settings(
    max_examples=int(os.environ.get("STORIES", "250")) // 50, deadline=None, print_blob=True,
    derandomize="STORIES" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(story=stories(broken_warehouse=False))
def test_every_story_ends_as_the_model_says(bigquery: BigQuery, story: Story) -> None:
    asyncio.run(told(bigquery, story))
