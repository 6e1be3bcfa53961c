"""ExplainRun over the edge: sentences, and the records that show them."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from convergence.common.v1.failure_pb2 import FailureKind
from convergence.orchestrator.v1 import run_service_pb2 as pb

from services.orchestrator.runs import records as r
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.integration.orchestrator.serving import PIPELINE, Edge, edge_over
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import World


@pytest.fixture
def world() -> World:
    return World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])


@pytest.fixture
async def edge(world: World, tmp_path: Path) -> AsyncGenerator[Edge]:
    async with edge_over(world, tmp_path) as running:
        yield running


async def test_a_failed_run_is_explained_with_the_ids_of_its_records(
    edge: Edge, world: World
) -> None:
    failure = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="")
    for worker in world.workers:
        worker.failures = [ChunkFailed(failure, transient=False)]
    run = await edge.finish()
    asked = pb.ExplainRunRequest(name=run.name)
    found = (await edge.ask("ExplainRun", asked)).explanation
    listed = await edge.ask("ListRunEvents", pb.ListRunEventsRequest(parent=run.name))
    assert (found.run, found.state, found.data_safe) == (run.name, run.state, True)
    assert found.fault == FailureKind.FAILURE_KIND_SOURCE
    assert "SOURCE_FORBIDDEN: 403." in found.happened[-1]
    assert list(found.advice) == [run.failure.advice]
    assert list(found.commands) == [f"convergence runs retry {run.name}"]
    assert [event.event_type for event in found.events][-1] == "run.failed"
    assert all(event in listed.events for event in found.events)
    ids = {record.event_id for record in world.journals.records if record.run == run.name}
    assert {event.event_id for event in listed.events} == ids


async def test_a_run_that_is_not_there_is_not_explained(edge: Edge) -> None:
    name = f"{PIPELINE}/runs/r_gone"
    with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
        await edge.ask("ExplainRun", pb.ExplainRunRequest(name=name))
    assert refusal.metadata == {"name": name}
