"""How many chunks fit into a worker's memory."""

from typing import Final

MIB: Final = 1024 * 1024

BASE_BYTES: Final = 180 * MIB
"""What a worker takes before its first chunk, as docs/ingest.md has it measured."""

CHUNK_BYTES: Final = 250 * MIB
"""What a chunk may take: twice what one of ordinary rows does (docs/ingest.md), for larger ones."""

LEAST_SLOTS: Final = 2
"""Of a machine of one processor: while one chunk waits for BigQuery, another is read."""


def slots_of(limit_bytes: int, processors: int) -> int:
    """Return how many chunks a worker takes at once: as many as fit, and no more than can work."""
    fit = (limit_bytes - BASE_BYTES) // CHUNK_BYTES
    return max(1, min(fit, max(LEAST_SLOTS, processors)))
