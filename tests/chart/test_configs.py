"""Tenants' files come to where the services look for them, whole versions at a time."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.configs.file_catalogue import FileCatalogue
from tests.chart.rendering import COMBINATIONS, RELEASE, of_kind, rendered
from tests.chart.test_pods import every_combination, main, pod_of

HOME = "/etc/convergence/configs"


def variable(pod: dict[str, Any], name: str) -> str:
    found: dict[str, str] = {one["name"]: one.get("value", "") for one in main(pod)["env"]}
    return found.get(name, "")


def mount(root: Path, volume: dict[str, Any], data: dict[str, str], version: str) -> None:
    """Lay a ConfigMap out below `root` as the kubelet does, in place of an older version."""
    for item in volume["items"]:
        file = root / version / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(data[item["key"]])
    (root / "..new").symlink_to(version)
    (root / "..new").rename(root / "..data")
    for name in {item["path"].partition("/")[0] for item in volume["items"]}:
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"..data/{name}")


def test_the_trials_pipeline_is_valid_as_the_orchestrator_reads_it(tmp_path: Path) -> None:
    pod = pod_of("local", "orchestrator")
    (volume,) = (one["configMap"] for one in pod["spec"]["volumes"] if one["name"] == "configs")
    data = of_kind("local", "ConfigMap")[volume["name"]]["data"]
    assert {item["key"] for item in volume["items"]} == data.keys()
    mount(tmp_path, volume, data, "..1")
    where = variable(pod, "CONVERGENCE_ORCHESTRATOR_CONFIGS")
    root = tmp_path / Path(where).relative_to(HOME)
    catalogue = FileCatalogue(root, clock=lambda: dt.datetime.now(dt.UTC))
    assert catalogue.tenants() == ("convergence_trial",)
    entry = catalogue.get("convergence_trial", "p_trial")
    assert entry is not None
    assert (entry.errors, entry.spec is None) == ((), False)
    key = next(key for key in data if key.endswith("p_trial.yml"))
    mount(tmp_path, volume, {**data, key: "nothing: good\n"}, "..2")
    broken = catalogue.get("convergence_trial", "p_trial")
    assert broken is not None
    assert broken.errors, "a new version of the ConfigMap is read"


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("gitSync", f"{HOME}/current/tenants"),
        ("persistentVolumeClaim", HOME),
        ("csi", HOME),
        ("configMap", f"{HOME}/..data"),
    ],
)
def test_every_kind_of_configs_is_mounted_where_the_setting_says(kind: str, where: str) -> None:
    found = {
        name: pod_of(name, "auth")
        for name, values in COMBINATIONS.items()
        if values.get("configs", {}).get("type") == kind and name.startswith("pairs")
    }
    assert len(found) == 2
    for name, pod in found.items():
        assert variable(pod, "CONVERGENCE_AUTH_CONFIGS") == where
        assert variable(pod_of(name, "orchestrator"), "CONVERGENCE_ORCHESTRATOR_CONFIGS") == where
        mounts = {one["name"]: one for one in main(pod)["volumeMounts"]}
        assert mounts["configs"] == {"name": "configs", "mountPath": HOME, "readOnly": True}


@every_combination
def test_workers_have_files_in_a_trial_only(combination: str) -> None:
    trial = COMBINATIONS[combination].get("trial", {}).get("enabled", False)
    pod = pod_of(combination, "ingest")
    assert variable(pod, "CONVERGENCE_INGEST_LOCAL_FILES") == str(trial).lower()
    kind = COMBINATIONS[combination].get("configs", {}).get("type", "none")
    assert ("CONFIGS" in str(main(pod)["env"])) is (trial and kind != "none")


def test_git_is_cloned_before_the_service_starts_and_only_where_files_are_read() -> None:
    assert [one["name"] for one in pod_of("gke", "auth")["spec"]["initContainers"]] == ["git-sync"]
    assert pod_of("gke", "auth")["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    for component in ("ingest", "quality"):
        assert "initContainers" not in pod_of("gke", component)["spec"]


def test_texts_of_the_values_stand_beside_those_of_the_trial() -> None:
    row = next(
        name
        for name, values in COMBINATIONS.items()
        if name.startswith("pairs") and values["configs"]["type"] == "configMap"
    )
    data = of_kind(row, "ConfigMap")[f"{RELEASE}-configs"]["data"]
    assert data["acme--pipelines--p_bills.yml"] == "source: bills\n"
    assert any(one["kind"] == "ConfigMap" for one in rendered("local"))


@every_combination
def test_tenants_secrets_come_from_secret_manager_but_in_a_trial(combination: str) -> None:
    trial = COMBINATIONS[combination].get("trial", {}).get("enabled", False)
    project = variable(pod_of(combination, "ingest"), "CONVERGENCE_INGEST_SECRET_MANAGER_PROJECT")
    assert project == ("" if trial else "acme-data")
