"""Who reaches whom: every edge of the mesh is open, and nothing else is."""

import itertools
from typing import Any, Final

import pytest

from tests.chart.network import Place, allowed
from tests.chart.rendering import COMBINATIONS, NAMESPACE, RELEASE, of_kind, pods

GRPC, TLS, ADMIN, REST, STORAGE = 50051, 50443, 9090, 9050, 9060
INSIDE: Final = {
    ("ingest", "auth", GRPC),
    ("orchestrator", "auth", GRPC),
    ("orchestrator", "ingest", GRPC),
    ("orchestrator", "quality", GRPC),
    ("quality", "auth", GRPC),
}
"""The edges of the mesh, wherever it runs."""
BIGQUERY: Final = {
    (caller, "bigquery", port)
    for caller in ("auth", "ingest", "orchestrator", "quality")
    for port in (REST, STORAGE)
}
TRIAL: Final = {
    ("edge", "auth", GRPC),
    ("edge", "orchestrator", GRPC),
    ("test", "edge", GRPC),
}
DNS: Final = {
    (caller, "dns", 53) for caller in ("auth", "ingest", "orchestrator", "quality", "edge", "test")
}
API: Final = {("auth", "api", 6443), ("orchestrator", "api", 6443)}
EXPECTED: Final[dict[str, set[tuple[str, str, int]]]] = {
    "local": INSIDE
    | BIGQUERY
    | TRIAL
    | DNS
    | API
    | {
        ("ingest", "internet", 443),
        # Where the API of Kubernetes is nobody said, so its ports are open.
        ("auth", "internet", 443),
        ("orchestrator", "internet", 443),
        ("auth", "neighbour", 443),
        ("orchestrator", "neighbour", 443),
    },
    "gke": INSIDE
    | API
    | {one for one in DNS if one[0] != "edge"}
    | {
        ("proxy", "auth", TLS),
        ("proxy", "orchestrator", TLS),
        # The load balancer's health check.
        ("proxy", "auth", ADMIN),
        ("proxy", "orchestrator", ADMIN),
        *(
            ("collector", service, ADMIN)
            for service in ("auth", "ingest", "orchestrator", "quality")
        ),
        *((service, "internet", 443) for service in ("auth", "ingest", "orchestrator", "quality")),
        *((service, "metadata", 80) for service in ("auth", "ingest", "orchestrator", "quality")),
        # git over ssh.
        ("auth", "internet", 22),
        ("orchestrator", "internet", 22),
        ("auth", "neighbour", 443),
        ("orchestrator", "neighbour", 443),
    },
}
OUTSIDE: Final = (
    Place(name="stranger", address="10.4.0.77", namespace=NAMESPACE, labels={"app": "other"}),
    Place(
        name="twin",
        address="10.4.0.78",
        namespace="elsewhere",
        labels={
            "app.kubernetes.io/name": "convergence",
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/component": "orchestrator",
        },
    ),
    Place(name="dns", address="10.4.0.2", namespace="kube-system", labels={"k8s-app": "kube-dns"}),
    Place(
        name="collector", address="10.4.0.3", namespace="gmp-system", labels={"app": "collector"}
    ),
    Place(name="proxy", address="35.191.12.1"),
    Place(name="internet", address="142.250.1.1"),
    Place(name="neighbour", address="10.200.0.9"),
    Place(name="metadata", address="169.254.169.254"),
    Place(name="api", address="10.250.0.1"),
)
PORTS: Final = (22, 53, 80, 443, 6443, REST, STORAGE, ADMIN, GRPC, TLS)


def own(combination: str) -> tuple[Place, ...]:
    """Return the pods of the release."""
    return tuple(
        Place(
            name=component,
            address=f"10.4.1.{number}",
            namespace=NAMESPACE,
            labels=pod["metadata"]["labels"],
        )
        for number, (component, pod) in enumerate(pods(combination), start=1)
    )


def open_edges(combination: str, policies: list[dict[str, Any]]) -> set[tuple[str, str, int]]:
    """Return every connection that is let through and begins or ends at a pod of the release."""
    inside = own(combination)
    pairs = itertools.chain(
        itertools.product(inside, inside),
        itertools.product(inside, OUTSIDE),
        itertools.product(OUTSIDE, inside),
    )
    return {
        (source.name, target.name, port)
        for source, target in pairs
        for port in PORTS
        if source is not target
        and allowed(policies, source, target, port, "UDP" if port == 53 else "TCP")
        # The API's own ports are the same at every address; one of each kind is looked at.
        and not (port == 6443 and target.name != "api")
        and not (target.name in {"api", "proxy", "metadata"} and port == 443)
        and not (target.name == "proxy" and port == 22)
        and not (target.name not in {"internet", "neighbour"} and target.pod and port == 443)
    }


@pytest.mark.parametrize("combination", EXPECTED)
def test_exactly_the_edges_of_the_mesh_are_open(combination: str) -> None:
    policies = list(of_kind(combination, "NetworkPolicy").values())
    assert open_edges(combination, policies) == EXPECTED[combination]


@pytest.mark.parametrize("name", ["default-deny", "auth", "ingest"])
def test_without_one_of_the_policies_another_table_comes_out(name: str) -> None:
    policies = of_kind("local", "NetworkPolicy")
    del policies[f"{RELEASE}-{name}"]
    if name == "default-deny":
        stray = {"app.kubernetes.io/name": "convergence", "app.kubernetes.io/instance": RELEASE}
        place = Place(name="stray", address="10.4.1.99", namespace=NAMESPACE, labels=stray)
        assert allowed(list(policies.values()), place, OUTSIDE[5], 443)
    else:
        assert open_edges("local", list(policies.values())) != EXPECTED["local"]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_edges_inside_are_the_same_in_every_combination_and_no_stranger_has_one(
    combination: str,
) -> None:
    policies = list(of_kind(combination, "NetworkPolicy").values())
    if not COMBINATIONS[combination].get("network", {}).get("enabled", True):
        assert policies == []
        return
    found = open_edges(combination, policies)
    services = {"auth", "ingest", "orchestrator", "quality"}
    assert {one for one in found if {one[0], one[1]} <= services} == INSIDE
    strangers = {"stranger", "twin", "internet", "neighbour", "metadata", "api", "dns"}
    assert {one for one in found if one[0] in strangers} == set()


@pytest.mark.parametrize("combination", ["gke", "local"])
def test_a_pod_of_the_release_that_no_policy_names_reaches_nothing(combination: str) -> None:
    policies = list(of_kind(combination, "NetworkPolicy").values())
    labels = {
        "app.kubernetes.io/name": "convergence",
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": "intruder",
    }
    intruder = Place(name="intruder", address="10.4.1.99", namespace=NAMESPACE, labels=labels)
    everywhere = (*own(combination), *OUTSIDE)
    assert not any(
        allowed(policies, intruder, place, port) or allowed(policies, place, intruder, port)
        for place in everywhere
        for port in PORTS
    )
