"""The label that the orchestrator's Service selects: on the pod of the one that leads, and on no other."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from kubernetes.client.api.core_v1_api import CoreV1Api

from libs.kubernetes.cluster import NOT_FOUND, Call, Cluster, ClusterRefused
from libs.kubernetes.names import ObjectName

LABEL: Final = "convergence.dev/role"
ACTIVE: Final = "active"
CALL_SECONDS: Final = 2.0


class KubernetesRole:
    """Labels the pod of a candidate.

    Args:
        cluster: Where the pods are.
        lease: Names their namespace, and the own one.
        renew: Renews the lease, or raises LeaseTaken or LeaseLost: who was stopped and wakes up
            beside its successor must not take the label off that one.
    """

    def __init__(
        self, cluster: Cluster, lease: ObjectName, renew: Callable[[], Awaitable[None]]
    ) -> None:
        self._cluster = cluster
        self._api = CoreV1Api(cluster.client)
        self._namespace = lease.namespace
        self._pod = lease.pod
        self._renew = renew

    async def take(self) -> None:
        await self._renew()
        labelled = await self._labelled()
        for pod in labelled - {self._pod}:
            try:
                await self._label(pod, None)
            except ClusterRefused as error:
                if error.status != NOT_FOUND:
                    raise
        if self._pod not in labelled:
            await self._label(self._pod, ACTIVE)

    async def leave(self) -> None:
        await self._label(self._pod, None)

    async def _labelled(self) -> set[str]:
        listed = await self._cluster.call_raw(
            self._call("list", "pods"),
            self._api.list_namespaced_pod,
            namespace=self._namespace,
            label_selector=f"{LABEL}={ACTIVE}",
        )
        return {pod["metadata"]["name"] for pod in listed["items"] or ()}

    async def _label(self, pod: str, value: str | None) -> None:
        body: dict[str, Any] = {"metadata": {"labels": {LABEL: value}}}
        await self._cluster.call_raw(
            self._call("patch", f"pod {pod}"),
            self._api.patch_namespaced_pod,
            name=pod,
            namespace=self._namespace,
            body=body,
        )

    def _call(self, verb: str, what: str) -> Call:
        asked = f"{verb} {what} of {self._namespace}"
        return Call(asked=asked, right=f"{verb} pods", seconds=CALL_SECONDS)
