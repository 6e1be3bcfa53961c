"""What EndpointSlices say about workers."""

from typing import Any

import pytest

from services.orchestrator.workers.discovery import Place
from services.orchestrator.workers.slices import found


def endpoint(address: str = "10.0.0.1", uid: str = "u1", **conditions: Any) -> Any:
    return {"addresses": [address], "conditions": conditions, "targetRef": {"uid": uid}}


def piece(*endpoints: Any, ports: Any = ({"name": "grpc", "port": 50051},)) -> Any:
    return {"endpoints": list(endpoints), "ports": list(ports)}


ONE = Place("10.0.0.1:50051", "u1")


@pytest.mark.parametrize(
    ("conditions", "takes_work"),
    [
        ({"ready": True, "serving": True, "terminating": False}, True),
        ({"ready": True}, True),
        ({}, True),
        ({"ready": None}, True),
        ({"ready": False, "serving": False, "terminating": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "serving": True, "terminating": True}, False),
    ],
)
def test_a_worker_takes_work_while_it_is_ready_and_stays(
    conditions: dict[str, Any], takes_work: bool
) -> None:
    assert found([piece(endpoint(**conditions))]) == {ONE: takes_work}


def test_conditions_may_be_missing_altogether() -> None:
    assert found([piece({"addresses": ["10.0.0.1"]})]) == {Place("10.0.0.1:50051"): True}


@pytest.mark.parametrize("nothing", [{}, {"endpoints": None, "ports": None}, piece()])
def test_a_slice_may_hold_nobody(nothing: Any) -> None:
    assert found([nothing]) == {}
    assert found([]) == {}


def test_only_the_port_named_grpc_is_called() -> None:
    ports = [{"name": "admin", "port": 9090}, {"name": "grpc", "port": 7}, {"name": "grpc"}]
    assert found([piece(endpoint(), ports=ports)]) == {Place("10.0.0.1:7", "u1"): True}
    assert found([piece(endpoint(), ports=[{"name": "", "port": 7}])]) == {}


def test_workers_of_all_slices_count_and_who_stands_in_two_is_one() -> None:
    first = piece(endpoint(ready=False), endpoint("10.0.0.2", "u2", ready=True))
    second = piece(endpoint(ready=True), endpoint("10.0.0.2", "u2", ready=False))
    assert found([first, second]) == {ONE: True, Place("10.0.0.2:50051", "u2"): True}


def test_another_pod_at_the_same_address_is_another_worker() -> None:
    assert found([piece(endpoint(uid="u9"))]) == {Place("10.0.0.1:50051", "u9"): True}


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert found([piece(endpoint("fd00::1"))]) == {Place("[fd00::1]:50051", "u1"): True}


def test_of_several_addresses_of_a_pod_one_is_called() -> None:
    assert found([piece({"addresses": ["10.0.0.1", "10.0.0.9"]})]) == {
        Place("10.0.0.1:50051"): True
    }
