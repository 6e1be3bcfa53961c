"""Proof 6: up from an earlier release, back and up again under load: nothing lost, doubled, refused or left."""

import asyncio
import pathlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import AsyncClient
from tests.cluster import campaign, disturbances, figures, kube, previous, release, volume
from tests.cluster.leaders import Leaders
from tests.cluster.proof_disturbance import late, longest
from tests.faults import check, histories
from tests.faults.campaign import a_few
from tests.faults.load import PLAIN, SHRUNKEN, Ground, Load
from tests.faults.sources import Pipeline
from tests.support.eventually import eventually

SECONDS = 80.0
"""Under load beside what the changes take."""
HELD_SECONDS = 120.0
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build/cluster/upgrade"
APART = Pipeline(tenant="east", mode="replace")
"""Of which a run is held over each change."""
CHANGES: tuple[tuple[str, Callable[[release.Release], None]], ...] = (
    ("dev", lambda mesh: mesh.upgrade(tag="dev", values=mesh.values)),
    (previous.TAG, lambda mesh: mesh.rollback()),
    ("dev", lambda mesh: mesh.upgrade(tag="dev", values=mesh.values)),
)
"""Tags, and how the release comes to them."""


class Gate:
    """Where a run that is held waits until the release has changed."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.turns: list[str] = []
        self.done = False
        self._opened = asyncio.Event()

    async def wait(self, turn: str) -> None:
        if not self.done:
            self.turns.append(turn)
            self._opened.clear()
            self.held.set()
            await self._opened.wait()

    def open(self) -> None:
        self.held.clear()
        self._opened.set()

    def leave_open(self) -> None:
        self.done = True
        self.open()


class Patient(Load):
    """Load that approves what is held after the release has changed."""

    def __init__(self, gate: Gate, *rest: Any) -> None:
        super().__init__(*rest)
        self._gate = gate

    async def run(self, stop: asyncio.Event, script: list[str]) -> None:
        await super().run(stop, [*script[:1], *(SHRUNKEN, PLAIN) * 500])

    async def _steer(
        self, turn: str, op: str, call: Callable[[], Coroutine[Any, Any, Run]]
    ) -> None:
        if op == "approve":
            await self._gate.wait(turn)
        await super()._steer(turn, op, call)


@pytest.mark.timeout(1800)
def test_nothing_is_lost_doubled_refused_or_left() -> None:
    before = kube.everything()
    release.make_namespace()
    volume.give(volume.make())
    more = {"auth": {"replicas": 2}, "quality": {"replicas": 2}}
    values = volume.values()
    values["services"].update(more)
    with release.installed(
        tag=previous.TAG,
        chart=previous.CHART,
        values=values,
        before_leading=previous.write_journal,
    ) as mesh:
        gate = Gate()
        with Leaders(mesh.namespace) as leaders:
            asyncio.run(change(mesh, leaders, gate))
    volume.remove()
    entries = list(histories.read(FOLDER))
    assert check.report(FOLDER) == 0
    assert leaders.two() == []
    assert len([e for e in entries if e["kind"] == "leads"]) > len(CHANGES), "not every image led"
    assert len(gate.turns) == len(CHANGES)
    outcomes = {e["turn"]: e["state"] for e in entries if e["kind"] == "outcome"}
    assert [outcomes[turn] for turn in gate.turns] == ["SUCCEEDED"] * len(CHANGES)
    assert late(entries) == []
    eventually(lambda: kube.everything() <= before, within=60)
    figures.note(figures.CHANGED, len(CHANGES), "")
    figures.note(figures.LEADERLESS_CHANGE, longest(leaders), "s")


async def remembered(mesh: release.Release) -> None:
    """Hold the run of the older journal to what it was."""
    async with AsyncClient(mesh.edge, mesh.key, call_seconds=campaign.CALL_SECONDS) as client:
        run = await client.runs.get(previous.RUN)
    receipt = run.receipt
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run
    assert (receipt.landed_row_count, receipt.quarantined_row_count) == (2, 1), run


async def change(mesh: release.Release, leaders: Leaders, gate: Gate) -> None:
    """Bring the release to each of `CHANGES` under load, while a run is held."""

    def load(ground: Ground, client: Any, pipeline: Pipeline, *rest: Any) -> Load:
        if pipeline == APART:
            return Patient(gate, ground, client, pipeline, *rest)
        return Load(ground, client, pipeline, *rest)

    async def disturb(plan: campaign.Plan, scene: campaign.Scene) -> None:
        pause = plan.seconds / (len(CHANGES) + 1)
        try:
            await remembered(scene.mesh)
            for tag, go in CHANGES:
                await asyncio.sleep(pause)
                async with asyncio.timeout(HELD_SECONDS):
                    await gate.held.wait()
                for service in release.SERVICES:
                    disturbances.note_all(service, scene.instances, scene.note)
                await asyncio.to_thread(go, scene.mesh)
                assert scene.mesh.images() == {f"{release.REPOSITORY}:{tag}"}
                await remembered(scene.mesh)
                gate.open()
        finally:
            gate.leave_open()
        await asyncio.sleep(pause)

    plan = campaign.Plan(
        folder=FOLDER,
        seed="upgrade",
        seconds=SECONDS,
        count=len(CHANGES),
        pipelines=(*a_few(), APART),
        load=load,
    )
    await campaign.conduct(plan, mesh, leaders, disturb)
