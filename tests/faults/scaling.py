"""`python -m tests.faults.scaling`: workers are taken away in the middle of runs, and come back.

The orchestrators find them at the small API server, as in a cluster: a worker that is taken away is
`terminating` and told to end, or killed; then it is gone, and another process comes to its address.
Prints one line a figure and ends with 1 when a bar is missed or a row is lost or there twice.
"""

import argparse
import asyncio
import contextlib
import itertools
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from convergence.orchestrator.v1.run_pb2 import RunState

from libs.client import AsyncClient
from libs.local.mesh.health import SERVING, check
from tests.faults import cluster_lease, cluster_workers, mesh
from tests.faults.failover import ROWS, Field, api_server, field

FIRST_CHUNK_BAR: Final = 2.0
UIDS: Final = itertools.count(1)


def put(at: Field, worker: str, uid: str, *, terminating: bool = False) -> None:
    """Say at the API server that a worker is there, behind its link."""
    spec = at.made.spec
    cluster_workers.put(
        spec.kubeconfig, worker, spec.links[worker], uid=uid, terminating=terminating
    )


async def taken_away(at: Field, worker: str, uid: str, *, kindly: bool) -> None:
    """Take a worker away in a run; its chunks end, or are read by the others."""
    run = await at.start()
    process = at.made.state().process(worker)
    assert process.identity is not None
    if kindly:
        put(at, worker, uid, terminating=True)
    process.identity.signal(signal.SIGTERM if kindly else signal.SIGKILL)
    while process.identity.alive():
        await asyncio.sleep(0.02)
    cluster_workers.remove(at.made.spec.kubeconfig, worker)
    done = await at.end(run)
    assert done.state == RunState.RUN_STATE_SUCCEEDED, done
    assert await at.rows() == (ROWS, at.next_id - ROWS), "a row is lost or there twice"


async def first_chunk(at: Field, platform: AsyncClient, worker: str) -> tuple[str, float]:
    """Bring a worker back while chunks wait; return who it is, and seconds until it has one."""
    while (await check([at.made.state().process(worker)]))[worker] != SERVING:
        await asyncio.sleep(0.05)
    uid, link = f"{worker}-{next(UIDS)}", at.made.spec.links[worker]
    run = await at.start()
    loop = asyncio.get_running_loop()
    began = loop.time()
    put(at, worker, uid)
    while True:
        queue = await platform.runs.queue("tenants/-")
        if any(one.busy_slot_count for one in queue.workers if one.address == link):
            break
        assert loop.time() - began < 30, queue
        await asyncio.sleep(0.005)
    seconds = loop.time() - began
    await at.end(run)
    return uid, seconds


async def measure(times: int) -> int:
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        server = await stack.enter_async_context(api_server(Path(folder)))
        cluster_lease.create(server)
        at = await stack.enter_async_context(field(standby=False, lease_at=server, discovered=True))
        key = at.made.platform_key
        platform = await stack.enter_async_context(AsyncClient(at.made.edge, key))
        for worker in mesh.WORKERS:
            put(at, worker, worker)
        uids, found = dict(zip(mesh.WORKERS, mesh.WORKERS, strict=True)), []
        for turn in range(times):
            worker, kindly = mesh.WORKERS[turn % 2], turn % 4 < 2
            await taken_away(at, worker, uids[worker], kindly=kindly)
            uids[worker], seconds = await first_chunk(at, platform, worker)
            how = "told to end" if kindly else "killed"
            print(f"  {worker} {how}: rows exact; back and given a chunk after {seconds:.2f} s")
            found.append(seconds)
    print(
        f"worker ready to its first chunk: median {statistics.median(found):.2f} s, worst "
        f"{max(found):.2f} s of {times}, bar {FIRST_CHUNK_BAR:g} s"
    )
    return 1 if max(found) > FIRST_CHUNK_BAR else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults.scaling", description=__doc__)
    parser.add_argument("--times", type=int, default=8)
    sys.exit(asyncio.run(measure(parser.parse_args().times)))
