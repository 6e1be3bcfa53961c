"""What this version cannot do is refused by name, and what it does not do is said."""

import pytest

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.configs.file_errors import ConfigInvalid
from services.orchestrator.pipelines import not_acted_on, not_built, pipeline_spec
from services.orchestrator.specs import ScheduleSpec, WriteSpec
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, spec

MERGE = WriteSpec(mode="merge", key=("service",), version="cost")
DAILY = ScheduleSpec(cron="0 6 * * *")


def test_a_pipeline_that_merges_is_not_run_and_the_field_is_named() -> None:
    catalogue = MemoryCatalogue()
    catalogue.put(spec().model_copy(update={"write": MERGE}), at=NOON)
    with pytest.raises(ConfigInvalid) as refused:
        pipeline_spec(catalogue, PIPELINE)
    place = "acme_corp/pipelines/p_bill.yml write.mode"
    assert list(refused.value.violations) == [place]
    assert "found merge; allowed is append or replace" in refused.value.violations[place]


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_the_other_modes_run(mode: str) -> None:
    catalogue = MemoryCatalogue()
    catalogue.put(spec(mode=mode), at=NOON)
    assert pipeline_spec(catalogue, PIPELINE) == spec(mode=mode)
    assert not_built(spec(mode=mode)) == []


def test_a_schedule_that_starts_nothing_is_said_and_the_pipeline_runs() -> None:
    scheduled = spec().model_copy(update={"schedule": DAILY})
    (warning,) = not_acted_on(scheduled)
    assert (warning.field, warning.found) == ("schedule", "cron 0 6 * * *")
    assert not_built(scheduled) == []
    assert not_acted_on(spec()) == []
