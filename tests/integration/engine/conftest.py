"""One engine for the tests of a module, and a dataset for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine.warehouse import Warehouse, opened
from tests.support.engine import Engine, start_engine
from tests.support.engine_template import Template


@pytest.fixture(scope="module")
def engine(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    pauses: Path = tmp_path_factory.mktemp("pauses")
    with start_engine(pauses=pauses, template=template) as running:
        yield running


@pytest.fixture
def warehouse(engine: Engine) -> Iterator[Warehouse]:
    with opened(engine) as made:
        yield made
