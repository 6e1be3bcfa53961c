"""The EndpointSlices of a mesh whose orchestrators find workers at an API server: one slice a worker."""

import contextlib
import functools
from typing import Any, Final

from kubernetes.client.api.discovery_v1_api import DiscoveryV1Api
from kubernetes.client.exceptions import NotFoundException
from kubernetes.config import new_client_from_config

NAMESPACE: Final = "default"
SERVICE: Final = "faults-ingest"


@functools.cache
def _slices(kubeconfig: str) -> Any:
    return DiscoveryV1Api(new_client_from_config(config_file=kubeconfig))  # type: ignore[no-untyped-call]


def put(kubeconfig: str, worker: str, address: str, *, uid: str, terminating: bool = False) -> None:
    """Say that a worker is there, at `host:port`."""
    host, _, port = address.rpartition(":")
    conditions = {"ready": not terminating, "serving": True, "terminating": terminating}
    metadata: dict[str, Any] = {"name": worker, "labels": {"kubernetes.io/service-name": SERVICE}}
    body = {
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"name": "grpc", "port": int(port)}],
        "endpoints": [{"addresses": [host], "conditions": conditions, "targetRef": {"uid": uid}}],
    }
    slices = _slices(kubeconfig)
    try:
        old = slices.read_namespaced_endpoint_slice(worker, NAMESPACE)
    except NotFoundException:
        slices.create_namespaced_endpoint_slice(NAMESPACE, body)
    else:
        metadata["resourceVersion"] = old.metadata.resource_version
        slices.replace_namespaced_endpoint_slice(worker, NAMESPACE, body)


def remove(kubeconfig: str, worker: str) -> None:
    """Say that a worker is gone."""
    with contextlib.suppress(NotFoundException):
        _slices(kubeconfig).delete_namespaced_endpoint_slice(worker, NAMESPACE)
