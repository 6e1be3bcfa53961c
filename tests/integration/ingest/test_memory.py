"""A worker's memory does not grow with the size of the source."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
MIB = 1024 * 1024
LINES = 10_000


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


def worked(root: Path, path: str) -> dict[str, Any]:
    """Return what a process of its own says that worked on a file."""
    command = [sys.executable, "-m", "tests.integration.ingest.working_process", str(root), path]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=150
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_four_times_the_file_takes_no_more_memory(tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    rows = {mib: write(folder / f"{mib}.csv", mib * MIB) for mib in (16, 64)}
    small, large = worked(tmp_path, "16.csv"), worked(tmp_path, "64.csv")
    assert (small["rows"], large["rows"]) == (rows[16], rows[64])
    assert large["peak_bytes"] < small["peak_bytes"] * 1.2
    assert large["peak_bytes"] < 512 * MIB
