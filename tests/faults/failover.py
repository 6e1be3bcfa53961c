"""`python -m tests.faults.failover`: how long runs stand still when the orchestrator dies, and what a stalled leader can do.

Prints one line a figure and ends with 1 when a bar is missed. Times are those of the journal's own records,
the supervisor's log and the orchestrators' logs.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import AsyncClient
from libs.common import errors
from libs.local.mesh.plans import import_path
from libs.local.mesh.states import Process
from tests.faults import cluster_lease, mesh, running, sources, wire
from tests.faults.histories import History
from tests.faults.reading import Engine
from tests.faults.robbery import hand_on, leading, lease_of
from tests.faults.sources import Delivery, Pipeline
from tests.support.kube_api import kubeconfig

PIPELINE: Final = Pipeline(tenant="north", mode="replace")
ROWS: Final = 12_000
RESTART_BAR: Final = 3.0
FAILOVER_BAR: Final = 15.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Field:
    """A mesh with one pipeline, whose runs take some seconds."""

    made: running.Running
    client: AsyncClient
    engine: Engine
    folder: Path
    next_id: int = 1

    def leader(self) -> Process:
        found = leading(self.made.spec, self.made.state())
        assert found is not None
        return found

    async def start(self) -> Run:
        """Deliver anew, start a run, and return when some of its chunks are done."""
        sources.write(self.folder / "a.csv", Delivery(first=self.next_id, good=ROWS))
        self.next_id += ROWS
        run = await self.client.runs.start(PIPELINE.name)
        while run.progress.done_chunk_count < 3:
            assert run.state != RunState.RUN_STATE_SUCCEEDED, "the run was too quick"
            await asyncio.sleep(0.02)
            run = await self.client.runs.get(run.name)
        return run

    async def end(self, run: Run) -> Run:
        """Wait for a run's end while nobody may lead; fail if it is not there."""
        while True:
            with contextlib.suppress(errors.Unavailable):
                return await self.client.runs.wait(run.name)

    async def rows(self) -> tuple[int, int]:
        sql = f"SELECT COUNT(*), MIN(id) FROM {PIPELINE.target}"
        ((count, lowest),) = await self.engine.rows(sql) or [[0, 0]]
        return int(count), int(lowest)

    async def moved(self, epoch: int) -> datetime:
        """Return when the first record of a run was decided after `epoch`."""
        sql = (
            "SELECT CAST(UNIX_MICROS(MIN(event_time)) AS STRING) FROM metadata.run_events"
            f" WHERE run_id IS NOT NULL AND epoch > {epoch}"
        )
        ((micros,),) = await self.engine.rows(sql) or [[None]]
        return datetime.fromtimestamp(int(micros) / 1e6, UTC)

    def epoch(self) -> int:
        if self.made.spec.kubeconfig:
            return cluster_lease.epoch(self.made.spec.kubeconfig)
        return int(json.loads(lease_of(self.made.spec).read_text())["epoch"])

    def noted(self, event: str, process: str, after: datetime) -> datetime:
        """Return when the supervisor first noted something of a process."""
        note = next(self._notes(event, process, after))
        return datetime.fromisoformat(note["time"])

    def logged(self, after: datetime) -> dict[str, datetime]:
        """Return when orchestrators first said after a moment that they serve and that they lead."""
        found: dict[str, datetime] = {}
        for name in mesh.ORCHESTRATORS:
            log = self.made.folder / "logs" / f"{name}.log"
            for line in log.read_text().splitlines() if log.exists() else ():
                for event in ("server.started", "leadership.begun"):
                    if event in line:
                        at = datetime.fromisoformat(json.loads(line)["time"])
                        if at > after:
                            found[event] = min(found.get(event, at), at)
        return found

    def died(self, process: str, after: datetime) -> str:
        """Return how a process ended, empty while it has not."""
        return str(next(self._notes("process.died", process, after), {}).get("how", ""))

    def _notes(self, event: str, process: str, after: datetime) -> Iterator[dict[str, Any]]:
        for line in (self.made.folder / "logs" / "mesh.log").read_text().splitlines():
            note: dict[str, Any] = json.loads(line)
            at = datetime.fromisoformat(note["time"])
            if note["message"] == event and note["process"] == process and at > after:
                yield note


