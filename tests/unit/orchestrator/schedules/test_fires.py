"""When cron lines fire, through every change of the clock."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.schedules.fires import fires, jitter_of, next_fires, possible

BERLIN, YORK, HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(cron: str, zone: str, after: str, count: int) -> list[str]:
    return [f"{fire:%m-%d %H:%M}" for fire in next_fires(cron, zone, at(after), count)]


def test_a_line_fires_by_the_clock_of_its_zone() -> None:
    assert shown("0 6 * * *", "UTC", "2026-11-26T06:00", 2) == ["11-27 06:00", "11-28 06:00"]
    assert shown("0 6 * * *", BERLIN, "2026-10-24", 3) == [
        "10-24 04:00", "10-25 05:00", "10-26 05:00",
    ]  # fmt: skip
    assert shown("0 6 * * 7", "UTC", "2026-11-26", 1) == ["11-29 06:00"]


@pytest.mark.parametrize(
    ("cron", "fired"),
    [
        ("30 2 * * *", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("0,30 2 * * *", ["03-28 01:00", "03-28 01:30", "03-29 01:00", "03-30 00:00"]),
        ("*/15 2 * * *", ["03-28 01:00", "03-28 01:15", "03-28 01:30", "03-28 01:45",
                          "03-29 01:00", "03-30 00:00"]),
        ("0 2,3 * * *", ["03-28 01:00", "03-28 02:00", "03-29 01:00", "03-30 00:00"]),
        ("0 */2 * * *", ["03-28 01:00", "03-28 03:00", "03-28 05:00"]),
    ],
)  # fmt: skip
def test_what_falls_into_a_gap_fires_once_at_its_end(cron: str, fired: list[str]) -> None:
    """At 02:00 of 29 March 2026 the clocks of Berlin go to 03:00, which is 01:00 UTC."""
    assert shown(cron, BERLIN, "2026-03-28T00:30", len(fired)) == fired


def test_every_second_hour_fires_at_the_end_of_a_gap_too() -> None:
    assert shown("0 */2 * * *", BERLIN, "2026-03-28T22:59", 3) == [
        "03-28 23:00", "03-29 01:00", "03-29 02:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "fired"),
    [
        ("30 2 * * *", ["10-25 00:30", "10-26 01:30"]),
        ("0 */2 * * *", ["10-25 00:00", "10-25 03:00", "10-25 05:00"]),
        ("*/30 2 * * *", ["10-25 00:00", "10-25 00:30", "10-26 01:00"]),
    ],
)
def test_what_falls_into_an_hour_that_comes_twice_fires_in_the_first(
    cron: str, fired: list[str]
) -> None:
    """At 03:00 of 25 October 2026 the clocks of Berlin go back to 02:00."""
    assert shown(cron, BERLIN, "2026-10-24T22:30", len(fired)) == fired


def test_a_look_between_the_two_hours_does_not_fire_again() -> None:
    assert shown("30 2 * * *", BERLIN, "2026-10-25T00:59", 1) == ["10-26 01:30"]
    assert shown("30 2 * * *", BERLIN, "2026-10-25T01:10", 1) == ["10-26 01:30"]


@pytest.mark.parametrize("zone", [BERLIN, YORK, HOWE])
@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24", "2026-04-04", "2026-10-03"])
def test_a_line_for_every_hour_goes_by_time_that_passes(zone: str, day: str) -> None:
    found = next_fires("*/15 * * * *", zone, at(day), 192)
    assert {late - early for early, late in itertools.pairwise(found)} == {timedelta(minutes=15)}


LINES = ("30 2 * * *", "*/20 1-3 * * *", "0 */2 * * *", "*/15 * * * *", "0 0 1 * *", "5 4 * * 1-5")


@settings(deadline=None)
@given(
    cron=st.sampled_from(LINES),
    zone=st.sampled_from((BERLIN, YORK, HOWE, "UTC")),
    day=st.sampled_from(("2026-03-27", "2026-10-24", "2026-11-01", "2026-04-04", "2026-03-07")),
    minutes=st.integers(0, 3 * 24 * 60),
)
def test_fires_are_the_same_wherever_one_begins_to_look(
    cron: str, zone: str, day: str, minutes: int
) -> None:
    begin = at(day)
    later = begin + timedelta(minutes=minutes)
    end = begin + timedelta(days=5)
    every = [fire for fire in _until(cron, zone, begin, end) if fire > later]
    assert every == _until(cron, zone, later, end)


def _until(cron: str, zone: str, after: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    for fire in fires(cron, zone, after):
        if fire > end:
            return found
        found.append(fire)
    raise AssertionError


def test_a_day_that_no_month_has_is_found() -> None:
    assert not possible("0 0 30 2 *")
    assert not possible("0 0 31 4,6 *")
    assert possible("0 0 29 2 *")
    assert possible("0 0 30 2 1")


def test_the_jitter_of_a_name_is_always_the_same_and_spreads_names() -> None:
    name = "tenants/acme_corp/pipelines/p_bill"
    assert jitter_of(name, 600) == timedelta(seconds=72)
    assert jitter_of(name, 0) == timedelta()
    spread = {jitter_of(f"tenants/t{n}/pipelines/p", 60).seconds for n in range(1000)}
    assert spread == set(range(60))
