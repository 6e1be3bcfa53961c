"""dlt as its guide shows it: the filesystem source and a reader by format, all defaults, into DuckDB.

`python dlt_default.py SOURCE DATABASE FOLDER`; the table is `bench.usage`, FOLDER is dlt's own.
"""

import sys
from pathlib import Path

import dlt
from dlt.sources.filesystem import readers


def main() -> None:
    source, database, folder = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=folder,
        destination=dlt.destinations.duckdb(database),
        dataset_name="bench",
    )
    files = readers(bucket_url=source.parent.as_uri(), file_glob=source.name)
    reader = {
        ".csv": files.read_csv,
        ".ndjson": files.read_jsonl,
        ".parquet": files.read_parquet,
    }[source.suffix]
    rows = reader().with_name("usage")
    pipeline.run(rows, write_disposition="append").raise_on_failed_jobs()


if __name__ == "__main__":
    main()
