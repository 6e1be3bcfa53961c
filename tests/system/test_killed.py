"""SIGKILL of every kind of process in the middle of a run: it ends, exact, once."""

import asyncio
from decimal import Decimal

import pytest
from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import AsyncClient
from libs.common import errors
from tests.system.meshes import BIG_ROWS, RunningMesh, write_rows


@pytest.mark.parametrize("process", ["ingest-1", "orchestrator", "quality", "auth", "bigquery"])
async def test_a_run_goes_on_after_kill_9_and_publishes_every_row_once(
    mesh: RunningMesh, process: str
) -> None:
    total = write_rows(mesh.configs / "acme_corp" / "big" / "rows.csv", BIG_ROWS)
    async with mesh.client() as client:
        run = await client.runs.start("tenants/acme_corp/pipelines/p_big")
        await _until_some_chunks_are_done(client, run.name)
        mesh.kill(process)
        done = await _wait(client, run.name)
    assert done.state == RunState.RUN_STATE_SUCCEEDED, done.failure
    (found,) = mesh.rows(
        "SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS ids, SUM(cost) AS total "
        "FROM acme_corp_raw_big.rows"
    )
    assert found == {"n": BIG_ROWS, "ids": BIG_ROWS, "total": total}
    assert sum(Decimal(m.landed) for m in done.receipt.money if m.column == "cost") == total


async def _until_some_chunks_are_done(client: AsyncClient, name: str) -> None:
    async with asyncio.timeout(60):
        while True:
            run = await client.runs.get(name)
            assert run.state != RunState.RUN_STATE_SUCCEEDED, "the run was too quick to be killed"
            if run.progress.done_chunk_count >= 3:
                return
            await asyncio.sleep(0.02)


async def _wait(client: AsyncClient, name: str) -> Run:
    """Wait for a run while the edge may be away for seconds."""
    async with asyncio.timeout(90):
        while True:
            try:
                return await client.runs.wait(name)
            except (errors.Unavailable, errors.NotFound):
                await asyncio.sleep(0.2)
