"""What NetworkPolicies let through, as their reference says it: for addresses of IPv4, numbered ports and ranges."""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

Policy = dict[str, Any]
NAME: Final = "kubernetes.io/metadata.name"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A pod, or an address outside of the cluster: that has no labels and no namespace."""

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def pod(self) -> bool:
        return bool(self.namespace)


def allowed(
    policies: Sequence[Policy], source: Place, target: Place, port: int, protocol: str = "TCP"
) -> bool:
    """Return whether `source` may open a connection to `target`: what it sends and what that takes."""
    return _passes(policies, "Egress", source, target, port, protocol) and _passes(
        policies, "Ingress", target, source, port, protocol
    )


def _passes(
    policies: Sequence[Policy], side: str, here: Place, there: Place, port: int, protocol: str
) -> bool:
    """Return whether the policies of the pod `here` let through on one side; without any, all passes."""
    if not here.pod:
        return True
    own = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == here.namespace
        and selects(policy["spec"]["podSelector"], here.labels)
        and side in policy["spec"]["policyTypes"]
    ]
    key, peers = ("egress", "to") if side == "Egress" else ("ingress", "from")
    rules = [(policy, rule) for policy in own for rule in policy["spec"].get(key, ())]
    return not own or any(
        _reaches(rule.get(peers), there, policy["metadata"]["namespace"])
        and _opens(rule.get("ports"), port, protocol)
        for policy, rule in rules
    )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a LabelSelector matches; an empty one matches everything."""
    assert selector.keys() <= {"matchLabels"}, "the chart writes no other selectors"
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def _reaches(peers: Sequence[Mapping[str, Any]] | None, there: Place, namespace: str) -> bool:
    """Return whether a peer of a rule is `there`; no list means anywhere, an empty one too."""
    return not peers or any(_is(peer, there, namespace) for peer in peers)


def _is(peer: Mapping[str, Any], there: Place, namespace: str) -> bool:
    if "ipBlock" in peer:
        address = ipaddress.ip_address(there.address)
        block = peer["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(one) for one in block.get("except", ())
        )
    if not there.pod:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {NAME: there.namespace}):
            return False
    elif there.namespace != namespace:
        return False
    return selects(peer.get("podSelector", {}), there.labels)


def _opens(ports: Sequence[Mapping[str, Any]] | None, port: int, protocol: str) -> bool:
    return not ports or any(
        one.get("protocol", "TCP") == protocol and _within(one, port) for one in ports
    )


def _within(one: Mapping[str, Any], port: int) -> bool:
    first = one.get("port")
    return first is None or first <= port <= one.get("endPort", first)
