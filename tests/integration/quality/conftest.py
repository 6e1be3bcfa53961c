"""quality over an embedded BigQuery, and over tables in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Iterator

import pytest
import pytest_asyncio

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId
from libs.bigquery.jobs import query
from services.quality.bigquery_statistics import BigQueryStatistics
from services.quality.statistics import MemoryTableStatistics
from tests.integration.quality.serving import STAGING, Quality, quality_over
from tests.support.engine import Engine

ROWS = (
    "SELECT 1 AS n, NUMERIC '0.1' AS money, 'a' AS word",
    "SELECT 2, NUMERIC '0.2', 'b'",
    "SELECT 2, NULL, NULL",
)


@pytest.fixture(scope="module")
def bigquery(engine: Engine) -> Iterator[BigQuery]:
    """BigQuery with the staging table of RUN; `acme` and `widgets` have others."""
    with connect(Connection("local", "US", engine.rest, engine.grpc)) as bq:
        for dataset, tenant in (
            ("acme_staging", "acme"),
            ("acme_raw", "acme"),
            ("widgets_staging", "widgets"),
        ):
            ensure_dataset(bq, DatasetId("local", dataset), tenant=tenant)
        for table in (
            STAGING,
            "local.acme_staging.usage__r2",
            "local.acme_raw.usage__r1",
            "local.widgets_staging.usage__r1",
        ):
            query(bq, f"CREATE TABLE `{table}` AS {' UNION ALL '.join(ROWS)}")
        yield bq


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quality(
    tmp_path_factory: pytest.TempPathFactory, bigquery: BigQuery
) -> AsyncGenerator[Quality]:
    folder = tmp_path_factory.mktemp("quality")
    async with quality_over(folder, BigQueryStatistics(bigquery)) as running:
        yield running


@dataclasses.dataclass(frozen=True, slots=True)
class InMemory:
    """quality over tables in memory, and those tables."""

    quality: Quality
    tables: MemoryTableStatistics


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def in_memory(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[InMemory]:
    tables = MemoryTableStatistics({STAGING: [{"n": 1, "money": None, "word": "a"}]})
    async with quality_over(tmp_path_factory.mktemp("memory"), tables) as running:
        yield InMemory(running, tables)
