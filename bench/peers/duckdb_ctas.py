"""DuckDB: CREATE TABLE AS from the file, in the table's types.

`python duckdb_ctas.py SOURCE DATABASE`; the table is `main.usage`.
"""

import json
import sys
from pathlib import Path

import duckdb

TYPES = {
    **dict.fromkeys(
        ("event_id", "project_id", "user_id", "api_key_id", "model", "region"), "VARCHAR"
    ),
    **dict.fromkeys(("started_at", "ended_at"), "TIMESTAMPTZ"),
    **dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "request_count"), "BIGINT"),
    **dict.fromkeys(("cost", "unit_price"), "DECIMAL(38,9)"),
    "note": "VARCHAR",
    "labels": "JSON",
}


def main() -> None:
    source, database = Path(sys.argv[1]), sys.argv[2]
    columns = json.dumps(TYPES)
    reading = {
        ".csv": f"read_csv('{source}', header=true, columns={columns})",
        ".ndjson": f"read_json('{source}', format='newline_delimited', columns={columns})",
        ".parquet": f"read_parquet('{source}')",
    }[source.suffix]
    with duckdb.connect(database) as connection:
        connection.execute(f"CREATE TABLE usage AS FROM {reading}")


if __name__ == "__main__":
    main()
