"""Rate limits are exact: never more than `burst + rate * time`, and the delay that is told is enough."""

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common import limits
from libs.common.limits import RateLimited, RateLimiter

KEYS = ("acme", "widgets")


@dataclasses.dataclass(slots=True)
class Clock:
    """Time that passes when a test says so; starts at an odd moment."""

    seconds: float = 12_345.5

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_passes_at_once_and_the_next_call_waits(clock: Clock) -> None:
    limiter = RateLimiter(rate=4.0, burst=3, monotonic=clock)
    assert [limiter.take("acme") for _ in range(4)] == [0.0, 0.0, 0.0, 0.25]


def test_a_refused_call_costs_nothing(clock: Clock) -> None:
    limiter = RateLimiter(rate=4.0, burst=1, monotonic=clock)
    assert [limiter.take("acme") for _ in range(9)] == [0.0, *[0.25] * 8]


def test_after_the_delay_exactly_one_call_passes(clock: Clock) -> None:
    limiter = RateLimiter(rate=4.0, burst=2, monotonic=clock)
    for _ in range(2):
        limiter.take("acme")
    clock.seconds += limiter.take("acme")
    assert [limiter.take("acme") for _ in range(2)] == [0.0, 0.25]


def test_calls_at_the_rate_pass_for_ever(clock: Clock) -> None:
    limiter = RateLimiter(rate=8.0, burst=1, monotonic=clock)
    for _ in range(1000):
        assert limiter.take("acme") == 0.0
        clock.seconds += 0.125


def test_a_pause_gives_no_more_than_the_burst_back(clock: Clock) -> None:
    limiter = RateLimiter(rate=4.0, burst=3, monotonic=clock)
    clock.seconds += 1_000_000
    assert [limiter.take("acme") for _ in range(4)] == [0.0, 0.0, 0.0, 0.25]


def test_one_tenant_does_not_use_up_anothers_calls(clock: Clock) -> None:
    limiter = RateLimiter(rate=1.0, burst=1, monotonic=clock)
    assert [limiter.take(key) for key in ("acme", "widgets", "acme")] == [0.0, 0.0, 1.0]


def test_a_tenants_own_limit_replaces_the_platforms(clock: Clock) -> None:
    limiter = RateLimiter(rate=1.0, burst=1, monotonic=clock)
    assert [limiter.take("acme", rate=2.0, burst=2) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_a_refusal_names_tenant_limit_and_delay(clock: Clock) -> None:
    limiter = RateLimiter(rate=4.0, burst=1, monotonic=clock)
    limiter.admit("acme")
    with pytest.raises(RateLimited) as error:
        limiter.admit("acme")
    assert error.value.retry_after == 0.25
    assert error.value.reason == "RATE_LIMITED"
    assert error.value.metadata == {"tenant": "acme", "limit": "4/s, 1 at once"}
    assert str(error.value) == "tenant acme may make 4/s, 1 at once; call again in 0.250 s"


def test_those_who_owe_nothing_are_forgotten_and_the_others_are_not(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LARGEST", 3)
    limiter = RateLimiter(rate=1.0, burst=1, monotonic=clock)
    for key in ("a", "b"):
        limiter.take(key)
    clock.seconds += 1.0
    limiter.take("debtor")
    limiter.take("d")
    assert sorted(limiter._due) == ["d", "debtor"]
    assert limiter.take("debtor") == 1.0


halves = st.integers(0, 40).map(lambda quarters: quarters / 4)
"""Seconds that binary floats hold exactly, so that the claim is about the rule, not about rounding."""


@given(
    rate=st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, 16.0]),
    burst=st.integers(1, 8),
    calls=st.lists(st.tuples(st.sampled_from(KEYS), halves), max_size=60),
)
def test_no_tenant_ever_passes_more_often_than_burst_and_rate_allow(
    rate: float, burst: int, calls: list[tuple[str, float]]
) -> None:
    clock = Clock()
    limiter = RateLimiter(rate=rate, burst=burst, monotonic=clock)
    passed: dict[str, list[float]] = {key: [] for key in KEYS}
    for key, pause in calls:
        clock.seconds += pause
        if wait := limiter.take(key):
            assert wait <= 1 / rate
            clock.seconds += wait
            assert limiter.take(key) == 0.0
        passed[key].append(clock.seconds)
    for moments in passed.values():
        for first, begin in enumerate(moments):
            for count, end in enumerate(moments[first:], start=1):
                assert count <= burst + Fraction(rate) * Fraction(end - begin)


@given(
    rate=st.floats(0.01, 10_000),
    burst=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 10), max_size=50),
)
def test_at_any_rate_the_delay_is_positive_and_no_longer_than_one_call(
    rate: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock(0.0)
    limiter = RateLimiter(rate=rate, burst=burst, monotonic=clock)
    for pause in pauses:
        clock.seconds += pause
        assert 0.0 <= limiter.take("acme") <= 1 / rate * 1.000001 + 1e-9
