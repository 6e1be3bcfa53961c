"""A cluster that runs, and the mesh on it."""

from collections.abc import Iterator

import pytest

from tests.cluster import release


@pytest.fixture(scope="module")
def mesh() -> Iterator[release.Release]:
    """The chart with its local values, installed for one module's tests."""
    with release.installed() as made:
        yield made
