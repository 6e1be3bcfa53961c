"""Workers as the EndpointSlices of a Service name them: listed, then watched."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final

import structlog
from kubernetes.client.api.discovery_v1_api import DiscoveryV1Api

from libs.kubernetes.cluster import GONE, Call, Cluster, ClusterRefused, ClusterUnavailable
from libs.kubernetes.names import ObjectName
from libs.kubernetes.watch import changes
from services.orchestrator.workers.discovery import Found
from services.orchestrator.workers.slices import Slice, found

log = structlog.get_logger()

RETRY_SECONDS: Final = 1.0
CALL_SECONDS: Final = 10.0
WATCH_SECONDS: Final = 60.0
"""How long a watch lasts: what is cut without a word is noticed after that."""


class KubernetesDiscovery:
    """Follows the EndpointSlices of one Service."""

    def __init__(self, cluster: Cluster, service: ObjectName) -> None:
        self._cluster = cluster
        self._api = DiscoveryV1Api(cluster.client)
        self._service = service
        self._named: dict[str, Any] = {
            "namespace": service.namespace,
            "label_selector": f"kubernetes.io/service-name={service.name}",
        }

    async def follow(self) -> AsyncGenerator[Found]:
        before: Found | None = None
        while True:
            try:
                async with contextlib.aclosing(self._versions()) as versions:
                    async for slices in versions:
                        workers = found(slices.values())
                        if workers != before:
                            before = workers
                            yield workers
            except (ClusterRefused, ClusterUnavailable) as error:
                if isinstance(error, ClusterRefused) and error.status == GONE:
                    continue
                log.warning("workers.unseen", reason=error.reason, cause=str(error))
                asked = error.retry_after if isinstance(error, ClusterUnavailable) else 0.0
                await asyncio.sleep(max(asked, RETRY_SECONDS))

    async def _versions(self) -> AsyncGenerator[dict[str, Slice]]:
        """Yield the slices by name, as listed, then after each change. Ends only by an error."""
        method = self._api.list_namespaced_endpoint_slice
        listed = await self._cluster.call_raw(self._call("list"), method, **self._named)
        version = listed["metadata"]["resourceVersion"]
        slices: dict[str, Slice] = {one["metadata"]["name"]: one for one in listed["items"] or ()}
        yield slices
        while True:
            asked = {**self._named, "resource_version": version}
            call = self._call("watch", WATCH_SECONDS)
            async with contextlib.aclosing(changes(self._cluster, call, method, **asked)) as seen:
                async for event, one in seen:
                    metadata = one["metadata"]
                    version = metadata["resourceVersion"]
                    if event == "DELETED":
                        slices.pop(metadata["name"], None)
                    elif event in {"ADDED", "MODIFIED"}:
                        slices[metadata["name"]] = one
                    yield slices

    def _call(self, verb: str, seconds: float = CALL_SECONDS) -> Call:
        return Call(
            asked=f"{verb} endpointslices of service {self._service}",
            right=f"{verb} endpointslices.discovery.k8s.io",
            seconds=seconds,
        )
