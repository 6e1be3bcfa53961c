"""The metadata tables, as `convergence admin init` leaves them."""

import contextlib
from collections.abc import Iterator

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.columns import Column
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId
from libs.bigquery.tables import ensure_table
from libs.metadata.tables import DATASET, TABLES
from tests.support.engine import Engine


def make_metadata(bigquery: BigQuery) -> None:
    """Make those that are not there."""
    metadata = DatasetId(bigquery.connection.project, DATASET)
    ensure_dataset(bigquery, metadata)
    for table in TABLES:
        columns = [Column(c.name, c.type, c.mode) for c in table.columns]
        ensure_table(bigquery, metadata.table(table.name), columns)


@contextlib.contextmanager
def emptied(engine: Engine) -> Iterator[BigQuery]:
    """A connection to an engine whose metadata tables are empty."""
    with connect(Connection(engine.project, "US", engine.rest, engine.grpc)) as bigquery:
        bigquery.rest.delete_dataset(
            f"{engine.project}.{DATASET}", delete_contents=True, not_found_ok=True
        )
        make_metadata(bigquery)
        yield bigquery
