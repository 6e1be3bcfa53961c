"""A slice of `make sim`, and that it can fail."""

import asyncio

import pytest

from libs.common.errors import Unavailable
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.warehouse.memory_warehouse import Lost
from tests.sim.mutants import MUTANTS
from tests.sim.seeds import simulate

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
    with MUTANTS[name].plant():
        assert any(simulate(seed).broken for seed in range(1, 21))


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
