"""From two dates to windows: whole ones, over, and not too many."""

from datetime import UTC, date, datetime, timedelta

import pytest

from libs.common.errors import InvalidRequest
from services.orchestrator.backfills.ranges import (
    BackfillNotPossible,
    Range,
    days_of,
    window_for,
    windows_of,
)
from services.orchestrator.runs.windows import WindowInFuture
from services.orchestrator.specs import PipelineSpec, WindowSpec
from tests.unit.orchestrator.backfills.daily import daily
from tests.unit.orchestrator.conductor.world import NOON, spec


def with_window(**window: object) -> PipelineSpec:
    return daily().model_copy(update={"window": WindowSpec.model_validate(window)})


def found(given: PipelineSpec, start: date, end: date, *, now: datetime = NOON) -> tuple[date, ...]:
    return windows_of(given, Range(start=start, end=end), name="p", now=now)


def test_days_are_named_oldest_first_and_the_end_is_not_among_them() -> None:
    days = found(daily(), date(2026, 2, 27), date(2026, 3, 2))
    assert days == (date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1))


def test_months_go_over_the_year() -> None:
    months = found(with_window(grain="month"), date(2025, 11, 1), date(2026, 2, 1))
    assert months == (date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1))


def test_a_window_has_no_lookback_and_lies_in_the_pipelines_zone() -> None:
    zoned = with_window(lookback_days=7, timezone="Europe/Berlin")
    window = window_for(zoned, date(2026, 10, 25))
    assert window.start == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert window.end - window.start == timedelta(hours=25)
    month = window_for(with_window(grain="month", lookback_months=3), date(2026, 2, 1))
    assert (month.start, month.end) == (
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    )


def test_windows_lie_side_by_side_also_where_midnight_does_not_exist() -> None:
    cairo = with_window(timezone="Africa/Cairo")
    days = found(cairo, date(2026, 4, 22), date(2026, 4, 27))
    windows = [window_for(cairo, day) for day in days]
    assert [w.end for w in windows[:-1]] == [w.start for w in windows[1:]]
    assert all(days_of(cairo, w.start, w.end) == {d} for d, w in zip(days, windows, strict=True))


def test_a_month_that_is_cut_is_refused_with_both_neighbours() -> None:
    with pytest.raises(InvalidRequest) as error:
        found(with_window(grain="month"), date(2026, 1, 15), date(2026, 3, 2))
    assert error.value.violations == {
        "start_date": "found 2026-01-15; windows are months, so allowed are 2026-01-01 and 2026-02-01",
        "end_date": "found 2026-03-02; windows are months, so allowed are 2026-03-01 and 2026-04-01",
    }


def test_the_last_month_of_all_has_no_neighbour_after_it() -> None:
    with pytest.raises(InvalidRequest) as error:
        found(with_window(grain="month"), date(2026, 1, 1), date.max)
    assert error.value.violations["end_date"].endswith("9999-12-01 and none after it")


@pytest.mark.parametrize(
    ("window", "latest"),
    [
        ({}, date(2026, 11, 20)),
        ({"lag_days": 2}, date(2026, 11, 18)),
        ({"timezone": "Pacific/Kiritimati"}, date(2026, 11, 21)),
        ({"grain": "month"}, date(2026, 11, 1)),
        ({"grain": "month", "lag_days": 21}, date(2026, 10, 1)),
    ],
)
def test_the_window_that_a_run_of_now_is_about_is_not_filled(
    window: dict[str, object], latest: date
) -> None:
    given = with_window(**window)
    grain = timedelta(days=31 if window.get("grain") else 1)
    assert found(given, date(2026, 1, 1), latest)
    with pytest.raises(WindowInFuture) as error:
        found(
            given,
            date(2026, 1, 1),
            (latest + grain).replace(day=1 if window.get("grain") else (latest + grain).day),
        )
    assert error.value.metadata["latest"] == latest.isoformat()


def test_three_years_of_days_are_allowed_and_a_day_more_is_not() -> None:
    end = date(2026, 11, 1)
    assert len(found(daily(), end - timedelta(days=1100), end)) == 1100
    with pytest.raises(InvalidRequest) as error:
        found(daily(), end - timedelta(days=1101), end)
    assert (
        "1101 windows; allowed are 1100: end it at 2026-10-31" in error.value.violations["end_date"]
    )


@pytest.mark.parametrize("end", [date(2026, 3, 1), date(2026, 2, 28)])
def test_an_empty_range_is_refused(end: date) -> None:
    with pytest.raises(InvalidRequest, match="allowed is a day after start_date 2026-03-01"):
        found(daily(), date(2026, 3, 1), end)


def test_the_first_day_of_all_is_refused_where_it_begins_before_there_are_years() -> None:
    start, end = date(1, 1, 1), date(1, 1, 3)
    assert found(daily(), start, end)
    with pytest.raises(InvalidRequest) as error:
        found(with_window(timezone="Asia/Tokyo"), start, end)
    assert list(error.value.violations) == ["start_date"]


def test_a_pipeline_without_a_window_has_nothing_to_fill() -> None:
    with pytest.raises(BackfillNotPossible) as error:
        found(spec(), date(2026, 1, 1), date(2026, 2, 1))
    assert error.value.metadata == {"name": "p"}
