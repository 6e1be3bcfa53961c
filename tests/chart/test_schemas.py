"""What is rendered is what each of the three newest versions of Kubernetes takes."""

import functools
import itertools
import json
from typing import Any

import jsonschema
import pytest

from tests.chart.rendering import COMBINATIONS, CONFIGS, ROOT, TOGGLES, rendered, states

SCHEMAS = ROOT / "tests" / "chart" / "schemas"
VERSIONS = ("1.35", "1.36", "1.37")


@functools.cache
def validators(name: str) -> dict[str, jsonschema.Draft202012Validator]:
    """Return a validator for each kind of a file of schemas."""
    known = json.loads((SCHEMAS / f"{name}.json").read_text())
    found = {}
    for kind, schema in known["kinds"].items():
        whole = {**schema, "definitions": known["definitions"]}
        found[kind] = jsonschema.Draft202012Validator(whole)
    return found


def wrong(manifest: dict[str, Any], version: str) -> list[str]:
    """Return what a version of Kubernetes would refuse."""
    known = {**validators(f"kubernetes-{version}"), **validators("custom"), **validators("gke")}
    kind = f"{manifest['apiVersion']}/{manifest['kind']}"
    name = f"{kind} {manifest['metadata']['name']}"
    if kind not in known:
        return [f"{name}: no schema"]
    return [
        f"{name} {error.json_path}: {error.message}" for error in known[kind].iter_errors(manifest)
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_every_object_fits_its_schema(combination: str, version: str) -> None:
    assert [text for one in rendered(combination) for text in wrong(one, version)] == []


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    (service, *_) = (one for one in rendered("default") if one["kind"] == "Service")
    mistaken = {**service, "spec": {**service["spec"], "selectors": {}}}
    (text,) = wrong(mistaken, VERSIONS[0])
    assert "selectors" in text


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_no_two_objects_have_one_name(combination: str) -> None:
    names = [
        (one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in rendered(combination)
    ]
    assert len(names) == len(set(names))


def test_the_combinations_have_every_pair_of_toggles_and_every_kind_of_configs_with_each() -> None:
    rows = [states(row) for row in range(8)]
    for one, other in itertools.combinations(TOGGLES, 2):
        found = {(toggles[one], toggles[other]) for _, toggles in rows}
        assert len(found) == 4, (one, other)
    for name in TOGGLES:
        found_too = {(kind, toggles[name]) for kind, toggles in rows}
        assert len(found_too) == 2 * len(CONFIGS), name
