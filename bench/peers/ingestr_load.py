"""ingestr, its command's defaults: a file into DuckDB.

`python ingestr_load.py SOURCE DATABASE FOLDER`; the table is `bench.usage`.
"""

import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    source, database, folder = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    kind = {".csv": "csv", ".ndjson": "jsonl", ".parquet": "parquet"}[source.suffix]
    command = [str(Path(sys.executable).with_name("ingestr")), "ingest", "--yes"]
    command += ["--source-uri", f"{'csv' if kind == 'csv' else 'file'}://{source}"]
    command += ["--source-table", "usage", "--dest-uri", f"duckdb:///{database}"]
    command += ["--dest-table", "bench.usage", "--progress", "log", "--pipelines-dir", folder]
    quiet = {"DISABLE_TELEMETRY": "true", "INGESTR_DISABLE_TELEMETRY": "true"}
    os.environ.update(quiet)
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
