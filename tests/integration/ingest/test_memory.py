"""A worker's memory does not grow with the size of the source, whatever is in it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[3]
MIB = 1024 * 1024
LINES = 10_000
MOST = 450 * MIB
"""Of a worker with one chunk."""
MOST_OF_A_RECORD = 640 * MIB
"""Where a record of 64 MiB is among the rows."""
COLUMNS = ("day DATE", "project STRING", "tokens INT64", "cost BIGNUMERIC", "note STRING")


def write(file: Path, size: int) -> int:
    """Write a CSV file of at least so many bytes; return how many rows it has."""
    lines = (
        f'2026-11-{i % 28 + 1:02d},proj_{i % 7},{i},0.{i * 7919:018d},"a note, with ""quotes"" {i}"\n'
        for i in range(LINES)
    )
    block = "".join(lines).encode()
    times = -(-size // len(block))
    with file.open("wb") as out:
        out.write(b"day,project,tokens,cost,note\n")
        for _ in range(times):
            out.write(block)
    return times * LINES


def worked(root: Path, path: str, *columns: str) -> dict[str, Any]:
    """Return what a process of its own says that worked on a file."""
    program = "tests.integration.ingest.working_process"
    command = [sys.executable, "-m", program, str(root), path, *(columns or COLUMNS)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=150
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme").mkdir()
    return tmp_path / "acme"


def test_four_times_the_file_takes_no_more_memory(tmp_path: Path, folder: Path) -> None:
    rows = {mib: write(folder / f"{mib}.csv", mib * MIB) for mib in (16, 64)}
    small, large = worked(tmp_path, "16.csv"), worked(tmp_path, "64.csv")
    assert (small["rows"], large["rows"]) == (rows[16], rows[64])
    assert large["peak_bytes"] < small["peak_bytes"] * 1.2
    assert large["peak_bytes"] < MOST


def test_a_bomb_is_unpacked_block_by_block(tmp_path: Path, folder: Path) -> None:
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=1) as out:
        out.write(b"a\n")
        for _ in range(16):
            out.write((b"x" * 1023 + b"\n") * (16 * 1024))
    said = worked(tmp_path, "bomb.csv.gz", "a STRING")
    assert (said["rows"], said["failure"]) == (16 * 16 * 1024, "")
    assert (folder / "bomb.csv.gz").stat().st_size < 2 * MIB
    assert said["peak_bytes"] < MOST


@pytest.mark.parametrize("name", ["open.csv.gz", "long.ndjson.gz"])
def test_a_record_without_an_end_in_a_bomb_is_refused(
    tmp_path: Path, folder: Path, name: str
) -> None:
    with gzip.open(folder / name, "wb", compresslevel=1) as out:
        out.write(b'a\n"' if "csv" in name else b'{"a":"')
        for _ in range(16):
            out.write(b"x" * (16 * MIB))
    said = worked(tmp_path, name, "a STRING")
    assert (said["rows"], said["failure"]) == (0, "SOURCE_MALFORMED")
    assert said["peak_bytes"] < MOST_OF_A_RECORD


@pytest.mark.parametrize("size", [9 * MIB, 60 * MIB])
def test_a_cell_that_no_append_takes_is_quarantined_alone(
    tmp_path: Path, folder: Path, size: int
) -> None:
    (folder / "cell.csv").write_bytes(b"a,b\n1,x\n2," + b"y" * size + b"\n3,z\n")
    said = worked(tmp_path, "cell.csv", "a INT64", "b STRING")
    assert (said["rows"], said["quarantined"], said["failure"]) == (2, 1, "")
    assert said["peak_bytes"] < MOST_OF_A_RECORD


def test_a_cell_of_parquet_that_no_append_takes_is_quarantined_alone(
    tmp_path: Path, folder: Path
) -> None:
    pq.write_table(pa.table({"a": ["x", "y" * (9 * MIB), "z"]}), folder / "cell.parquet")
    said = worked(tmp_path, "cell.parquet", "a STRING")
    assert (said["rows"], said["quarantined"], said["failure"]) == (2, 1, "")
    assert said["peak_bytes"] < MOST


def test_one_row_group_of_any_size_is_read_page_by_page(tmp_path: Path, folder: Path) -> None:
    rows = 5_000_000
    numbers = np.random.default_rng(1).integers(0, 10**18, (4, rows))
    table = pa.table({name: pa.array(numbers[i]) for i, name in enumerate("abcd")})
    pq.write_table(table, folder / "one.parquet", row_group_size=rows, use_dictionary=False)
    assert (folder / "one.parquet").stat().st_size > 150 * MIB
    said = worked(tmp_path, "one.parquet", *(f"{name} INT64" for name in "abcd"))
    assert (said["rows"], said["chunks"], said["failure"]) == (rows, 1, "")
    assert said["peak_bytes"] < MOST


def test_a_page_that_is_larger_than_what_is_held_is_refused(tmp_path: Path, folder: Path) -> None:
    table = pa.table({"a": pa.repeat("x" * 100, 700_000)})
    options = {"data_page_size": 1 << 30, "write_batch_size": 1 << 30, "max_rows_per_page": 1 << 30}
    pq.write_table(table, folder / "page.parquet", use_dictionary=False, **options)
    said = worked(tmp_path, "page.parquet", "a STRING")
    assert (said["rows"], said["failure"]) == (0, "MEMORY_EXCEEDED")
    assert said["peak_bytes"] < MOST
