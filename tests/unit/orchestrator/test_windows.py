"""From a moment to the days of a run: in the pipeline's zone, over changes of the clock, never ahead."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import InvalidRequest
from services.orchestrator.runs.windows import WindowInFuture, scope_of, window_of
from services.orchestrator.specs import ColumnSpec, PipelineSpec, WindowSpec, WriteSpec
from tests.unit.orchestrator.conductor.world import spec

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def daily(lookback: int = 1, lag: int = 0, timezone: str = "UTC") -> PipelineSpec:
    window = WindowSpec(lookback_days=lookback, lag_days=lag, timezone=timezone)
    write = WriteSpec(mode="replace", scope=("usage_date",))
    return spec().model_copy(update={"window": window, "write": write})


def days(of: PipelineSpec, moment: datetime | None, now: datetime = NOON) -> tuple[str, ...]:
    ((_, values),) = scope_of(of, window_of(of, moment, now=now))
    return values


@pytest.mark.parametrize(
    ("lookback", "lag", "moment", "expected"),
    [
        (1, 0, None, ("2026-11-20",)),
        (1, 2, None, ("2026-11-18",)),
        (3, 1, None, ("2026-11-17", "2026-11-18", "2026-11-19")),
        (2, 0, datetime(2026, 3, 1, 5, tzinfo=UTC), ("2026-02-28", "2026-03-01")),
    ],
)
def test_a_run_is_about_its_day_and_the_days_before(
    lookback: int, lag: int, moment: datetime | None, expected: tuple[str, ...]
) -> None:
    assert days(daily(lookback, lag), moment) == expected


def test_the_day_is_that_of_the_pipelines_zone() -> None:
    late = datetime(2026, 11, 19, 23, 30, tzinfo=UTC)
    assert days(daily(timezone="Asia/Tokyo"), late) == ("2026-11-20",)
    assert days(daily(timezone="America/New_York"), late) == ("2026-11-19",)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_days_of_a_clock_change_are_as_long_as_they_are(day: str, hours: int) -> None:
    of = daily(timezone="Europe/Berlin")
    window = window_of(of, datetime.fromisoformat(f"{day}T10:00:00+00:00"), now=NOON)
    assert window is not None
    assert window.end - window.start == timedelta(hours=hours)
    assert scope_of(of, window) == (("usage_date", (day,)),)


def test_a_day_that_has_not_begun_there_is_refused_although_it_has_elsewhere() -> None:
    now = datetime(2026, 11, 20, 1, tzinfo=UTC)
    assert days(daily(), now, now) == ("2026-11-20",)
    with pytest.raises(WindowInFuture) as refused:
        window_of(daily(timezone="America/New_York"), now + timedelta(hours=5), now=now)
    assert refused.value.metadata == {"windowTime": "2026-11-20", "latest": "2026-11-19"}


@pytest.mark.parametrize(
    ("moment", "of"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), daily(timezone="America/New_York")),
        (datetime(1, 1, 1, tzinfo=UTC), daily(2)),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), daily(timezone="Asia/Tokyo")),
    ],
    ids=["before the first day", "lookback before it", "after the last day"],
)
def test_days_that_no_calendar_has_are_refused_by_field(moment: datetime, of: PipelineSpec) -> None:
    with pytest.raises(InvalidRequest) as refused:
        window_of(of, moment, now=NOON)
    assert list(refused.value.violations) == ["window_time"]


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 19), timezones=st.just(UTC)),  # noqa: DTZ001
    lookback=st.integers(1, 40),
    timezone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]
    ),
)
def test_a_window_is_exactly_its_days_and_holds_the_moment(
    moment: datetime, lookback: int, timezone: str
) -> None:
    of = daily(lookback, timezone=timezone)
    window = window_of(of, moment, now=NOON)
    assert window is not None
    assert window.start < window.end
    assert moment < window.end
    if lookback == 1:
        assert window.start <= moment
    found = [date.fromisoformat(day) for day in days(of, moment)]
    assert len(found) == lookback
    assert all(b - a == timedelta(days=1) for a, b in itertools.pairwise(found))


def monthly(
    lookback: int = 1, lag: int = 0, timezone: str = "UTC", type_: str = "DATE"
) -> PipelineSpec:
    window = WindowSpec(grain="month", lookback_months=lookback, lag_days=lag, timezone=timezone)
    write = WriteSpec(mode="replace", scope=("month",), fixed=(("account", "A"),))
    columns = (ColumnSpec(name="month", type=type_), ColumnSpec(name="account", type="STRING"))
    changes = {"window": window, "write": write, "columns": columns}
    return spec().model_copy(update=changes)


def months(of: PipelineSpec, moment: datetime | None, now: datetime = NOON) -> tuple[str, ...]:
    (_, values), fixed = scope_of(of, window_of(of, moment, now=now))
    assert fixed == ("account", ("A",))
    return values


@pytest.mark.parametrize(
    ("lookback", "lag", "moment", "expected"),
    [
        (1, 0, None, ("2026-11-01",)),
        (1, 20, None, ("2026-10-01",)),
        (3, 0, datetime(2026, 2, 28, 5, tzinfo=UTC), ("2025-12-01", "2026-01-01", "2026-02-01")),
        (14, 0, None, (*(f"2025-{n:02}-01" for n in (10, 11, 12)),
                       *(f"2026-{n:02}-01" for n in range(1, 12)))),
    ],
)  # fmt: skip
def test_a_run_of_a_month_is_about_it_and_the_months_before(
    lookback: int, lag: int, moment: datetime | None, expected: tuple[str, ...]
) -> None:
    assert months(monthly(lookback, lag), moment) == expected


def test_a_month_is_that_of_the_pipelines_zone_and_a_timestamp_its_midnight_in_utc() -> None:
    late = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    of = monthly(timezone="Asia/Tokyo", type_="TIMESTAMP")
    assert months(of, late) == ("2026-11-01 00:00:00",)
    window = window_of(of, late, now=NOON)
    assert window is not None
    assert window.start == datetime(2026, 10, 31, 15, tzinfo=UTC)
    assert window.end == datetime(2026, 11, 30, 15, tzinfo=UTC)


def test_a_month_that_has_not_begun_is_refused_by_name() -> None:
    with pytest.raises(WindowInFuture) as refused:
        window_of(monthly(), datetime(2026, 12, 1, tzinfo=UTC), now=NOON)
    assert refused.value.metadata == {"windowTime": "2026-12-01", "latest": "2026-11-01"}
    assert "found the month 2026-12 in UTC; allowed is 2026-11 or earlier" in str(
        refused.value.violations
    )
