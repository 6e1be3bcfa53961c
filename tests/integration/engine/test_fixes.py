from __future__ import annotations

import uuid

import pytest

from tests.integration.engine.claims import CLAIMS
from tests.integration.engine.warehouse import Warehouse
from tests.support.engine import start_engine


@pytest.mark.parametrize("fix", CLAIMS)
def test_with_its_fix_a_claim_holds(warehouse: Warehouse, fix: str) -> None:
    CLAIMS[fix](warehouse)


@pytest.mark.parametrize("fix", CLAIMS)
def test_without_its_fix_a_claim_breaks(fix: str) -> None:
    with start_engine(without=[fix]) as engine, pytest.raises(BaseException):
        CLAIMS[fix](Warehouse(engine, f"d_{uuid.uuid4().hex[:8]}"))
