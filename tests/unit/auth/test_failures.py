"""How many failures an address may cause, and what is remembered of them."""

import pytest

from services.auth.failures import REMEMBERED_SECONDS, AuthenticationThrottled, Failures


def test_a_burst_passes_and_the_next_failure_is_told_when_to_come_back() -> None:
    failures = Failures(rate=1.0, burst=3)
    for _ in range(3):
        failures.admit("10.0.0.1", 100.0)
    with pytest.raises(AuthenticationThrottled) as error:
        failures.admit("10.0.0.1", 100.0)
    assert error.value.retry_after == pytest.approx(1.0)
    assert error.value.metadata == {"peer": "10.0.0.1"}
    failures.admit("10.0.0.1", 101.0)


def test_one_address_does_not_throttle_another() -> None:
    failures = Failures(rate=1.0, burst=1)
    failures.admit("a", 0.0)
    failures.admit("b", 0.0)
    with pytest.raises(AuthenticationThrottled):
        failures.admit("a", 0.5)


def test_a_key_that_was_not_found_is_remembered_for_seconds() -> None:
    failures = Failures()
    failures.note_unknown("digest", 10.0)
    assert failures.lately_unknown("digest", 10.0 + REMEMBERED_SECONDS - 0.1)
    assert not failures.lately_unknown("digest", 10.0 + REMEMBERED_SECONDS)
    assert not failures.lately_unknown("other", 10.0)


def test_memory_is_bounded_and_the_oldest_gives_way() -> None:
    failures = Failures(rate=1.0, burst=1, capacity=2)
    for number in range(3):
        failures.note_unknown(f"d{number}", 0.0)
        failures.admit(f"peer{number}", 0.0)
    assert [failures.lately_unknown(f"d{number}", 1.0) for number in range(3)] == [
        False,
        True,
        True,
    ]
    failures.admit("peer0", 0.0)
    with pytest.raises(AuthenticationThrottled):
        failures.admit("peer2", 0.0)
