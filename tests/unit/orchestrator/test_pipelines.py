"""What runs, and what this version does not do is said."""

import pytest

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.pipelines import not_acted_on, pipeline_spec
from services.orchestrator.specs import FileOptions, ScheduleSpec, SourceSpec
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


def test_a_replace_of_deliveries_says_that_rows_of_files_no_longer_named_stay() -> None:
    options = FileOptions(path="bills/*.json", format="csv", manifest="aws")
    source = SourceSpec(source_id="bill", options=options)
    (warning,) = not_acted_on(spec().model_copy(update={"source": source}))
    assert warning.field == "write.scope"
    assert "object by object" in warning.allowed
    assert not_acted_on(spec(mode="append").model_copy(update={"source": source})) == []
