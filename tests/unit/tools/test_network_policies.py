"""What the test cluster lets through, against what NetworkPolicy says."""

from typing import Any

import pytest

from tools.cluster.network_policies import selects, table

NAMESPACES = {"mesh": {"team": "a"}, "other": {"team": "b"}}


def pod(name: str, ip: str, namespace: str = "mesh", **labels: str) -> dict[str, Any]:
    ports = [{"name": "grpc", "containerPort": 50051}]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"ports": ports}]},
        "status": {"podIP": ip},
    }


def policy(spec: dict[str, Any], namespace: str = "mesh") -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


PODS = [pod("auth", "10.0.0.1", app="auth"), pod("ingest", "10.0.0.2", app="ingest")]
DENY = policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def chain(text: str, name: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(f"chain {name} {{")
    return lines[start + 1 : lines.index("}", start)]


def test_without_policies_no_pod_is_looked_at() -> None:
    text = table([], PODS, NAMESPACES)
    assert "jump" not in text
    assert "drop" not in text


def test_a_default_deny_drops_both_directions_of_its_own_namespace_alone() -> None:
    text = table([DENY], [*PODS, pod("stranger", "10.0.0.9", "other")], NAMESPACES)
    assert chain(text, "ingress_10_0_0_1") == ["drop"]
    assert chain(text, "egress_10_0_0_2") == ["drop"]
    assert "10_0_0_9" not in text


def test_what_a_rule_allows_comes_before_the_drop() -> None:
    peers = [{"podSelector": {"matchLabels": {"app": "ingest"}}}]
    rule = {"from": peers, "ports": [{"port": "grpc"}]}
    allowed = policy({"podSelector": {"matchLabels": {"app": "auth"}}, "ingress": [rule]})
    text = table([DENY, allowed], PODS, NAMESPACES)
    assert chain(text, "ingress_10_0_0_1") == [
        "ip saddr { 10.0.0.2 } ip daddr 10.0.0.1 tcp dport 50051 return",
        "drop",
    ]
    assert chain(text, "ingress_10_0_0_2") == ["drop"]


def test_a_pod_selector_means_pods_of_the_policys_namespace_only() -> None:
    rule: dict[str, Any] = {"from": [{"podSelector": {}}]}
    allowed = policy({"podSelector": {}, "ingress": [rule]})
    text = table([allowed], [*PODS, pod("stranger", "10.0.0.9", "other")], NAMESPACES)
    assert "10.0.0.9" not in text


def test_a_namespace_selector_with_a_pod_selector_needs_both() -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"team": "b"}},
        "podSelector": {"matchLabels": {"app": "probe"}},
    }
    pods = [
        *PODS,
        pod("probe", "10.0.0.8", "other", app="probe"),
        pod("stranger", "10.0.0.9", "other"),
    ]
    allowed = policy({"podSelector": {}, "ingress": [{"from": [peer]}]})
    text = table([allowed], pods, NAMESPACES)
    assert chain(text, "ingress_10_0_0_1") == ["ip saddr { 10.0.0.8 } return", "drop"]


def test_an_egress_to_a_block_leaves_out_its_exceptions_and_reaches_the_node_too() -> None:
    block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    rule = {"to": [block], "ports": [{"port": 443, "endPort": 445}]}
    allowed = policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]})
    text = table([allowed], PODS, NAMESPACES)
    assert chain(text, "egress_10_0_0_1") == [
        "ip daddr 0.0.0.0/0 ip daddr != { 10.0.0.0/8 } tcp dport 443-445 return",
        "drop",
    ]
    assert "ip saddr 10.0.0.1 jump egress_10_0_0_1" in chain(text, "input")


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ["a", "b"], {"x": "a"}, True),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {}, True),
        ("NotIn", ["a"], {"x": "a"}, False),
        ("Exists", None, {"x": ""}, True),
        ("Exists", None, {}, False),
        ("DoesNotExist", None, {}, True),
        ("DoesNotExist", None, {"x": "a"}, False),
    ],
)
def test_expressions_select_as_kubernetes_does(
    operator: str, values: list[str] | None, labels: dict[str, str], expected: bool
) -> None:
    expression = {"key": "x", "operator": operator, **({"values": values} if values else {})}
    assert selects({"matchExpressions": [expression]}, labels) is expected


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selects(None, {"x": "a"})
    assert selects({}, {"x": "a"})
