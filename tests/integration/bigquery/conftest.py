import uuid
from collections.abc import Iterator

import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.datasets import drop_dataset, ensure_dataset
from libs.bigquery.ids import DatasetId
from tests.support.engine import Engine


@pytest.fixture(scope="module")
def connection(engine: Engine) -> Connection:
    return Connection(engine.project, "US", engine.rest, engine.grpc)


@pytest.fixture
def bq(connection: Connection) -> Iterator[BigQuery]:
    with connect(connection) as opened:
        yield opened


@pytest.fixture
def dataset(bq: BigQuery) -> Iterator[DatasetId]:
    made = DatasetId(bq.connection.project, f"acme_{uuid.uuid4().hex}")
    ensure_dataset(bq, made, tenant="acme")
    yield made
    drop_dataset(bq, made, tenant="acme")
