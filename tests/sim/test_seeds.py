"""A slice of `make sim`, and that it can fail."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from libs.common.errors import Unavailable
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.runs.run import Run
from services.orchestrator.warehouse.memory_warehouse import Lost, MemoryWarehouse
from tests.sim.faults import Fault, Odds, Point
from tests.sim.hunt import first_broken
from tests.sim.neighbours import SimWarehouse
from tests.sim.network import EXCUSED
from tests.sim.seeds import simulate
from tests.unit.orchestrator.conductor.world import NOON

SLICE = range(1, 41)


@pytest.mark.parametrize("seed", SLICE)
def test_a_seed_keeps_every_promise(seed: int) -> None:
    outcome = simulate(seed)
    assert not outcome.broken, f"make sim SEED={seed}"
    assert outcome.runs >= 3
    assert outcome.faults >= 3


def test_a_seed_tells_the_same_story_each_time() -> None:
    assert simulate(7).story == simulate(7).story


SOON = ("acknowledge before the append returns", "do not seal the predecessor's stream")
"""Planted bugs that few seeds find; `make sim-mutants` looks for all of them."""


@pytest.mark.parametrize("name", SOON)
def test_a_planted_bug_is_found(name: str) -> None:
    assert first_broken(name)


@pytest.mark.parametrize("error", [Lost("away"), Unavailable("away", reason="QUALITY_UNAVAILABLE")])
def test_a_leader_that_a_neighbour_away_ends_is_a_crash(
    error: Unavailable, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = iter([error])

    async def watch(_: Conductor) -> None:
        if left := next(first, None):
            raise left
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Conductor, "watch", watch)
    assert simulate(1).broken.startswith("no-crash")


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.ECHO])
def test_a_neighbour_that_crashes_ends_the_story_whoever_hears_of_it(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        if EXCUSED.get() or fault is Fault.LOSE:
            raise AssertionError("the statement names what the target does not have")

    monkeypatch.setattr(
        Odds,
        "meets",
        lambda _, point: fault if point == Point("warehouse", "check_columns") else None,
    )
    monkeypatch.setattr(MemoryWarehouse, "check_columns", crash)
    assert simulate(1).broken.startswith("no-crash")


async def test_what_came_late_excuses_its_own_table_until_the_leader_tidies_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_: object, **__: object) -> None: ...

    for name in ("prepare", "commit_quarantine", "tidy_published", "tidy_unpublished"):
        monkeypatch.setattr(MemoryWarehouse, name, nothing)
    warehouse, run, published = (
        SimWarehouse(),
        cast("Run", SimpleNamespace(name="r")),
        cast("Any", None),
    )
    await warehouse.tidy_unpublished(run)
    EXCUSED.set(True)
    await warehouse.prepare(run, staging=True, expire_time=NOON)
    assert warehouse.late == {("r", "staging")}
    EXCUSED.set(False)
    await warehouse.tidy_published(run, published)
    assert warehouse.late == set()
    EXCUSED.set(True)
    await warehouse.commit_quarantine(run, [])
    await warehouse.tidy_unpublished(run)
    EXCUSED.set(False)
    await warehouse.tidy_published(run, published)
    assert warehouse.late == {("r", "quarantine")}
    await warehouse.tidy_unpublished(run)
    assert warehouse.late == set()
