"""What callers from outside reach: the services of the edge, each by its full name, and no other."""

from typing import Any

import pytest
import yaml

from libs.local.edge.routes import owner
from services.orchestrator.api.access import EDGE_SERVICES
from tests.chart.rendering import CHART, RELEASE, of_kind

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
MESH = yaml.safe_load((CHART / "files" / "mesh.yaml").read_text())
INNER = (
    "convergence.auth.v1.AuthService",
    "convergence.ingest.v1.IngestService",
    "convergence.quality.v1.QualityService",
)


def routed(combination: str, path: str) -> str:
    """Return the Service that a path goes to, empty if to none: prefixes match whole elements."""
    (route,) = of_kind(combination, "HTTPRoute").values()
    elements = path.strip("/").split("/")
    for rule in route["spec"]["rules"]:
        for match in rule["matches"]:
            assert match["path"]["type"] == "PathPrefix"
            wanted = match["path"]["value"].strip("/").split("/")
            if elements[: len(wanted)] == wanted:
                name: str = rule["backendRefs"][0]["name"]
                return name
    return ""


@pytest.mark.parametrize("service", [*EDGE_SERVICES, REFLECTION])
def test_a_service_of_the_edge_goes_where_the_local_edge_sends_it(service: str) -> None:
    assert routed("gke", f"/{service}/Method") == f"{RELEASE}-{owner(f'/{service}/Method')}"


@pytest.mark.parametrize("service", INNER)
def test_a_service_of_the_inside_goes_nowhere(service: str) -> None:
    assert routed("gke", f"/{service}/Method") == ""


def test_the_list_of_routes_is_that_of_the_edge() -> None:
    listed = [name for entry in MESH["services"].values() for name in entry.get("routes", ())]
    assert sorted(listed) == sorted([*EDGE_SERVICES, REFLECTION])


@pytest.mark.parametrize(("combination", "port", "protocol"), [("gke", 443, "HTTP2")])
def test_the_route_ends_at_a_port_that_speaks_http2(
    combination: str, port: int, protocol: str
) -> None:
    (route,) = of_kind(combination, "HTTPRoute").values()
    services = of_kind(combination, "Service")
    for rule in route["spec"]["rules"]:
        (backend,) = rule["backendRefs"]
        ports = {one["port"]: one for one in services[backend["name"]]["spec"]["ports"]}
        assert backend["port"] == port
        assert ports[port]["appProtocol"] == protocol


def test_without_tls_it_ends_at_the_plain_port() -> None:
    plain: list[dict[str, Any]] = [
        rule
        for row in range(8)
        if of_kind(f"pairs-{row}", "HTTPRoute")
        and not any("tls" in _ports(f"pairs-{row}", service) for service in ("auth",))
        for route in of_kind(f"pairs-{row}", "HTTPRoute").values()
        for rule in route["spec"]["rules"]
    ]
    assert plain
    assert {rule["backendRefs"][0]["port"] for rule in plain} == {50051}


def _ports(combination: str, service: str) -> set[str]:
    found = of_kind(combination, "Service")[f"{RELEASE}-{service}"]
    return {one["name"] for one in found["spec"]["ports"]}


@pytest.mark.parametrize("combination", ["default", "gke", "local"])
def test_callers_of_the_orchestrator_reach_the_leader_only(combination: str) -> None:
    services = of_kind(combination, "Service")
    leading = {
        name for name, one in services.items() if "convergence.dev/role" in one["spec"]["selector"]
    }
    assert leading == {f"{RELEASE}-orchestrator"}
    selector = services[f"{RELEASE}-orchestrator"]["spec"]["selector"]
    assert selector["convergence.dev/role"] == "active"


def test_no_pod_is_born_a_leader() -> None:
    for deployment in of_kind("default", "Deployment").values():
        assert "convergence.dev/role" not in deployment["spec"]["template"]["metadata"]["labels"]


def test_workers_are_found_one_by_one() -> None:
    assert of_kind("default", "Service")[f"{RELEASE}-ingest"]["spec"]["clusterIP"] == "None"
