"""What runs."""

import pytest

from services.orchestrator.configs.catalogue import MemoryCatalogue
from services.orchestrator.pipelines import pipeline_spec
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, spec


@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_every_mode_runs(mode: str) -> None:
    catalogue = MemoryCatalogue()
    catalogue.put(spec(mode=mode), at=NOON)
    assert pipeline_spec(catalogue, PIPELINE) == spec(mode=mode)
