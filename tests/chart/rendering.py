"""The chart, rendered once for each combination of values by Helm's own engine."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "convergence"
RELEASE: Final = "trial"
NAMESPACE: Final = "mesh"
SERVICES: Final = ("auth", "ingest", "orchestrator", "quality")

Manifest = dict[str, Any]
Values = dict[str, Any]

PROJECT: Final[Values] = {"bigquery": {"project": "acme-data"}}
GIT: Final[Values] = {"configs": {"gitSync": {"repository": "https://git.example.com/configs"}}}
ROUTE: Final[Values] = {
    "edge": {"route": {"enabled": True, "gateway": "edge", "hosts": ["costs.example.com"]}}
}
CONFIGS: Final[Mapping[str, Values]] = {
    "gitSync": {**GIT["configs"], "path": "tenants"},
    "persistentVolumeClaim": {"persistentVolumeClaim": "configs"},
    "csi": {"csi": {"driver": "gcsfuse.csi.storage.gke.io", "attributes": {"bucketName": "acme"}}},
    "configMap": {"files": {"acme/pipelines/p_bills.yml": "source: bills\n"}},
}
TOGGLES: Final[Mapping[str, tuple[Values, Values]]] = {
    "tls": ({}, {"edge": {"tls": {"enabled": True, "secret": "edge"}, "from": ["10.9.0.0/16"]}}),
    "route": ({}, {"edge": {**ROUTE["edge"], "from": ["10.9.0.0/16"]}}),
    "network": ({"network": {"enabled": False}}, {}),
    "admission": ({"admissionPolicy": {"enabled": False}}, {}),
    "monitors": (
        {},
        {"telemetry": {"podMonitoring": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
    ),
    "autoscaling": (
        {"services": {"ingest": {"autoscaling": {"enabled": False}}}},
        {"services": {"ingest": {"autoscaling": {"queue": {"enabled": True}}}}},
    ),
    "trial": (PROJECT, {"trial": {"enabled": True}}),
    "otlp": (
        {},
        {"telemetry": {"otlp": {"endpoint": "otel.tracing:4317", "cidr": "10.8.0.0/16"}}},
    ),
}
"""Each toggle's values when it is off and when it is on."""


def merged(*parts: Values) -> Values:
    """Return the parts merged, later ones over earlier ones."""
    whole: Values = {}
    for part in parts:
        for key, value in part.items():
            known = whole.get(key)
            both = isinstance(known, dict) and isinstance(value, dict)
            whole[key] = merged(known or {}, value) if both else value
    return whole


def states(row: int) -> tuple[str, dict[str, bool]]:
    """Return kind of configs and toggles of one of eight rows, which have every pair between them.

    Two rows have the same kind of configs and opposite toggles, so every kind meets every state. Two toggles differ
    in some pair of rows and agree in another, as no two columns of three bits and a zero are equal or opposite.
    """
    pair, opposite = divmod(row, 2)
    toggles = {name: bool((number >> pair & 1) ^ opposite) for number, name in enumerate(TOGGLES)}
    return list(CONFIGS)[pair], toggles


def row_values(row: int) -> Values:
    kind, toggles = states(row)
    parts = (TOGGLES[name][state] for name, state in toggles.items())
    return merged({"configs": {"type": kind, **CONFIGS[kind]}}, *parts)


def file_values(name: str) -> Values:
    values: Values = yaml.safe_load((CHART / name).read_text())
    return values


COMBINATIONS: Final[Mapping[str, Values]] = {
    "default": PROJECT,
    "local": file_values("values-local.yaml"),
    "gke": merged(file_values("values-gke.yaml"), PROJECT, GIT, ROUTE),
    **{f"pairs-{row}": row_values(row) for row in range(8)},
}


@functools.cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def render(values: Values) -> tuple[Manifest, ...]:
    """Return the objects that the chart makes; raise HelmError as Helm does."""
    files = chart().render(values, name=RELEASE, namespace=NAMESPACE)
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return tuple(one for text in texts for one in yaml.safe_load_all(text) if one is not None)


@functools.cache
def rendered(combination: str) -> tuple[Manifest, ...]:
    return render(COMBINATIONS[combination])


def of_kind(combination: str, kind: str) -> dict[str, Manifest]:
    """Return a combination's objects of one kind, by name."""
    return {one["metadata"]["name"]: one for one in rendered(combination) if one["kind"] == kind}


def pods(combination: str) -> Iterator[tuple[str, Manifest]]:
    """Yield component and template of every kind of pod, that of the test too."""
    for one in rendered(combination):
        if one["kind"] == "Deployment":
            template = one["spec"]["template"]
        elif one["kind"] == "Pod":
            template = one
        else:
            continue
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def containers(pod: Manifest) -> list[Manifest]:
    found: list[Manifest] = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    return found
