"""For which windows pipelines have succeeded: what is asked for is known, and no more for ever."""

from datetime import UTC, datetime, timedelta

from libs.common.names import PipelineName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.successes import KEPT, KEPT_FOR, Successes

PIPELINE = PipelineName("acme_corp", "p_up")
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def succeed(known: Successes, number: int, position: int) -> None:
    start = BEGIN + number * DAY
    details: tuple[r.Detail, ...] = (
        r.RunCreated(
            spec="",
            spec_hash="",
            request_id="",
            request_digest="",
            window_start=start,
            window_end=start + DAY,
        ),
        r.RunSucceeded(),
    )
    for detail in details:
        run = str(PIPELINE.run(f"r{position}"))
        known.add(
            r.Record(event_id="e", position=position, epoch=1, run=run, time=BEGIN, detail=detail)
        )


def test_windows_far_older_than_the_newest_are_forgotten_and_no_others() -> None:
    known = Successes()
    for number in range(4 * KEPT):
        succeed(known, number, number)
    newest = BEGIN + (4 * KEPT - 1) * DAY
    assert all(
        known.contain(PIPELINE, newest - n * DAY, newest - n * DAY + DAY)
        for n in range(KEPT_FOR.days)
    )
    assert len(known.windows[PIPELINE]) <= KEPT
    assert known.created == {}
    restored = Successes()
    restored.restore(list(known.snapshot()))
    assert restored == known


def test_an_old_window_that_succeeds_late_forgets_no_newer_one() -> None:
    known = Successes()
    for number in [*range(KEPT, 2 * KEPT), 0]:
        succeed(known, number, number)
    newest = BEGIN + (2 * KEPT - 1) * DAY
    assert known.contain(PIPELINE, newest, newest + DAY)
    assert not known.contain(PIPELINE, BEGIN, BEGIN + DAY)
