"""What is kept out of the looks of the collector, and for how long."""

import gc
import subprocess
import sys

import pytest

from libs.common.garbage import made_to_stay

FAILED = "it failed"

PROGRAM = """
import gc
from libs.common.garbage import made_to_stay
looks = []
gc.callbacks.append(lambda phase, _: looks.append(phase))
with made_to_stay():
    kept = [{n: n} for n in range(100_000)]
print(len(looks), len(gc.get_objects()) < 10_000, gc.isenabled())
"""
"""A process of its own: what it keeps is never looked at again."""


def test_what_is_made_to_stay_is_not_looked_at_then_or_later() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["0", "True", "True"]


def test_what_failed_is_collected_as_ever() -> None:
    """What others had frozen may go meanwhile: so it is counted that nothing comes to it."""
    frozen = gc.get_freeze_count()
    with pytest.raises(ValueError, match=FAILED), made_to_stay():
        raise ValueError(FAILED)
    assert gc.get_freeze_count() <= frozen
    assert gc.isenabled()
