"""When PENDING streams of the embedded engine end."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from libs.local.engine import lifetimes
from libs.local.engine.lifetimes import OPEN_SECONDS, SEALED_SECONDS, Lifetimes


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lifetimes, "now", clock)
    return clock


@pytest.fixture
def switching() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_stream_ends_once_a_day_after_it_was_opened(clock: Clock) -> None:
    lives = Lifetimes()
    lives.opened("a")
    clock.now = OPEN_SECONDS - 1
    assert lives.overdue() == []
    clock.now = OPEN_SECONDS
    assert lives.overdue() == ["a"]
    assert lives.overdue() == []


def test_a_seal_ends_a_stream_sooner_and_never_later(clock: Clock) -> None:
    lives = Lifetimes()
    for name in ("soon", "late", "open"):
        lives.opened(name)
    lives.sealed("soon")
    lives.sealed("unknown")
    clock.now = 60.0
    lives.sealed("soon")
    clock.now = SEALED_SECONDS
    assert lives.overdue() == ["soon"]
    clock.now = OPEN_SECONDS - 1
    lives.sealed("late")
    clock.now = OPEN_SECONDS
    assert sorted(lives.overdue()) == ["late", "open"]
    clock.now = 3 * OPEN_SECONDS
    assert lives.overdue() == []


@pytest.mark.usefixtures("switching")
def test_streams_are_opened_and_sealed_while_others_look(clock: Clock) -> None:
    lives, found = Lifetimes(), list[str]()

    def work(part: int) -> None:
        for number in range(1500):
            lives.opened(f"{part}-{number}")
            lives.sealed(f"{part}-{number}")
            found.extend(lives.overdue())

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, part) for part in range(8)]:
            done.result()
    assert found == []
    clock.now = SEALED_SECONDS
    assert len(set(lives.overdue())) == 8 * 1500
