"""Enforces NetworkPolicy objects on the cluster's only node, as a network of GKE would.

Twice a second pods, namespaces and policies are read and written as one nftables table. Pods are
routed through the node: the forward hook sees what goes from pod to pod, the input hook what goes
to the API server, both after a Service's address was replaced by a pod's. What the node sends of
itself, such as a kubelet's probes, passes. Open connections stay open, as with most enforcers.
"""

import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from tools.cluster.places import API, PKI

Thing = Mapping[str, Any]
"""A Kubernetes object, or a part of one."""

LOOK_SECONDS: Final = 0.5
NAME: Final = "inet network_policies"
ENDED: Final = ("Succeeded", "Failed")


def selects(selector: Thing | None, labels: Mapping[str, str]) -> bool:
    """Say whether a LabelSelector matches; none selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(part, labels) for part in selector.get("matchExpressions") or ())


def _holds(expression: Thing, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"found operator {other}; allowed are those of LabelSelector")


def table(
    policies: Sequence[Thing], pods: Sequence[Thing], namespaces: Mapping[str, Mapping[str, str]]
) -> str:
    """Return the nftables text that enforces these policies on these running pods.

    Args:
        policies: NetworkPolicy objects of all namespaces.
        pods: Pods with an address of their own.
        namespaces: Labels by name.
    """
    chains: list[str] = []
    jumps: dict[str, list[str]] = {"Ingress": [], "Egress": []}
    for pod in pods:
        for direction, own in (("Ingress", "daddr"), ("Egress", "saddr")):
            specs = [p["spec"] for p in policies if _applies(p, pod, direction)]
            if not specs:
                continue
            ip = _ip(pod)
            name = f"{direction.lower()}_{ip.replace('.', '_')}"
            jumps[direction].append(f"ip {own} {ip} jump {name}")
            allowed = sorted(
                {
                    rule
                    for spec in specs
                    for rule in _allowed(spec, direction, pod, pods, namespaces)
                }
            )
            chains.append(_chain(name, [*allowed, "drop"]))
    known = "ct state established,related accept"
    for hook, rules in (
        ("forward", jumps["Ingress"] + jumps["Egress"]),
        ("input", jumps["Egress"]),
    ):
        head = f"type filter hook {hook} priority 10; policy accept;"
        chains.append(_chain(hook, [head, known, *rules]))
    # Naming the table before deleting it makes that succeed where there is none yet.
    return f"table {NAME}\ndelete table {NAME}\ntable {NAME} {{\n" + "\n".join(chains) + "\n}\n"


def _chain(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"chain {name} {{", *lines, "}"])


def _applies(policy: Thing, pod: Thing, direction: str) -> bool:
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and direction in spec.get("policyTypes", ["Ingress"])
        and selects(spec.get("podSelector", {}), _labels(pod))
    )


def _allowed(
    spec: Thing,
    direction: str,
    pod: Thing,
    pods: Sequence[Thing],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    side, key = ("saddr", "from") if direction == "Ingress" else ("daddr", "to")
    targets = [pod] if direction == "Ingress" else pods
    for rule in spec.get(direction.lower()) or ():
        for peer in _peers(rule.get(key), side, pod["metadata"]["namespace"], pods, namespaces):
            for port in _ports(rule.get("ports"), targets):
                yield " ".join(filter(None, (peer, port, "return")))


def _peers(
    peers: Sequence[Thing] | None,
    side: str,
    namespace: str,
    pods: Sequence[Thing],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    if not peers:
        yield ""  # anybody
    for peer in peers or ():
        if block := peer.get("ipBlock"):
            if ip_network(block["cidr"]).version == 4:
                but = ", ".join(block.get("except") or ())
                yield f"ip {side} {block['cidr']}" + (f" ip {side} != {{ {but} }}" if but else "")
            continue
        chosen = {namespace}
        if "namespaceSelector" in peer:
            selector = peer["namespaceSelector"]
            chosen = {name for name, labels in namespaces.items() if selects(selector, labels)}
        addresses = sorted(
            _ip(pod)
            for pod in pods
            if pod["metadata"]["namespace"] in chosen
            and selects(peer.get("podSelector", {}), _labels(pod))
        )
        if addresses:
            yield f"ip {side} {{ {', '.join(addresses)} }}"


def _ports(ports: Sequence[Thing] | None, targets: Sequence[Thing]) -> Iterator[str]:
    if not ports:
        yield ""  # any
    for port in ports or ():
        protocol, wanted = port.get("protocol", "TCP").lower(), port.get("port")
        if wanted is None:
            yield f"meta l4proto {protocol}"
        elif isinstance(wanted, int):
            last = f"-{port['endPort']}" if "endPort" in port else ""
            yield f"{protocol} dport {wanted}{last}"
        else:
            yield from _named_port(wanted, protocol, targets)


def _named_port(name: str, protocol: str, targets: Sequence[Thing]) -> Iterator[str]:
    for pod in targets:
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or ():
                if port.get("name") == name and port.get("protocol", "TCP").lower() == protocol:
                    yield f"ip daddr {_ip(pod)} {protocol} dport {port['containerPort']}"


def _labels(thing: Thing) -> Mapping[str, str]:
    labels: Mapping[str, str] = thing["metadata"].get("labels") or {}
    return labels


def _ip(pod: Thing) -> str:
    return str(pod["status"]["podIP"])


def _enforce() -> None:
    context = ssl.create_default_context(cafile=PKI / "ca.crt")
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")

    def read(path: str) -> list[Thing]:
        with urllib.request.urlopen(API + path, context=context, timeout=5) as reply:  # noqa: S310
            items: list[Thing] = json.load(reply)["items"]
            return items

    applied = ""
    while True:
        try:
            pods = [pod for pod in read("/api/v1/pods") if _routed(pod)]
            namespaces = {n["metadata"]["name"]: _labels(n) for n in read("/api/v1/namespaces")}
            policies = read("/apis/networking.k8s.io/v1/networkpolicies")
            if (wanted := table(policies, pods, namespaces)) != applied:
                subprocess.run(["nft", "-f", "-"], input=wanted, text=True, check=True)
                applied = wanted
        except (OSError, subprocess.CalledProcessError) as error:
            print(error, flush=True)
        time.sleep(LOOK_SECONDS)


def _routed(pod: Thing) -> bool:
    """Say whether a pod has an address of its own and still runs."""
    status = pod["status"]
    own = not pod["spec"].get("hostNetwork")
    return bool(status.get("podIP")) and own and status.get("phase") not in ENDED


if __name__ == "__main__":
    _enforce()
