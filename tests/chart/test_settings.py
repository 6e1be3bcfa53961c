"""Every setting that the chart gives a service is one that the service reads; the others may be given by values."""

import json
import os
import re
from typing import Any

import pytest

from libs.common.settings import ServiceSettings
from services.auth.app import Settings as AuthSettings
from services.ingest.app import Settings as IngestSettings
from services.orchestrator.app import Settings as OrchestratorSettings
from services.quality.app import Settings as QualitySettings
from tests.chart.rendering import CHART
from tests.chart.test_pods import every_combination, every_service, main, pod_of

SETTINGS: dict[str, type[ServiceSettings]] = {
    "auth": AuthSettings,
    "ingest": IngestSettings,
    "orchestrator": OrchestratorSettings,
    "quality": QualitySettings,
}
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
COMPUTED = set(re.findall(r'"([A-Z_]{4,})"', (CHART / "templates" / "_settings.tpl").read_text()))


@every_service
@every_combination
def test_the_service_starts_with_its_environment(
    combination: str, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = pod_of(combination, component)
    for name in [name for name in os.environ if name.startswith("CONVERGENCE_")]:
        monkeypatch.delenv(name)
    fields = {"POD_NAME": f"{component}-0", "POD_NAMESPACE": "mesh"}
    for one in main(pod)["env"]:
        text = re.sub(r"\$\((\w+)\)", lambda found: fields[found[1]], one.get("value", ""))
        if one["name"].startswith("CONVERGENCE_"):
            monkeypatch.setenv(one["name"], text)
    found = SETTINGS[component].read()
    assert found.listen.startswith("0.0.0.0:50051")
    assert found.drain_seconds == 0


@pytest.mark.parametrize("service", SETTINGS)
def test_settings_that_may_be_given_are_those_that_the_chart_does_not_compute(service: str) -> None:
    kind: type[ServiceSettings] = SETTINGS[service]
    allowed = SCHEMA["properties"]["services"]["properties"][service]["properties"]["settings"]
    fields = {name.upper() for name in kind.model_fields}
    assert set(allowed["properties"]) <= fields
    adjustable = {"STREAMS_PER_HOUR"}
    """Given by a trial, and by an operator."""
    assert fields - COMPUTED | (fields & adjustable) == set(allowed["properties"])