@contextlib.asynccontextmanager
async def api_server(folder: Path) -> AsyncGenerator[str]:
    """Run the small API server as a process; give its kubeconfig."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tests.support.kube_api"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": import_path()},
    )
    assert process.stdout is not None
    try:
        address = (await process.stdout.readline()).decode().strip()
        yield str(kubeconfig(folder / "kubeconfig", address))
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def field(
    *, standby: bool, lease_at: str = "", discovered: bool = False
) -> AsyncGenerator[Field]:
    folder = Path(tempfile.mkdtemp(prefix="faults-")) / "mesh"
    history = History(folder)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder.parent)
        wired = await stack.enter_async_context(wire.opened(history))
        made = await stack.enter_async_context(
            running.running(
                wired, folder, standby=standby, kubeconfig=lease_at, discovered=discovered
            )
        )
        assert not await made.serving(120.0)
        (key,) = (await made.tenants([PIPELINE.tenant])).values()
        client = await stack.enter_async_context(AsyncClient(made.edge, key))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        deliveries = sources.lay_out(Path(made.spec.configs), PIPELINE)
        engine = Engine(session, lambda: made.state().addresses()["bigquery_rest"])
        yield Field(made=made, client=client, engine=engine, folder=deliveries)


async def killed(at: Field, *, restarted: bool, by: signal.Signals = signal.SIGKILL) -> float:
    """End the leader in a run; return seconds until runs move: from its restart, or from the signal."""
    run = await at.start()
    leader, epoch = at.leader(), at.epoch()
    assert leader.identity is not None
    when = datetime.now(UTC)
    leader.identity.signal(by)
    done = await at.end(run)
    assert done.state == RunState.RUN_STATE_SUCCEEDED, done
    assert await at.rows() == (ROWS, at.next_id - ROWS), "a row is lost or there twice"
    since = at.noted("process.started", leader.name, when) if restarted else when
    moved = await at.moved(epoch)
    steps = {**at.logged(since), "first record": moved}
    shown = ", ".join(f"{name} {(t - since).total_seconds():.2f} s" for name, t in steps.items())
    print(f"  {shown}", flush=True)
    return (moved - since).total_seconds()


async def stalled(at: Field, seconds: float) -> str:
    """Stop a leader in a run, let a successor end it and replace its scope, and wake the old one.

    Returns how the old one ended.
    """
    run = await at.start()
    old = at.leader()
    assert old.identity is not None
    old.identity.signal(signal.SIGSTOP)
    if not at.made.spec.kubeconfig:
        _rob(at, old)
    await asyncio.sleep(seconds)
    done = await at.end(run)
    newer = await at.end(await at.start())
    assert done.state == newer.state == RunState.RUN_STATE_SUCCEEDED
    before, events = await at.rows(), len(await at.client.runs.events(run.name))
    when = datetime.now(UTC)
    old.identity.signal(signal.SIGCONT)
    while old.identity.alive():
        await asyncio.sleep(0.05)
    assert await at.rows() == before
    assert len(await at.client.runs.events(run.name)) == events
    while not (how := at.died(old.name, when)):
        await asyncio.sleep(0.05)
    return how


def _rob(at: Field, leader: Process) -> None:
    """Hand on the lock of a leader that was stopped: a Lease would run out by itself."""
    hand_on(at.made.spec)
    (other,) = set(mesh.ORCHESTRATORS) - {leader.name}
    second = at.made.state().process(other)
    assert second.identity is not None
    second.identity.signal(signal.SIGKILL)


async def measure(times: int, stall_seconds: float, given: str) -> int:
    missed = 0
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        server = given or await stack.enter_async_context(api_server(Path(folder)))
        cluster_lease.create(server)
        elected = await stack.enter_async_context(field(standby=True, lease_at=server))
        found = [await killed(elected, restarted=False) for _ in range(times)]
        missed += _say(
            "kill -9 of the leader of a Lease of 10 s, runs moving at the standby",
            found,
            FAILOVER_BAR,
        )
        told = [await killed(elected, restarted=False, by=signal.SIGTERM) for _ in range(times)]
        _say("the leader of a Lease told to end, runs moving at the standby", told, FAILOVER_BAR)
        how = await stalled(elected, stall_seconds)
        print(f"a leader of a Lease stopped for {stall_seconds:g} s published nothing and {how}")
    async with field(standby=False) as alone:
        found = [await killed(alone, restarted=True) for _ in range(times)]
        missed += _say(
            "kill -9 of the orchestrator, runs moving after its restart", found, RESTART_BAR
        )
    async with field(standby=True) as pair:
        found = [await killed(pair, restarted=False) for _ in range(times)]
        missed += _say("kill -9 of the leader, runs moving at the standby", found, FAILOVER_BAR)
        how = await stalled(pair, stall_seconds)
        print(f"a leader stopped for {stall_seconds:g} s woke, published nothing and {how}")
    return 1 if missed else 0


def _say(what: str, seconds: list[float], bar: float) -> bool:
    print(
        f"{what}: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"
        f" of {len(seconds)}, bar {bar:g} s",
        flush=True,
    )
    return max(seconds) > bar


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults.failover", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--stall", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--kubeconfig", default="", help="a real API server for the Lease")
    given = parser.parse_args()
    sys.exit(asyncio.run(measure(given.times, given.stall, given.kubeconfig)))
