from collections.abc import Iterator

import pyarrow as pa
import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.failures import StreamsGone, WarehouseUnavailable
from libs.bigquery.ids import DatasetId
from libs.bigquery.jobs import query, run_once, settle
from libs.bigquery.streams import CommittedStream, create_committed
from libs.bigquery.tables import Column, arrow_schema, ensure_table
from tests.support.engine import Engine, stored_engine
from tests.support.engine_template import Template
from tests.support.eventually import eventually

COLUMNS = [Column("n", "INT64")]
SCHEMA = arrow_schema(COLUMNS)


@pytest.fixture
def engine_of_its_own(template: Template) -> Iterator[Engine]:
    with stored_engine(template=template) as running:
        yield running


@pytest.fixture
def bq(engine_of_its_own: Engine) -> Iterator[BigQuery]:
    at = Connection("local", "US", engine_of_its_own.rest, engine_of_its_own.grpc)
    with connect(at) as opened:
        yield opened


def gone(stream: CommittedStream) -> bool:
    """Whether the stream is known to have ended; False while BigQuery cannot be reached yet."""
    try:
        stream.append_at(1, pa.table({"n": [1]}, schema=SCHEMA))
    except WarehouseUnavailable:
        return False
    except StreamsGone:
        return True
    pytest.fail("appended to a stream that ended with its server")


def test_after_a_crash_the_same_clients_go_on_with_what_was_acknowledged(
    engine_of_its_own: Engine, bq: BigQuery
) -> None:
    table = DatasetId("local", "acme_raw").table("t")
    ensure_dataset(bq, table.parent, tenant="acme")
    ensure_table(bq, table, COLUMNS)
    insert = f"INSERT INTO {table.sql} (n) VALUES (100)"
    run_once(bq, insert, job_id="once")
    run_once(bq, "SELECT 1 AS n", job_id="select")
    with CommittedStream(bq, create_committed(bq, table), SCHEMA, timeout=1) as stream:
        stream.append_at(0, pa.table({"n": [0]}, schema=SCHEMA))
        engine_of_its_own.kill()
        with pytest.raises(WarehouseUnavailable):
            stream.append_at(1, pa.table({"n": [1]}, schema=SCHEMA))
        with pytest.raises(WarehouseUnavailable):
            query(bq, "SELECT 1 AS n", timeout=0.5)
        engine_of_its_own.restart()
        eventually(lambda: gone(stream), within=10)
    assert run_once(bq, insert, job_id="once").affected_rows == 1
    assert run_once(bq, "SELECT 1 AS n", job_id="select").rows == [{"n": 1}]
    settled = settle(bq, "once")
    assert settled is not None
    assert settled.succeeded
    rows = query(bq, f"SELECT n FROM {table.sql} ORDER BY n")
    assert [row["n"] for row in rows] == [0, 100]
