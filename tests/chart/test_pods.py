"""What every pod of the chart keeps to, in every combination."""

import json
import re
from typing import Any

import pytest

from tests.chart.rendering import COMBINATIONS, SERVICES, containers, of_kind, pods, rendered

RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "emptyDir",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
OWN_STOP_SECONDS = 5


every_combination = pytest.mark.parametrize("combination", COMBINATIONS)
every_service = pytest.mark.parametrize("component", SERVICES)


def pod_of(combination: str, component: str) -> dict[str, Any]:
    (found,) = (pod for name, pod in pods(combination) if name == component)
    return found


def main(pod: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod["spec"]["containers"][0]
    return found


@every_combination
def test_the_four_services_run(combination: str) -> None:
    assert set(SERVICES) <= {component for component, _ in pods(combination)}


def test_the_test_tries_again_until_an_orchestrator_leads_and_ends() -> None:
    spec = pod_of("local", "test")["spec"]
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("OnFailure", 180)


@every_combination
def test_it_is_admitted_under_the_restricted_profile(combination: str) -> None:
    for _, pod in pods(combination):
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] != 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert volume.keys() - {"name"} <= RESTRICTED_VOLUMES
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", ()))


@every_combination
def test_memory_is_limited_to_what_is_set_aside_and_cpu_is_not_limited(combination: str) -> None:
    for _, pod in pods(combination):
        for container in containers(pod):
            resources = container["resources"]
            assert resources["limits"] == {"memory": resources["requests"]["memory"]}
            assert resources["requests"].keys() == {"cpu", "memory"}


@every_combination
def test_what_may_be_written_is_bounded(combination: str) -> None:
    for _, pod in pods(combination):
        for volume in pod["spec"]["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"]


@every_combination
def test_no_variable_of_another_service_gets_in(combination: str) -> None:
    for _, pod in pods(combination):
        assert pod["spec"]["enableServiceLinks"] is False


@every_service
@every_combination
def test_probes_ask_over_grpc_what_they_are_for(combination: str, component: str) -> None:
    pod = pod_of(combination, component)
    container = main(pod)
    port = {"port": 50051}
    assert container["startupProbe"]["grpc"] == {**port, "service": "liveness"}
    assert container["readinessProbe"]["grpc"] == port
    assert container["livenessProbe"]["grpc"] == {**port, "service": "liveness"}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["timeoutSeconds"] >= 2
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports["grpc"] == 50051


@every_service
@every_combination
def test_the_kubelet_waits_for_all_of_the_drain(combination: str, component: str) -> None:
    pod = pod_of(combination, component)
    container = main(pod)
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    env = {one["name"]: one.get("value", "") for one in container["env"]}
    prefix = f"CONVERGENCE_{component.upper()}_"
    drain, grace = env[f"{prefix}DRAIN_SECONDS"], env[f"{prefix}GRACE_SECONDS"]
    total = before + int(drain) + int(grace) + OWN_STOP_SECONDS
    assert pod["spec"]["terminationGracePeriodSeconds"] == total


@every_service
@every_combination
def test_only_who_talks_to_kubernetes_has_a_token_for_it(combination: str, component: str) -> None:
    pod = pod_of(combination, component)
    assert pod["spec"]["automountServiceAccountToken"] is (component in {"auth", "orchestrator"})
    accounts = of_kind(combination, "ServiceAccount")
    assert accounts[pod["spec"]["serviceAccountName"]]["automountServiceAccountToken"] is False
    assert pod["spec"]["serviceAccountName"].endswith(f"-{component}")


@every_combination
def test_secrets_come_by_reference_only(combination: str) -> None:
    for secret in of_kind(combination, "Secret").values():
        assert not {"data", "stringData"} & secret.keys()
    for _, pod in pods(combination):
        for container in containers(pod):
            for one in container.get("env", ()):
                if one["name"] == "CONVERGENCE_API_KEY":
                    assert one["valueFrom"].keys() == {"secretKeyRef"}
    text = json.dumps(rendered(combination))
    assert not re.search(r"BEGIN [A-Z ]*PRIVATE KEY|cvg_[a-z]", text)


@every_service
@every_combination
def test_pods_of_a_service_are_spread(combination: str, component: str) -> None:
    pod = pod_of(combination, component)
    keys = [one["topologyKey"] for one in pod["spec"]["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


@every_combination
def test_a_disruption_leaves_somebody_and_stops_no_drain(combination: str) -> None:
    budgets = of_kind(combination, "PodDisruptionBudget")
    for name, deployment in of_kind(combination, "Deployment").items():
        component = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
        if component == "ingest":
            assert budgets[name]["spec"]["maxUnavailable"] == "25%"
        elif deployment["spec"]["replicas"] > 1:
            assert budgets[name]["spec"]["minAvailable"] < deployment["spec"]["replicas"]
        else:
            assert name not in budgets
    assert all(
        one["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" for one in budgets.values()
    )


@every_combination
def test_workers_are_counted_by_one_hand_only(combination: str) -> None:
    (deployment,) = (
        one for name, one in of_kind(combination, "Deployment").items() if name.endswith("-ingest")
    )
    scalers = of_kind(combination, "HorizontalPodAutoscaler")
    assert ("replicas" in deployment["spec"]) is (not scalers)
    for scaler in scalers.values():
        assert scaler["spec"]["metrics"][0]["containerResource"]["name"] == "cpu"
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


def test_the_queue_is_counted_beside_the_processor_where_an_adapter_is_installed() -> None:
    found = [
        metric
        for combination in COMBINATIONS
        for scaler in of_kind(combination, "HorizontalPodAutoscaler").values()
        for metric in scaler["spec"]["metrics"][1:]
    ]
    name = "prometheus.googleapis.com|convergence_orchestrator_slots_wanted|gauge"
    target = {"type": "AverageValue", "averageValue": "1400m"}
    external = {"metric": {"name": name}, "target": target}
    assert found
    assert all(one == {"type": "External", "external": external} for one in found)
