"""What runs, and what this version does not do is said."""

import pytest

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.pipelines import not_acted_on, pipeline_spec
from services.orchestrator.specs import ScheduleSpec
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, spec

DAILY = ScheduleSpec(cron="0 6 * * *")


@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_every_mode_runs(mode: str) -> None:
    catalogue = MemoryCatalogue()
    catalogue.put(spec(mode=mode), at=NOON)
    assert pipeline_spec(catalogue, PIPELINE) == spec(mode=mode)


def test_a_schedule_that_starts_nothing_is_said_and_the_pipeline_runs() -> None:
    scheduled = spec().model_copy(update={"schedule": DAILY})
    (warning,) = not_acted_on(scheduled)
    assert (warning.field, warning.found) == ("schedule", "cron 0 6 * * *")
    assert not_acted_on(spec()) == []
