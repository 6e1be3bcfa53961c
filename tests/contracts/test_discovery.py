"""What every way of finding workers keeps: who is there is told at once, and again when that changes."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from kubernetes.client.api.discovery_v1_api import DiscoveryV1Api

from libs.kubernetes.names import ObjectName
from services.orchestrator.workers.discovery import Discovery, FixedDiscovery, Found, Place
from services.orchestrator.workers.kubernetes_discovery import KubernetesDiscovery
from tests.contracts.election_benches import REAL, opened
from tests.support.kube_api import kube_api

KINDS: Final = ("small", *(("cluster",) if REAL else ()))
SECONDS: Final = 10.0


def endpoint(number: int, *, ready: bool = True, terminating: bool = False) -> dict[str, Any]:
    conditions = {"ready": ready, "serving": True, "terminating": terminating}
    target = {"kind": "Pod", "namespace": "default", "name": f"p{number}", "uid": f"u{number}"}
    return {"addresses": [f"10.1.2.{number}"], "conditions": conditions, "targetRef": target}


def place(number: int) -> Place:
    return Place(f"10.1.2.{number}:50051", f"u{number}")


class Slices:
    """EndpointSlices of a Service of its own at an API server."""

    def __init__(self, kubeconfig: str) -> None:
        self.cluster = opened(kubeconfig)
        self._api: Any = DiscoveryV1Api(self.cluster.client)
        self.service = f"workers-{uuid.uuid4().hex[:8]}"
        self._names: set[str] = set()

    def discovery(self) -> Discovery:
        return KubernetesDiscovery(self.cluster, ObjectName(namespace="default", name=self.service))

    async def put(self, name: str, *endpoints: dict[str, Any], service: str = "") -> None:
        """Create or replace a slice."""
        body = {
            "metadata": {
                "name": f"{self.service}-{name}",
                "labels": {"kubernetes.io/service-name": service or self.service},
            },
            "addressType": "IPv4",
            "endpoints": list(endpoints),
            "ports": [
                {"name": "grpc", "port": 50051, "protocol": "TCP"},
                {"name": "admin", "port": 9090, "protocol": "TCP"},
            ],
        }
        if name in self._names:
            replace = self._api.replace_namespaced_endpoint_slice
            key = {"name": f"{self.service}-{name}", "namespace": "default"}
            read = self._api.read_namespaced_endpoint_slice
            old = await asyncio.to_thread(read, **key)
            body["metadata"]["resourceVersion"] = old.metadata.resource_version  # type: ignore[index]
            await asyncio.to_thread(replace, **key, body=body)
        else:
            create = self._api.create_namespaced_endpoint_slice
            await asyncio.to_thread(create, namespace="default", body=body)
            self._names.add(name)

    async def remove(self, name: str) -> None:
        delete = self._api.delete_namespaced_endpoint_slice
        await asyncio.to_thread(delete, name=f"{self.service}-{name}", namespace="default")
        self._names.discard(name)

    async def close(self) -> None:
        for name in tuple(self._names):
            await self.remove(name)
        self.cluster.close()


@pytest_asyncio.fixture(params=KINDS)
async def slices(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Slices]:
    async with contextlib.AsyncExitStack() as stack:
        kubeconfig = REAL
        if request.param == "small":
            api = await stack.enter_async_context(kube_api())
            kubeconfig = str(api.kubeconfig(tmp_path / "kubeconfig"))
        made = Slices(kubeconfig)
        stack.push_async_callback(made.close)
        yield made


@contextlib.asynccontextmanager
async def following(discovery: Discovery) -> AsyncGenerator[AsyncGenerator[Found]]:
    async with contextlib.aclosing(discovery.follow()) as versions:
        yield versions


async def told(versions: AsyncGenerator[Found]) -> Found:
    async with asyncio.timeout(SECONDS):
        return await anext(versions)


async def test_workers_that_were_named_are_found_and_stay() -> None:
    async with following(FixedDiscovery(["a:1", "b:2"])) as versions:
        assert await told(versions) == {Place("a:1"): True, Place("b:2"): True}
        more = asyncio.ensure_future(anext(versions))
        done, _ = await asyncio.wait({more}, timeout=0.05)
        assert not done
        more.cancel()
        await asyncio.gather(more, return_exceptions=True)


async def test_who_is_there_is_told_at_once(slices: Slices) -> None:
    await slices.put("a", endpoint(1), endpoint(2, ready=False, terminating=True))
    await slices.put("b", endpoint(3))
    await slices.put("other", endpoint(9), service="somebody-else")
    async with following(slices.discovery()) as versions:
        assert await told(versions) == {place(1): True, place(2): False, place(3): True}


async def test_a_service_without_slices_has_no_workers_until_there_are_some(
    slices: Slices,
) -> None:
    async with following(slices.discovery()) as versions:
        assert await told(versions) == {}
        await slices.put("a", endpoint(1))
        assert await told(versions) == {place(1): True}


async def test_workers_come_drain_and_go(slices: Slices) -> None:
    await slices.put("a", endpoint(1, ready=False))
    async with following(slices.discovery()) as versions:
        assert await told(versions) == {place(1): False}
        await slices.put("a", endpoint(1))
        assert await told(versions) == {place(1): True}
        await slices.put("b", endpoint(2))
        assert await told(versions) == {place(1): True, place(2): True}
        await slices.put("a", endpoint(1, ready=False, terminating=True))
        assert await told(versions) == {place(1): False, place(2): True}
        await slices.put("a")
        assert await told(versions) == {place(2): True}
        await slices.remove("b")
        assert await told(versions) == {}


async def test_what_changes_nothing_about_workers_is_not_told(slices: Slices) -> None:
    await slices.put("a", endpoint(1))
    async with following(slices.discovery()) as versions:
        assert await told(versions) == {place(1): True}
        await slices.put("a", endpoint(1))
        await slices.put("b", endpoint(1))
        await slices.put("other", endpoint(9), service="somebody-else")
        await slices.put("a", endpoint(1), endpoint(2))
        assert await told(versions) == {place(1): True, place(2): True}


async def test_who_stops_following_leaves_nothing_behind(slices: Slices) -> None:
    async with following(slices.discovery()) as versions:
        await told(versions)
    again = asyncio.create_task(told(slices.discovery().follow()))
    async with asyncio.timeout(SECONDS):
        assert await again == {}
