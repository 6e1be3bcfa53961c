"""A pytest plugin that plants the bug that PLANTED names: `pytest -p tests.sim.planted`."""

import os
from collections.abc import Generator

import pytest

from tests.sim.mutants import MUTANTS


@pytest.fixture(autouse=True)
def _planted() -> Generator[None]:
    with MUTANTS[os.environ["PLANTED"]].plant():
        yield
