"""What holds for every test."""

import gc
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import settings

from tests.support.engine import Engine, engine_template, start_engine
from tests.support.engine_template import Template

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

LONGEST_FIRST: Final = (
    "tests/faults/",
    "tests/system/",
    "tests/integration/local/",
    "tests/integration/engine/",
    "tests/sim/",
    "tests/contracts/",
    "tests/integration/",
    "tests/unit/ingest/",
    "tests/",
)
"""Rooms in the order of how long their files take: what is long and begins late is waited for."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: [not item.nodeid.startswith(room) for room in LONGEST_FIRST])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take thousands of tests out of what every full collection of garbage walks through."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """What the engines of this process are forked from."""
    with engine_template() as made:
        yield made


@pytest.fixture(scope="module")
def engine(template: Template) -> Iterator[Engine]:
    """An embedded BigQuery with nothing in it."""
    with start_engine(template=template) as running:
        yield running
