"""What docs/install.md says is what the chart takes: its values, its flags, its names."""

import re
from pathlib import PurePosixPath
from typing import Final

import helm_python
import pytest
import yaml

from services.orchestrator.configs.folder import SUFFIXES, Folder
from services.orchestrator.configs.resolve import resolve
from tests.chart.rendering import ROOT, SERVICES, Manifest, Values, file_values, merged, render

PAGE: Final = (ROOT / "docs" / "install.md").read_text()
_, TRIAL, PRODUCTION, *_ = re.split(r"^## ", PAGE, flags=re.MULTILINE)
CHOSEN: Final = {"PROJECT": "acme-data", "REGION": "europe-west1", "sha256:…": f"sha256:{'0' * 64}"}


def production() -> Values:
    """Return the page's production.yaml with names in place of what a reader chooses."""
    (text,) = re.findall(r"```yaml\n(# production\.yaml\n.*?)```", PAGE, re.DOTALL)
    for name, chosen in CHOSEN.items():
        text = text.replace(name, chosen)
    values: Values = yaml.safe_load(text)
    return values


def names(objects: tuple[Manifest, ...], kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in objects if one["kind"] == kind}


def test_the_values_for_production_are_all_that_gke_needs() -> None:
    objects = render(merged(file_values("values-gke.yaml"), production()))
    accounts = {
        one["metadata"]["name"].rpartition("-")[2]: one["metadata"]["annotations"]
        for one in objects
        if one["kind"] == "ServiceAccount"
    }
    assert {
        service: f"convergence-{service}@acme-data.iam.gserviceaccount.com" for service in SERVICES
    } == {service: one["iam.gke.io/gcp-service-account"] for service, one in accounts.items()}


def test_the_pipeline_of_the_trial_is_one() -> None:
    """And the chart takes its files."""
    (text,) = re.findall(r"```yaml\n( +configs:\n.*?)```", TRIAL, re.DOTALL)
    values: Values = yaml.safe_load(text)
    render(merged(file_values("values-local.yaml"), values))
    (tenant,) = {path.partition("/")[0] for path in values["configs"]["files"]}
    texts = {path.partition("/")[2]: one for path, one in values["configs"]["files"].items()}
    read = {path: one for path, one in texts.items() if path.partition("/")[0] in SUFFIXES}
    (pipeline,) = re.findall(rf"convergence runs start (\w+) --tenant {tenant}\n", TRIAL)
    spec, errors = resolve(Folder(tenant=tenant, texts=read), pipeline)
    assert spec, errors
    assert spec.source.options.model_dump()["path"] == "bills/*.csv"
    (data,) = set(texts) - set(read)
    assert PurePosixPath(data).match("bills/*.csv")
    assert texts[data].splitlines()[0] == ",".join(column.name for column in spec.columns)


def test_the_flags_of_the_trial_are_values_of_the_chart() -> None:
    command = PAGE[PAGE.index("helm install convergence") : PAGE.index("--wait --timeout 3m")]
    flags = re.findall(r"--set(-string)? (\S+)=(\S+)", command)
    assert len(flags) == 4
    values = file_values("values-local.yaml")
    for _, name, value in flags:
        values = merged(values, helm_python.parse_set_string(f"{name}={value.strip('$')}"))
    images = {
        container["image"]
        for one in render(values)
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"REPOSITORY:TAG", "REPOSITORY-engine:TAG"}


@pytest.mark.parametrize("part", [TRIAL, PRODUCTION])
def test_the_namespace_is_made_by_the_first_command_that_is_about_it(part: str) -> None:
    commands = re.findall(r"(?:kubectl|helm) .*?(?<!\\)\n", part, re.DOTALL)
    first = next(one for one in commands if re.search(r"namespace|-n convergence", one))
    assert re.search(r"create namespace convergence\n|--create-namespace ", first)


def test_the_images_are_built_with_the_tag_that_is_installed() -> None:
    assert re.search(
        r"^ *export REPOSITORY=localhost/convergence TAG=\S+\n *make image TAG=\$TAG$",
        TRIAL,
        re.MULTILINE,
    )


def test_every_object_that_a_command_names_is_there() -> None:
    objects = render(file_values("values-local.yaml"))
    kinds = {"deploy": "Deployment", "service": "Service"}
    named = set(re.findall(r"\b(deploy|service)/convergence-(\w+)", PAGE))
    assert named == {("deploy", "auth"), ("service", "edge")}
    for kind, component in named:
        assert f"trial-{component}" in names(objects, kinds[kind])
    secret = re.search(r"create secret generic (\S+) --from-literal=(\w+)=", PAGE)
    assert secret
    (pod,) = (one for one in objects if one["kind"] == "Pod")
    (reference,) = (
        one["valueFrom"]["secretKeyRef"]
        for one in pod["spec"]["containers"][0]["env"]
        if one["name"] == "CONVERGENCE_API_KEY"
    )
    assert reference == {"name": secret[1], "key": secret[2]}
