"""One engine for the tests of a module, and a dataset for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.integration.engine.warehouse import Warehouse
from tests.support.engine import Engine, start_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with start_engine() as running:
        yield running


@pytest.fixture
def warehouse(engine: Engine) -> Warehouse:
    return Warehouse(engine, f"d_{uuid.uuid4().hex[:8]}")
