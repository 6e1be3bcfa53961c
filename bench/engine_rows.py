"""Rows as the product appends them: 16 columns of usage and 9 of lineage, made without much work.

`python -m bench.engine_rows REST GRPC TABLE RUN FIRST_CHUNK CHUNKS ROWS` appends chunks of ROWS rows,
each on a PENDING stream of its own, and prints the name of each stream once it is sealed.
"""

import argparse
import datetime as dt
import decimal
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from libs.bigquery.client import BigQuery, Connection
from libs.bigquery.columns import Column, arrow_schema
from libs.bigquery.ids import TableId
from libs.bigquery.streams import Appender, create_pending, finalize
from libs.common.lineage import ATTEMPT, LINEAGE

DAYS: Final = 4
MADE: Final = 50_000
"""Rows that differ in every column; further ones repeat them under other ids and numbers."""
PIECE: Final = 12_500
"""Rows of one request, about 4 MiB."""
DECLARED: Final = (
    *(Column(name, "STRING") for name in ("record_id", "account", "service", "model", "region")),
    *(Column(name, "STRING") for name in ("sku", "unit", "note", "currency")),
    *(Column(name, "TIMESTAMP") for name in ("start_time", "end_time")),
    *(Column(name, "INT64") for name in ("requests", "tokens")),
    Column("cost", "NUMERIC"),
    Column("list_cost", "BIGNUMERIC"),
    Column("attributes", "JSON"),
)
TARGET: Final = (*DECLARED, *(Column(c.name, c.type, c.mode) for c in LINEAGE))
STAGING: Final = (*TARGET, Column(ATTEMPT.name, ATTEMPT.type, ATTEMPT.mode))
NOON: Final = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def digest(*parts: object) -> str:
    """Return 64 hexadecimal digits, as ids of runs and chunks have."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def source(chunk: int) -> str:
    """Return the object that a chunk comes from; a day has as many chunks as another."""
    return f"usage/2026-11-{chunk % DAYS + 1:02}.csv"


def rows(run: str, chunk: int, count: int, *, staged: bool) -> Iterator[pa.RecordBatch]:
    """Yield the `count` rows of a chunk, PIECE at a time."""
    schema = arrow_schema(STAGING if staged else TARGET)
    made = _made()
    for first in range(0, count, PIECE):
        piece = made.slice(first % MADE, min(PIECE, count - first))
        numbers = pa.array(range(first, first + piece.num_rows), pa.int64())
        ids = pc.binary_join_element_wise(
            f"{digest(run, chunk)[:24]}-", numbers.cast(pa.string()), ""
        )
        lineage = {
            "record_id": ids,
            "_tenant_id": "acme_corp",
            "_pipeline_id": "p_usage",
            "_run_id": digest(run),
            "_chunk_id": digest(run, chunk),
            "_row_number": numbers,
            "_source": source(chunk),
            "_snapshot": 17,
            "_ingested_at": NOON,
            "ingestion_date": NOON.date(),
            "_attempt": 1,
        }
        columns = [
            _filled(lineage[field.name], field.type, piece.num_rows)
            if field.name in lineage
            else piece.column(field.name)
            for field in schema
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _filled(value: object, kind: pa.DataType, count: int) -> pa.Array:
    return value if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value, kind), count)


def _made() -> pa.RecordBatch:
    """Return MADE rows of the declared columns but the id."""
    chance = random.Random(7)
    texts = {
        "account": [f"account-{chance.randrange(2000):05}" for _ in range(MADE)],
        "service": [chance.choice(("chat", "embeddings", "images", "audio")) for _ in range(MADE)],
        "model": [f"model-{chance.randrange(40)}-2026-{chance.randrange(12)}" for _ in range(MADE)],
        "region": [chance.choice(("eu-west1", "us-east1", "asia-south1")) for _ in range(MADE)],
        "sku": [f"SKU-{chance.randrange(10**6):06X}" for _ in range(MADE)],
        "unit": ["token"] * MADE,
        "note": [f'batch {n},\n"{chance.random()}" of the day' for n in range(MADE)],
        "currency": ["USD"] * MADE,
        "attributes": [f'{{"team": "t{n % 97}", "tier": {n % 5}}}' for n in range(MADE)],
    }
    day = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    times = [day + dt.timedelta(seconds=chance.random() * 86400 * DAYS) for _ in range(MADE)]
    costs = [decimal.Decimal(chance.randrange(10**12)).scaleb(-9) for _ in range(MADE)]
    given = {
        **texts,
        "start_time": times,
        "end_time": [time + dt.timedelta(minutes=1) for time in times],
        "requests": [chance.randrange(1000) for _ in range(MADE)],
        "tokens": [chance.randrange(10**6) for _ in range(MADE)],
        "cost": costs,
        "list_cost": costs,
    }
    schema = arrow_schema(DECLARED[1:])
    return pa.RecordBatch.from_arrays(
        [pa.array(given[field.name], field.type) for field in schema], schema=schema
    )


def store(path: Path, count: int) -> None:
    """Write `count` rows of the target to a Parquet file, for the floor."""
    with pq.ParquetWriter(path, arrow_schema(TARGET), compression="zstd") as out:
        for batch in rows("floor", 0, count, staged=False):
            out.write_batch(batch)


def main() -> None:
    """Append the chunks that the command line asks for."""
    parser = argparse.ArgumentParser()
    for name in ("rest", "grpc", "table", "run"):
        parser.add_argument(name)
    for name in ("first_chunk", "chunks", "rows"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    table = TableId.parse(given.table)
    staged = table.table.startswith("staging")
    bq = BigQuery(Connection(table.project, "EU", given.rest, given.grpc))
    schema = arrow_schema(STAGING if staged else TARGET)
    for chunk in range(given.first_chunk, given.first_chunk + given.chunks):
        stream = create_pending(bq, table)
        with Appender(bq, stream, schema) as appender:
            for batch in rows(given.run, chunk, given.rows, staged=staged):
                appender.append(batch)
            appender.close()
        finalize(bq, stream)
        print(stream, flush=True)
    bq.close()


if __name__ == "__main__":
    main()
