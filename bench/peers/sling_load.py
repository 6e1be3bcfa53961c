"""Sling, its command's defaults: a file into DuckDB.

`python sling_load.py SOURCE DATABASE FOLDER`; the table is `main.usage`. FOLDER becomes Sling's and
DuckDB's home: extensions are taken from there instead of being fetched.
"""

import os
import shutil
import sys
from pathlib import Path

import duckdb_extension_httpfs
import sling_linux_amd64

VERSION = "v1.5.5"


def main() -> None:
    source, database, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    program = sling_linux_amd64.SLING_BIN
    Path(program).chmod(0o755)
    packed = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / VERSION
    extensions = folder / ".duckdb" / "extensions" / VERSION / "linux_amd64"
    shutil.copytree(packed, extensions, dirs_exist_ok=True)
    environment = os.environ | {
        "HOME": str(folder),
        "SLING_HOME_DIR": str(folder),
        "SLING_DISABLE_TELEMETRY": "TRUE",
        "DUCKDB_PATH": str(Path(sys.executable).with_name("duckdb")),
        "DUCKDB_USE_INSTALLED_EXTENSIONS": "true",
        "DUCKDB": f"duckdb://{database}",
    }
    command = [program, "run", "--src-stream", source.as_uri(), "--tgt-conn", "DUCKDB"]
    command += ["--tgt-object", "main.usage", "--mode", "full-refresh"]
    if source.suffix == ".ndjson":
        command += ["--src-options", "{format: jsonlines, flatten: true}"]
    os.execve(program, command, environment)


if __name__ == "__main__":
    main()
