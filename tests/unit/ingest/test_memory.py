"""How many chunks a worker takes, by what it may have."""

import pytest

from services.ingest.memory import BASE_BYTES, CHUNK_BYTES, MIB, slots_of


@pytest.mark.parametrize(
    ("limit", "processors", "slots"),
    [
        (100 * MIB, 8, 1),
        (BASE_BYTES + CHUNK_BYTES, 8, 1),
        (BASE_BYTES + 3 * CHUNK_BYTES, 8, 3),
        (64 * 1024 * MIB, 8, 8),
        (64 * 1024 * MIB, 1, 2),
    ],
)
def test_slots_are_what_fits_and_what_can_work(limit: int, processors: int, slots: int) -> None:
    assert slots_of(limit, processors) == slots
