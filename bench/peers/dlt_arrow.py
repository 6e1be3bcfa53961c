"""dlt's fast path: Arrow batches in the table's types, Parquet files, COPY into DuckDB.

`python dlt_arrow.py SOURCE DATABASE FOLDER`; the table is `bench.usage`, FOLDER is dlt's own.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

STRINGS = ("event_id", "project_id", "user_id", "api_key_id", "model", "region", "note")
TYPES = {
    **dict.fromkeys(STRINGS, pa.string()),
    **dict.fromkeys(("started_at", "ended_at"), pa.timestamp("us", tz="UTC")),
    **dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_tokens", "request_count"), pa.int64()
    ),
    **dict.fromkeys(("cost", "unit_price"), pa.decimal128(38, 9)),
}
LABELS = pa.struct(
    {"team": pa.string(), "env": pa.string(), "tier": pa.int64(), "ids": pa.list_(pa.int64())}
)


def main() -> None:
    source, database, folder = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=folder,
        destination=dlt.destinations.duckdb(database),
        dataset_name="bench",
    )
    rows = dlt.resource(batches(source), name="usage", write_disposition="append")
    pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()


def batches(source: Path) -> Iterator[pa.RecordBatch]:
    if source.suffix == ".csv":
        yield from pyarrow.csv.open_csv(
            source,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=TYPES | {"labels": pa.string()},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
            read_options=pyarrow.csv.ReadOptions(block_size=8 << 20),
        )
    elif source.suffix == ".ndjson":
        # Arrow's JSON reader makes decimals of texts only, not of numbers: doubles here.
        types = TYPES | dict.fromkeys(("cost", "unit_price"), pa.float64()) | {"labels": LABELS}
        yield from pyarrow.json.open_json(
            source,
            read_options=pyarrow.json.ReadOptions(block_size=8 << 20),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=pa.schema(types.items())),
        )
    else:
        yield from pyarrow.parquet.ParquetFile(source).iter_batches(batch_size=100_000)


if __name__ == "__main__":
    main()
