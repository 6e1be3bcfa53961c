"""What one object says of another is so: selectors, addresses, names, paths, commands."""

import re
from typing import Any, Final

import pytest
from click.testing import CliRunner

from libs.client.cli.root import convergence
from services.auth.kubernetes_run_authority import AUDIENCE
from tests.chart.rendering import RELEASE, ROOT, SERVICES, Manifest, containers, of_kind, pods

LEADER: Final = "convergence.dev/role"
TRIAL: Final = "pairs-1"
EVERYWHERE: Final = ("gke", TRIAL)
"""Between them they have every kind of object; a trial has monitors and TLS too."""
everywhere = pytest.mark.parametrize("combination", EVERYWHERE)
NAMED: Final = {
    "SIGNING_KEY": ("Secret", f"{RELEASE}-signing-key"),
    "LEASE": ("Lease", f"{RELEASE}-orchestrator"),
    "WORKERS": ("Service", f"{RELEASE}-ingest"),
    "ORCHESTRATOR_CREDENTIAL": ("ServiceAccount", f"{RELEASE}-orchestrator"),
}


def selected(combination: str, selector: dict[str, str]) -> set[str]:
    """Return the components whose pods a selector finds, once one of them leads."""
    wanted = {key: value for key, value in selector.items() if key != LEADER}
    return {
        component
        for component, pod in pods(combination)
        if wanted.items() <= pod["metadata"]["labels"].items()
    }


def env(container: Manifest) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", ())}


@everywhere
def test_services_and_budgets_find_the_pods_of_their_name_and_no_others(combination: str) -> None:
    for name, service in of_kind(combination, "Service").items():
        found = selected(combination, service["spec"]["selector"])
        component = name.removeprefix(f"{RELEASE}-")
        if component == "metrics":
            assert found >= set(SERVICES)
        else:
            assert found == {component}
        for port in service["spec"]["ports"]:
            for owner, pod in pods(combination):
                if owner in found & set(SERVICES) or owner == component:
                    assert port["targetPort"] in {p["name"] for p in containers(pod)[-1]["ports"]}
    for name, budget in of_kind(combination, "PodDisruptionBudget").items():
        labels = budget["spec"]["selector"]["matchLabels"]
        assert selected(combination, labels) == {name.removeprefix(f"{RELEASE}-")}


def test_the_operators_monitor_finds_the_service_of_the_metrics() -> None:
    (monitor,) = of_kind("pairs-1", "ServiceMonitor").values()
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [
        name
        for name, one in of_kind("pairs-1", "Service").items()
        if wanted <= one["metadata"]["labels"].items()
    ]
    assert found == [f"{RELEASE}-metrics"]


@everywhere
def test_an_autoscaler_looks_at_a_container_that_there_is(combination: str) -> None:
    templates = dict(pods(combination))
    for name, scaler in of_kind(combination, "HorizontalPodAutoscaler").items():
        resource = scaler["spec"]["metrics"][0]["containerResource"]
        pod = templates[name.removeprefix(f"{RELEASE}-")]
        assert resource["container"] in {one["name"] for one in pod["spec"]["containers"]}


def test_the_load_balancer_asks_what_the_pods_serve() -> None:
    templates = dict(pods("gke"))
    for name, policy in of_kind("gke", "HealthCheckPolicy").items():
        check = policy["spec"]["default"]["config"]["httpHealthCheck"]
        (container,) = templates[name.removeprefix(f"{RELEASE}-")]["spec"]["containers"]
        assert {"name": "admin", "containerPort": check["port"]} in container["ports"]
        assert check["requestPath"] == "/healthz"


def test_the_embedded_bigquery_listens_and_is_asked_where_it_says() -> None:
    (container,) = dict(pods(TRIAL))["bigquery"]["spec"]["containers"]
    assert {str(port["containerPort"]) for port in container["ports"]} <= set(container["args"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "rest"}


@everywhere
def test_every_address_is_that_of_a_service_and_one_of_its_ports(combination: str) -> None:
    known = {
        f"{name}:{port['port']}"
        for name, service in of_kind(combination, "Service").items()
        for port in service["spec"]["ports"]
    }
    for _, pod in pods(combination):
        for container in containers(pod):
            text = " ".join([*env(container).values(), *container.get("args", ())])
            assert set(re.findall(rf"{RELEASE}-[a-z]+:\d+", text)) <= known


@everywhere
def test_every_name_that_a_setting_gives_is_that_of_an_object(combination: str) -> None:
    seen = set()
    for service in SERVICES:
        pod = dict(pods(combination))[service]
        for setting, value in env(containers(pod)[-1]).items():
            if found := re.fullmatch(r"kubernetes://\$\(POD_NAMESPACE\)/([a-z-]+)(\?.*)?", value):
                kind, name = NAMED[setting.removeprefix(f"CONVERGENCE_{service.upper()}_")]
                assert found[1] == name
                assert name in of_kind(combination, kind)
                seen.add(kind)
    assert len(seen) == len(NAMED)


@everywhere
def test_files_lie_where_settings_say(combination: str) -> None:
    for component, pod in pods(combination):
        container = containers(pod)[-1]
        volumes: dict[str, Any] = {one["name"]: one for one in pod["spec"]["volumes"]}
        at = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert at.keys() <= volumes.keys()
        settings = env(container)
        if component == "orchestrator":
            (source,) = volumes["credential"]["projected"]["sources"]
            token = source["serviceAccountToken"]
            assert token["audience"] == AUDIENCE
            credential = settings["CONVERGENCE_ORCHESTRATOR_CREDENTIAL"]
            assert credential == f"{at['credential']}/{token['path']}"
        listen = settings.get(f"CONVERGENCE_{component.upper()}_LISTEN", "")
        assert listen.endswith(at["tls"]) if "tls" in at else "tls://" not in listen


@everywhere
def test_every_container_runs_what_there_is(combination: str) -> None:
    for component, pod in pods(combination):
        for container in pod["spec"]["containers"] + (
            pod["spec"].get("initContainers", []) if component == "test" else []
        ):
            if component == "test":
                words = [*container["command"][1:], "--help"]
                assert CliRunner().invoke(convergence, words).exit_code == 0, words
            else:
                module = container["args"][0].replace(".", "/")
                assert (ROOT / module / "__main__.py").exists()
