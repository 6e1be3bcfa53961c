"""What is kept out of the looks of the collector, for how long, and how often it looks then."""

import gc
import subprocess
import sys

import pytest

from libs.common.garbage import made_to_stay

FAILED = "it failed"

PROGRAM = """
import contextlib, gc
from libs.common.garbage import made_to_stay
whole = []
gc.callbacks.append(lambda phase, look: whole.append(look["generation"] == 2))
with {around}:
    kept = [{{n: n}} for n in range(100_000)]
meanwhile, before = len(whole), len(gc.get_objects())
whole.clear()
more = [[n] for n in range(500_000)]
print(meanwhile, before < 10_000, gc.isenabled(), sum(whole))
"""
"""A process of its own: what it keeps is never looked at again."""


def told(around: str) -> list[str]:
    program = PROGRAM.format(around=around)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_what_is_made_to_stay_is_not_looked_at_then_or_later() -> None:
    assert told("made_to_stay()")[:3] == ["0", "True", "True"]


def test_what_comes_to_it_is_not_looked_at_again_and_again() -> None:
    assert int(told("made_to_stay()")[3]) == 0
    assert int(told("contextlib.nullcontext()")[3]) > 0


def test_what_failed_is_collected_as_ever() -> None:
    """What others had frozen may go meanwhile: so it is counted that nothing comes to it."""
    frozen, often = gc.get_freeze_count(), gc.get_threshold()
    with pytest.raises(ValueError, match=FAILED), made_to_stay():
        raise ValueError(FAILED)
    assert gc.get_freeze_count() <= frozen
    assert gc.get_threshold() == often
    assert gc.isenabled()
