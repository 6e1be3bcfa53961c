"""The command line as a process on a terminal, and at the end of a pipe that is closed."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from convergence.orchestrator.v1.run_pb2 import Money, Receipt, Run, RunState

from tests.integration.client.commands import KEY
from tests.support.fake_edge import FakeRuns, serving

COMMAND = (sys.executable, "-c", "from libs.client.cli import main; main()")
SUM = "13438.712904456820057123456789012345678"
STATES = (
    RunState.RUN_STATE_PENDING,
    RunState.RUN_STATE_INGESTING,
    RunState.RUN_STATE_SUCCEEDED,
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CONVERGENCE_API_KEY": KEY,
        "CONVERGENCE_PROFILES": str(tmp_path / "none.toml"),
        "TERM": "xterm",
        "NO_COLOR": "1",
    }


def _on_terminal(environment: dict[str, str], columns: int, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal of that width; return its exit status and all it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        written = bytearray()
        with contextlib.suppress(OSError):
            while some := os.read(ours, 65536):
                written += some
        status = process.wait(30)
    os.close(ours)
    return status, written.decode().replace("\r\n", "\n")


async def test_on_a_narrow_terminal_progress_is_shown_and_no_digit_or_name_is_lost(
    environment: dict[str, str],
) -> None:
    runs = FakeRuns(*STATES)
    money = Money(column="ConsumedQuantity", read=SUM, landed=SUM, quarantined="0")
    runs.final = Run(receipt=Receipt(money=[money]))
    async with serving(runs=runs) as address:
        environment["CONVERGENCE_ADDRESS"] = address
        asked = ("runs", "start", "p_focus_billing")
        status, written = await asyncio.to_thread(_on_terminal, environment, 40, *asked)
    assert status == 0
    assert "\x1b[?25l" in written, "progress hides the cursor while it draws"
    assert written.endswith(f"ConsumedQuantity  {SUM}  {SUM}            0\n")
    assert "tenants/acme_corp/pipelines/p_focus_billing/runs/r1\n" in written


async def test_a_reader_that_leaves_early_is_no_error(environment: dict[str, str]) -> None:
    runs = FakeRuns()
    name = "tenants/acme_corp/pipelines/p/runs"
    runs.listed = [Run(name=f"{name}/r{n}") for n in range(500)]

    def first_line() -> tuple[bytes, bytes]:
        with subprocess.Popen(
            [*COMMAND, "runs", "list", "--limit", "500", "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            process.stdout.close()
            return line, process.stderr.read()

    async with serving(runs=runs) as address:
        environment["CONVERGENCE_ADDRESS"] = address
        assert await asyncio.to_thread(first_line) == (b"[\n", b"")
