"""What each account may do with the API of Kubernetes: this table, and nothing else."""

from typing import Any

import pytest

from tests.chart.rendering import (
    COMBINATIONS,
    NAMESPACE,
    PROJECT,
    RELEASE,
    SERVICES,
    merged,
    of_kind,
    render,
)

Right = tuple[str, str, tuple[str, ...], str]

RIGHTS: dict[str, set[Right]] = {
    "auth": {
        ("authentication.k8s.io", "tokenreviews", (), "create"),
        ("", "secrets", (f"{RELEASE}-signing-key",), "get"),
        ("", "secrets", (f"{RELEASE}-signing-key",), "update"),
    },
    "ingest": set(),
    "orchestrator": {
        ("coordination.k8s.io", "leases", (f"{RELEASE}-orchestrator",), "get"),
        ("coordination.k8s.io", "leases", (f"{RELEASE}-orchestrator",), "update"),
        ("discovery.k8s.io", "endpointslices", (), "list"),
        ("discovery.k8s.io", "endpointslices", (), "watch"),
        ("", "pods", (), "list"),
        ("", "pods", (), "patch"),
    },
    "quality": set(),
}


def rights(role: dict[str, Any]) -> set[Right]:
    return {
        (group, resource, tuple(rule.get("resourceNames", ())), verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_an_account_has_the_rights_of_the_table(combination: str, service: str) -> None:
    roles = {
        **{("Role", name): one for name, one in of_kind(combination, "Role").items()},
        **{("ClusterRole", name): one for name, one in of_kind(combination, "ClusterRole").items()},
    }
    found: set[Right] = set()
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in of_kind(combination, kind).values():
            (subject,) = binding["subjects"]
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", NAMESPACE)
            if subject["name"] == f"{RELEASE}-{service}":
                found |= rights(roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]])
    assert found == RIGHTS[service]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_lease_and_the_signing_key_are_made_without_content(combination: str) -> None:
    (lease,) = of_kind(combination, "Lease").values()
    (secret,) = of_kind(combination, "Secret").values()
    for one in (lease, secret):
        assert one.keys() <= {"apiVersion", "kind", "metadata", "type"}
        assert one["metadata"].keys() == {"name", "namespace", "labels"}


def test_an_account_of_google_is_an_annotation() -> None:
    account = "loader@acme-data.iam.gserviceaccount.com"
    values = merged(PROJECT, {"services": {"ingest": {"googleServiceAccount": account}}})
    annotations = {
        one["metadata"]["name"]: one["metadata"].get("annotations", {})
        for one in render(values)
        if one["kind"] == "ServiceAccount"
    }
    assert annotations[f"{RELEASE}-ingest"] == {"iam.gke.io/gcp-service-account": account}
    assert annotations[f"{RELEASE}-auth"] == {}
