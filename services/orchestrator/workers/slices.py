"""What EndpointSlices say about workers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from services.orchestrator.workers.discovery import Found, Place

PORT: Final = "grpc"
"""Name of the port that workers are called at."""

Slice = Mapping[str, Any]
"""An EndpointSlice of `discovery.k8s.io/v1`, as its JSON."""


def found(slices: Iterable[Slice]) -> Found:
    """Return the workers of all slices of a Service, and whether each takes new work.

    An endpoint may stand in two slices while it moves from one to the other: what either says of it
    to be ready counts.
    """
    workers: dict[Place, bool] = {}
    for one in slices:
        for port in _ports(one):
            for endpoint in one.get("endpoints") or ():
                for place in _places(endpoint, port):
                    workers[place] = workers.get(place, False) or _takes_work(endpoint)
    return workers


def _ports(one: Slice) -> Iterator[int]:
    for port in one.get("ports") or ():
        if port.get("name") == PORT and port.get("port"):
            yield int(port["port"])


def _places(endpoint: Mapping[str, Any], port: int) -> Iterator[Place]:
    """Yield the first address: all of an endpoint's lead to the same pod."""
    uid = str((endpoint.get("targetRef") or {}).get("uid", ""))
    for address in list(endpoint.get("addresses") or ())[:1]:
        host = f"[{address}]" if ":" in address else address
        yield Place(f"{host}:{port}", uid)


def _takes_work(endpoint: Mapping[str, Any]) -> bool:
    """Whether it is ready; one of which nothing is said is."""
    conditions = endpoint.get("conditions") or {}
    return conditions.get("ready") is not False and not conditions.get("terminating")
