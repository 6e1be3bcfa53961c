"""Each fix of the engine is there, and is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine.claims import CLAIMS, Claim
from tests.integration.engine.warehouse import Warehouse, opened
from tests.support.engine import EngineNotStarted, start_engine

claims = pytest.mark.parametrize(
    "claim", [pytest.param(claim, id=claim.check.__name__) for claim in CLAIMS]
)


@claims
def test_with_its_fix_a_claim_holds(warehouse: Warehouse, claim: Claim) -> None:
    claim.check(warehouse)


@claims
def test_without_its_fix_a_claim_breaks(tmp_path: Path, claim: Claim) -> None:
    with (
        pytest.raises(claim.breaks_with),
        start_engine(without=[claim.fix], pauses=tmp_path) as engine,
        opened(engine) as warehouse,
    ):
        claim.check(warehouse)


def test_every_fix_has_a_claim() -> None:
    with pytest.raises(EngineNotStarted) as refused:
        start_engine(without=["no_such_fix"])
    _, _, known = str(refused.value).partition("known: ")
    assert set(known.split(", ")) == {claim.fix for claim in CLAIMS}
