"""The slice for every check: install, `helm test`, and the leader taken away in the middle of a run."""

import asyncio
import time

from libs.client import AsyncClient
from libs.common import errors
from tests.cluster import figures, release
from tests.cluster.leaders import Leaders

FAILOVER_SECONDS = 15.0
TRIAL = "tenants/convergence_trial/pipelines/p_trial"


def test_a_run_goes_on_when_its_leader_is_deleted_without_grace(mesh: release.Release) -> None:
    assert "Phase:          Succeeded" in mesh.test()
    with Leaders(mesh.namespace) as leaders:
        seconds = asyncio.run(failover(mesh, leaders))
    assert leaders.two() == []
    figures.note(figures.FAILOVER, seconds, "s")
    assert seconds <= FAILOVER_SECONDS


async def failover(mesh: release.Release, leaders: Leaders) -> float:
    """Return the seconds until a call of the edge is answered by another leader."""
    async with AsyncClient(mesh.edge, mesh.key, call_seconds=30.0) as client:
        while not leaders.now:
            await asyncio.sleep(0.1)
        (before,) = leaders.now
        run = await client.runs.start(TRIAL)
        began = time.monotonic()
        force = ("--grace-period=0", "--force", "--wait=false")
        await asyncio.to_thread(mesh.kubectl, "delete", "pod", before, *force)
        while leaders.now <= {before}:
            await asyncio.sleep(0.05)
        while True:
            try:
                await client.runs.get(run.name)
                break
            except errors.Unavailable:
                await asyncio.sleep(0.1)
        seconds = time.monotonic() - began
        async for seen in client.runs.watch(run.name):
            last = seen.run
        assert last.receipt.landed_row_count == 3, last
    return seconds
