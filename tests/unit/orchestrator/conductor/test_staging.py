"""Staging lives `hold_for` and a day after the last state that needs it began."""

from datetime import timedelta

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import NOON, Orchestrator, World

HELD = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("9.99",), bad=True)]
DAY = timedelta(days=1)


def days_left(made: World, run: Run) -> float:
    """How long the run's staging lives from now on."""
    return (made.warehouse.expirations[made.warehouse.staging(run)] - made.clock.now) / DAY


async def held_on_day_7(made: World, o: Orchestrator) -> Run:
    """A run that failed on day 0 and was retried when its first staging had a day to live."""
    made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]
    run = await o.finish()
    assert run.state is RunState.FAILED
    made.clock.now = NOON + 7 * DAY
    made.warehouse.errors["chunk_counts"] = [Unavailable("away")] * 3
    await o.retry(run)
    return await o.until(run, RunState.HELD)


async def test_staging_outlives_the_hold_of_a_run_that_was_retried_late_and_audited_slowly() -> (
    None
):
    made = World.of(a_csv=HELD)
    async with made.orchestrator() as o:
        run = await held_on_day_7(made, o)
        assert run.held is not None
        expires = made.warehouse.expirations[made.warehouse.staging(run)]
    assert made.clock.now > NOON + 7 * DAY
    assert expires == run.held.expire_time + DAY == made.clock.now + 8 * DAY


async def test_staging_of_a_run_approved_in_the_last_hour_lives_as_long_again() -> None:
    made = World.of(a_csv=HELD)
    async with made.orchestrator() as o:
        run = await held_on_day_7(made, o)
        assert run.held is not None
        made.clock.now = run.held.expire_time - timedelta(hours=1)
        made.warehouse.fail["publish"] = 1_000_000
        await o.approve(run)
        assert days_left(made, run) > 7.9
        made.warehouse.fail.clear()
        await o.until(run, RunState.SUCCEEDED)
