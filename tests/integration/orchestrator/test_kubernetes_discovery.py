"""What following EndpointSlices keeps whatever the API server says: who was found last stays."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes.client.configuration import Configuration

from libs.kubernetes.cluster import Cluster
from libs.kubernetes.names import ObjectName
from services.orchestrator.workers import kubernetes_discovery
from services.orchestrator.workers.discovery import Found, Place
from services.orchestrator.workers.kubernetes_discovery import KubernetesDiscovery
from tests.support.kube_api import KubeApi, Mishap, Refusal, kube_api


class Following:
    """A discovery under way, and the API server that it asks."""

    def __init__(self, api: KubeApi, cluster: Cluster) -> None:
        self.api = api
        service = ObjectName(namespace="mesh", name="ingest")
        self._versions = KubernetesDiscovery(cluster, service).follow()
        self._next: asyncio.Future[Found] | None = None

    async def put(self, *numbers: int, name: str = "a") -> None:
        await self.api.put(
            "endpointslices", "mesh", name,
            metadata={"labels": {"kubernetes.io/service-name": "ingest"}},
            ports=[{"name": "grpc", "port": 1}],
            endpoints=[{"addresses": [f"10.0.0.{n}"]} for n in numbers],
        )  # fmt: skip

    async def told(self, *numbers: int) -> None:
        """Expect that these workers are told next."""
        self._next = self._next or asyncio.ensure_future(anext(self._versions))
        async with asyncio.timeout(10):
            found = await asyncio.shield(self._next)
        self._next = None
        assert found == {Place(f"10.0.0.{n}:1"): True for n in numbers}

    async def silent(self, seconds: float = 0.3) -> None:
        """Expect that nothing is told for a while."""
        self._next = self._next or asyncio.ensure_future(anext(self._versions))
        done, _ = await asyncio.wait({self._next}, timeout=seconds)
        assert not done

    async def watches(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.api.watch_count < count:
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self._versions.aclose()


@pytest_asyncio.fixture
async def following(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Following]:
    monkeypatch.setattr(kubernetes_discovery, "RETRY_SECONDS", 0.05)
    async with kube_api() as api, contextlib.AsyncExitStack() as stack:
        cluster = Cluster(Configuration(host=api.address))
        stack.callback(cluster.close)
        made = Following(api, cluster)
        stack.push_async_callback(made.close)
        await made.put(1)
        yield made


async def test_a_watch_that_is_too_old_is_followed_by_a_new_list(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_discovery, "WATCH_SECONDS", 1.0)
    await following.told(1)
    await following.silent()
    await following.api.put("pods", "mesh", "somebody")
    await following.api.forget()
    await following.watches(3)
    assert len(following.api.lists) == 2
    await following.put(1, 2)
    await following.told(1, 2)


AWAY: list[Any] = [
    Refusal(code=500), Refusal(code=429), Refusal(code=403), Refusal(code=401), Mishap.DROP,
]  # fmt: skip


@pytest.mark.parametrize("answer", AWAY, ids=lambda a: str(getattr(a, "code", "drop")))
async def test_while_nobody_can_be_asked_those_found_last_stay(
    following: Following, answer: Refusal | Mishap
) -> None:
    await following.told(1)
    await following.silent()
    following.api.always = answer
    await following.api.cut()
    await following.put(1, 2)
    await following.silent()
    following.api.always = None
    await following.told(1, 2)


async def test_nobody_is_found_before_the_first_answer(following: Following) -> None:
    following.api.always = Mishap.DROP
    await following.silent()
    following.api.always = None
    await following.told(1)


async def test_a_watch_that_was_cut_goes_on_by_a_list_and_misses_nothing(
    following: Following,
) -> None:
    await following.told(1)
    await following.silent()
    await following.api.cut()
    await following.put(1, 2)
    await following.told(1, 2)
    await following.silent()
    await following.put(2)
    await following.told(2)


async def test_a_watch_whose_time_is_over_goes_on_from_where_it_ended(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_discovery, "WATCH_SECONDS", 1.0)
    await following.told(1)
    await following.silent()
    await following.put(1, 2)
    await following.told(1, 2)
    await following.put(1, 2, 3)
    await following.told(1, 2, 3)
    await following.silent()
    await following.watches(2)
    await following.silent()
    await following.put(3)
    await following.told(3)
    assert len(following.api.lists) == 1


async def test_whoever_stops_following_ends_its_watch_and_its_thread(following: Following) -> None:
    await following.told(1)
    await following.silent()
    await following.close()
    async with asyncio.timeout(5):
        while any(t.name == "kubernetes.watch" for t in threading.enumerate()):
            await asyncio.sleep(0.01)
