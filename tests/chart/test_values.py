"""Values: each documented where it stands, each in the schema, and wrong ones refused with what is allowed."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart.rendering import CHART, PROJECT, Values, chart, merged, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema of an object below `schema`."""
    if schema.get("type") == "object":
        yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from objects(part, f"{path}.{name}")
    for name, part in schema.get("$defs", {}).items():
        yield from objects(part, f"$defs.{name}")
    if isinstance(schema.get("items"), dict):
        yield from objects(schema["items"], f"{path}[]")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (
        SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    )
    return found


def names(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of every value that the schema knows, but what maps hold."""
    for name, part in resolved(schema).get("properties", {}).items():
        yield f"{path}.{name}".removeprefix(".")
        yield from names(part, f"{path}.{name}")


def given(values: Any, path: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, part in values.items():
            yield f"{path}.{name}".removeprefix(".")
            yield from given(part, f"{path}.{name}")


def said(values: Values) -> str:
    with pytest.raises(helm_python.HelmError) as refused:
        render(merged(PROJECT, values))
    return str(refused.value)


def test_every_object_is_closed() -> None:
    for _, schema in objects(SCHEMA):
        more = schema["additionalProperties"]
        if more is False:
            assert schema["propertyNames"]["enum"] == list(schema["properties"])
        else:
            assert more == {"type": "string"}


def test_every_value_of_the_schema_has_a_default_and_the_other_way_round() -> None:
    maps = re.compile(r"(Labels|attributes|files|nodeSelector|podAnnotations|labels|settings)\.")
    inherited = re.compile(
        r"services\.\w+\.(replicas|resources|drain|googleServiceAccount|podAnnotations|settings)\b"
    )
    known = {name for name in names(SCHEMA) if not maps.search(name)}
    found = {name for name in given(DEFAULTS) if not maps.search(name)}
    assert found - known == set()
    assert {name for name in known - found if not inherited.match(name)} == set()


def test_every_value_has_a_comment_above_it() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    bare = [
        line.strip()
        for before, line in itertools.pairwise(lines)
        if re.match(r"\s*[A-Za-z]\w*:", line) and not before.strip().startswith("#")
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"imag": {}}, "'imag'"),
        ({"image": {"tags": "1"}}, "'tags'"),
        ({"services": {"ingest": {"replica": 3}}}, "'replica'"),
        ({"services": {"worker": {}}}, "'worker'"),
        ({"services": {"auth": {"autoscaling": {}}}}, "'autoscaling'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "'Always', 'IfNotPresent', 'Never'"),
        ({"image": {"digest": "sha256:abc"}}, "sha256:[0-9a-f]{64}"),
        ({"defaults": {"replicas": 0}}, "minimum: got 0, want 1"),
        ({"defaults": {"resources": {"cpu": 1}}}, "got number, want string"),
        ({"defaults": {"resources": {"memory": "512"}}}, "(Mi|Gi)"),
        ({"services": {"auth": {"settings": {"LISTEN": "0.0.0.0:1"}}}}, "'LOG_LEVEL'"),
        ({"edge": {"from": ["10.0.0.0"]}}, "/edge/from/0"),
        (
            {"configs": {"type": "git"}},
            "'none', 'gitSync', 'persistentVolumeClaim', 'csi', 'configMap'",
        ),
        ({"configs": {"files": {"../x": ""}}}, "'../x' does not match pattern"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_with_what_is_allowed(values: Values, expected: str) -> None:
    assert expected in said(values)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"bigquery": {"project": ""}}, "bigquery.project"),
        ({"configs": {"type": "gitSync"}}, "configs.gitSync.repository"),
        ({"configs": {"type": "persistentVolumeClaim"}}, "configs.persistentVolumeClaim"),
        ({"configs": {"type": "csi"}}, "configs.csi.driver"),
        ({"configs": {"files": {"acme/sources/a.yml": ""}}}, "configs.files"),
        ({"edge": {"tls": {"enabled": True}}}, "edge.tls.secret"),
        (
            {"edge": {"route": {"enabled": True, "hosts": ["a.example"]}, "from": ["10.0.0.0/8"]}},
            "edge.route.gateway",
        ),
        (
            {"edge": {"route": {"enabled": True, "gateway": "a"}, "from": ["10.0.0.0/8"]}},
            "edge.route.hosts",
        ),
        (
            {"edge": {"route": {"enabled": True, "gateway": "a", "hosts": ["a.example"]}}},
            "edge.from",
        ),
        ({"telemetry": {"otlp": {"endpoint": "otel:4317"}}}, "telemetry.otlp.cidr"),
        ({"services": {"ingest": {"autoscaling": {"min": 30}}}}, "services.ingest.autoscaling"),
    ],
    ids=str,
)
def test_values_that_need_one_another_say_what_is_missing(values: Values, field: str) -> None:
    text = said(values)
    assert f"\n{field}: found " in text
    assert len(text.strip().splitlines()) == 2


def test_everything_that_is_missing_is_said_at_once() -> None:
    text = said({"bigquery": {"project": ""}, "configs": {"type": "csi"}})
    assert "\nbigquery.project: found nothing; " in text
    assert "\nconfigs.csi.driver: found nothing; " in text


def test_a_release_name_that_makes_names_too_long_is_refused() -> None:
    with pytest.raises(helm_python.HelmError, match="found 41 characters; allowed are 40"):
        chart().render(PROJECT, name="r" * 41, namespace="mesh")


WARNING = 2


def test_helm_finds_nothing_to_say_about_the_chart() -> None:
    found = helm_python.lint(CHART, PROJECT, namespace="mesh")
    assert [one for one in found["messages"] if one["severity"] >= WARNING] == []
