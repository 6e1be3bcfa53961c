"""The Lease of a mesh whose orchestrators are elected at an API server: who holds it, and since which epoch."""

import contextlib
import functools
import json
from typing import Any, Final

from kubernetes.client.api.coordination_v1_api import CoordinationV1Api
from kubernetes.client.exceptions import NotFoundException
from kubernetes.config import new_client_from_config

from services.orchestrator.elections.kubernetes_election import ANNOTATION

NAMESPACE: Final = "default"
NAME: Final = "faults-orchestrator"


@functools.cache
def _leases(kubeconfig: str) -> Any:
    return CoordinationV1Api(new_client_from_config(config_file=kubeconfig))  # type: ignore[no-untyped-call]


def create(kubeconfig: str) -> None:
    """Make the Lease anew, with nobody in it."""
    with contextlib.suppress(NotFoundException):
        _leases(kubeconfig).delete_namespaced_lease(NAME, NAMESPACE)
    _leases(kubeconfig).create_namespaced_lease(NAMESPACE, {"metadata": {"name": NAME}})


def holder(kubeconfig: str) -> int | None:
    """Return the process that the Lease names, None if it names none."""
    spec = _read(kubeconfig).spec
    pod, _, _ = ((spec and spec.holder_identity) or "").rpartition("_")
    return int(pod.rpartition("-")[2]) if pod else None


def epoch(kubeconfig: str) -> int:
    """Return the epoch that the Lease names."""
    return int(json.loads(_read(kubeconfig).metadata.annotations[ANNOTATION])["epoch"])


def _read(kubeconfig: str) -> Any:
    return _leases(kubeconfig).read_namespaced_lease(NAME, NAMESPACE)
