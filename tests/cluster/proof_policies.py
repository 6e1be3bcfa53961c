"""Proof 5: who may reach whom, who may do what, and under which profile pods are admitted."""

import re

import pytest

from tests.cluster import kube, release

STRANGER = "stranger"
IMAGE = f"{release.REPOSITORY}:dev"
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("reached")
except TimeoutError:
    print("timed out")
"""
EVERYONE = {
    ("selfsubjectaccessreviews.authorization.k8s.io", "create"),
    ("selfsubjectrulesreviews.authorization.k8s.io", "create"),
    ("selfsubjectreviews.authentication.k8s.io", "create"),
}
"""What Kubernetes lets every account do: ask about itself."""

ALLOWED: dict[str, set[tuple[str, str]]] = {
    "auth": {
        ("tokenreviews.authentication.k8s.io", "create"),
        ("secrets [convergence-signing-key]", "get"),
        ("secrets [convergence-signing-key]", "update"),
    },
    "orchestrator": {
        ("leases.coordination.k8s.io [convergence-orchestrator]", "get"),
        ("leases.coordination.k8s.io [convergence-orchestrator]", "update"),
        ("endpointslices.discovery.k8s.io", "list"),
        ("endpointslices.discovery.k8s.io", "watch"),
        ("pods", "list"),
        ("pods", "patch"),
    },
    "ingest": set(),
    "quality": set(),
}
"""What each service's account may do beside that, as `kubectl auth can-i --list` says it."""


def rights(mesh: release.Release, service: str) -> set[tuple[str, str]]:
    account = f"system:serviceaccount:{mesh.namespace}:{release.NAME}-{service}"
    listed = mesh.kubectl("auth", "can-i", "--list", f"--as={account}", "--no-headers")
    found: set[tuple[str, str]] = set()
    for line in listed.splitlines():
        parsed = re.fullmatch(r"(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]\s*", line)
        assert parsed, line
        resource, urls, names, verbs = parsed.groups()
        if urls:
            continue  # what everybody may read of the API itself
        named = f"{resource} [{names}]" if names else resource
        found |= {(named, verb) for verb in verbs.split()}
    return found


@pytest.mark.parametrize("service", release.SERVICES)
def test_each_account_may_do_what_is_listed_and_no_more(
    mesh: release.Release, service: str
) -> None:
    assert rights(mesh, service) - EVERYONE == ALLOWED[service]


def test_the_orchestrators_account_may_set_its_label_on_its_own_kind_of_pod_alone(
    mesh: release.Release,
) -> None:
    leads = {"metadata": {"labels": {"convergence.dev/role": "active"}}}
    assert patched(mesh, "orchestrator", leads) == (200, "")
    for service in ("auth", "ingest", "quality"):
        status, said = patched(mesh, service, leads)
        assert (status, "pods of the orchestrator of its own release only" in said) == (422, True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metadata": {"labels": {"team": "other"}}}, "no label but convergence.dev/role"),
        (
            {"metadata": {"labels": {"convergence.dev/role": "other"}}},
            "is `active`, or is not there",
        ),
        ({"metadata": {"annotations": {"a": "b"}}}, "nothing of a pod but the label"),
    ],
)
def test_the_orchestrators_account_changes_nothing_else_of_its_own_pods(
    mesh: release.Release, change: kube.Thing, why: str
) -> None:
    status, said = patched(mesh, "orchestrator", change)
    assert (status, why in said) == (422, True), said


def patched(mesh: release.Release, service: str, change: kube.Thing) -> tuple[int, str]:
    """Try a change of a service's pod in the orchestrator's name."""
    account = f"system:serviceaccount:{mesh.namespace}:{release.NAME}-orchestrator"
    pod = mesh.pods(service)[0]["metadata"]["name"]
    status, said = kube.patch_as(account, f"namespaces/{mesh.namespace}/pods/{pod}", change)
    return status, said if status >= 400 else ""


def test_every_pod_is_admitted_under_the_restricted_profile(mesh: release.Release) -> None:
    namespace = kube.one("namespace", mesh.namespace)
    assert release.RESTRICTED.items() <= namespace["metadata"]["labels"].items()
    for component in release.COMPONENTS:
        assert mesh.pods(component), component
    bare = ["run", "bare", f"--image={IMAGE}", "--restart=Never", "--", "libs.client.cli"]
    with pytest.raises(kube.Failed, match="violates PodSecurity"):
        mesh.kubectl(*bare)


@pytest.fixture
def stranger(mesh: release.Release) -> str:
    """A pod of the same namespace that is no part of the mesh."""
    kube.apply(pod(mesh.namespace))
    mesh.kubectl("wait", "--for=condition=Ready", f"pod/{STRANGER}", "--timeout=60s")
    return STRANGER


@pytest.mark.parametrize("service", ["ingest", "quality", "bigquery"])
def test_a_pod_without_the_right_label_reaches_nobody_inside(
    mesh: release.Release, stranger: str, service: str
) -> None:
    port = "9050" if service == "bigquery" else "50051"
    address = mesh.pods(service)[0]["status"]["podIP"]
    assert reaches(mesh, "orchestrator", address, port)
    assert not reaches(mesh, stranger, address, port)


def reaches(mesh: release.Release, source: str, address: str, port: str) -> bool:
    """Say whether a connection is made, or silently comes to nothing."""
    name = source if source == STRANGER else mesh.pods(source)[0]["metadata"]["name"]
    words = ["exec", name, "--", "/opt/convergence/bin/python", "-c", CONNECT, address, port]
    said = mesh.kubectl(*words).strip()
    assert said in {"reached", "timed out"}, said
    return said == "reached"


def pod(namespace: str) -> kube.Thing:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "stranger",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/usr/bin/tini", "--", "sleep", "3600"],
        "securityContext": security,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": STRANGER, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }
