"""A short slice of `make fuzz`, the same every time."""

import pytest

from tests.fuzz.__main__ import one_round
from tests.fuzz.properties import PROPERTIES, Property


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.name)
def test_a_round_finds_nothing(one: Property) -> None:
    one_round(one, number=1, examples=40)
