"""A slice of `make sim`, and that it can fail."""

import pytest

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
