"""The peers: scripts below `bench/peers`, each run by the Python of an environment of its own."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from bench.data import FOLDER, Source
from bench.measuring import Measured, ProgramFailed, run
from libs.local.mesh.plans import ROOT

PEERS: Final = ROOT / "bench" / "peers"
TIMEOUT_SECONDS: Final = 900.0
QUIET: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "DISABLE_TELEMETRY": "true",
    "SLING_DISABLE_TELEMETRY": "TRUE",
}
"""Settings by which peers report nothing to anybody."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A peer: how it is shown, its environment's name and its script."""

    name: str
    environment: str
    script: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a peer did. `exact` says whether the sum of cost is that of the source, digit for digit."""

    program: str
    source: str
    rows: int
    seconds: float
    cpu_seconds: float
    work_cpu_seconds: float
    """Without its imports, where its script counts them apart."""
    peak_bytes: int
    exact: bool


POLARS: Final = Program(
    name="Polars scan → cast → sink_parquet", environment="polars", script="polars_sink.py"
)
DUCKDB: Final = Program(
    name="DuckDB CREATE TABLE AS", environment="duckdb", script="duckdb_ctas.py"
)
DLT_ARROW: Final = Program(
    name="dlt, Arrow path → DuckDB", environment="dlt", script="dlt_arrow.py"
)
DLT_DEFAULT: Final = Program(
    name="dlt, default path → DuckDB", environment="dlt", script="dlt_default.py"
)
INGESTR: Final = Program(name="ingestr → DuckDB", environment="ingestr", script="ingestr_load.py")
SLING: Final = Program(name="Sling → DuckDB", environment="sling", script="sling_load.py")


def load(program: Program, source: Source, *, timeout: float = TIMEOUT_SECONDS) -> Loaded:
    """Run `program` over `source` in a new folder and check what it wrote.

    Raises:
        ProgramFailed: It cannot be installed, failed, or wrote another number of rows.
    """
    python = environment_of(program.environment)
    folder = FOLDER / "peers" / program.script.removesuffix(".py")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        target = folder / ("usage.parquet" if program is POLARS else "usage.duckdb")
        command = [str(python), str(PEERS / program.script), str(source.path)]
        measured = run(
            [*command, str(target), str(folder / "home")],
            log=FOLDER / "peers" / f"{program.script}.log",
            environment=os.environ | QUIET,
            timeout=timeout,
        )
        return _checked(program, source, measured, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def versions() -> dict[str, str]:
    """Return what each peer's environment pins, by the environment's name."""
    return {
        file.stem: ", ".join(
            f"{name} {version}"
            for name, version in re.findall(
                r"(?m)^([a-z0-9-]+)(?:\[\w+\])?==(\S+)", file.read_text()
            )
        )
        for file in sorted(PEERS.glob("*.in"))
    }


def environment_of(name: str) -> Path:
    """Return the Python of an environment, installed if it is not; raise ProgramFailed."""
    target = f".venvs/bench-{name}/.done"
    done = subprocess.run(
        ["make", "--silent", "--no-print-directory", target],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        raise ProgramFailed(f"its environment cannot be made (make {target}): {said}")
    return (ROOT / target).with_name("bin") / "python"


def _checked(program: Program, source: Source, measured: Measured, target: Path) -> Loaded:
    rows, cost = _parquet(target) if program is POLARS else _database(target)
    if rows != source.rows:
        raise ProgramFailed(f"{program.script}: wrote {rows} rows of {source.rows}")
    said = measured.output.strip().splitlines()
    work: dict[str, Any] = json.loads(said[-1]) if program is POLARS else {}
    return Loaded(
        program=program.name,
        source=source.path.name,
        rows=rows,
        seconds=measured.seconds,
        cpu_seconds=measured.cpu_seconds,
        work_cpu_seconds=work.get("work_cpu", measured.cpu_seconds),
        peak_bytes=measured.peak_bytes,
        exact=cost == source.sums["cost"],
    )


def _parquet(target: Path) -> tuple[int, Decimal]:
    found = pl.scan_parquet(target).select(pl.len(), pl.sum("cost")).collect().row(0)
    return int(found[0]), Decimal(found[1])


def _database(target: Path) -> tuple[int, Decimal]:
    command = [str(environment_of(DUCKDB.environment)), str(PEERS / "counted.py"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProgramFailed(f"what it wrote cannot be read: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout)
    return int(found["rows"]), Decimal(found["cost"])
