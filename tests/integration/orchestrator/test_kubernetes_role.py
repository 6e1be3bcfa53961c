"""The label by which callers are led: on the leader's pod, and on no other."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from kubernetes.client.configuration import Configuration

from libs.kubernetes.cluster import Cluster, ClusterRefused, ClusterUnavailable
from libs.kubernetes.names import ObjectName
from services.orchestrator.elections import role as roles
from services.orchestrator.elections.elections import LeaseLost, LeaseTaken
from services.orchestrator.elections.kubernetes_role import KubernetesRole
from tests.support.kube_api import KubeApi, Mishap, Refusal, kube_api

COMPONENT = {"app.kubernetes.io/component": "orchestrator"}


class Pods:
    """Three pods of a namespace, and what leads callers to them."""

    def __init__(self, api: KubeApi, cluster: Cluster) -> None:
        self.api = api
        self._cluster = cluster
        self.renewed = 0
        self.over: LeaseTaken | LeaseLost | None = None

    async def renew(self) -> None:
        if self.over is not None:
            raise self.over
        self.renewed += 1

    def role(self, pod: str) -> KubernetesRole:
        lease = ObjectName(namespace="mesh", name="orchestrator", pod=pod)
        return KubernetesRole(self._cluster, lease, self.renew)

    def labels(self) -> dict[str, dict[str, str]]:
        return {key[2]: pod["metadata"]["labels"] for key, pod in self.api.objects.items()}

    def active(self) -> set[str]:
        return {
            pod for pod, has in self.labels().items() if has.get("convergence.dev/role") == "active"
        }


@pytest_asyncio.fixture
async def pods() -> AsyncGenerator[Pods]:
    async with kube_api() as api, contextlib.AsyncExitStack() as stack:
        cluster = Cluster(Configuration(host=api.address))
        stack.callback(cluster.close)
        for name in ("a", "b", "c"):
            await api.put("pods", "mesh", name, metadata={"labels": COMPONENT})
        yield Pods(api, cluster)


async def test_the_leader_is_labelled_and_its_predecessor_is_not_any_more(pods: Pods) -> None:
    await pods.role("a").take()
    assert pods.active() == {"a"}
    await pods.role("b").take()
    assert pods.active() == {"b"}
    assert pods.labels()["a"] == COMPONENT


async def test_the_predecessor_loses_the_label_before_the_leader_gets_it(pods: Pods) -> None:
    await pods.role("a").take()
    pods.api.asked.clear()
    await pods.role("b").take()
    patched = [asked.rpartition("/")[2] for asked in pods.api.asked if asked.startswith("PATCH")]
    assert patched == ["a", "b"]


async def test_a_label_that_is_there_is_not_written_again(pods: Pods) -> None:
    await pods.role("a").take()
    pods.api.asked.clear()
    await pods.role("a").take()
    assert [asked.split()[0] for asked in pods.api.asked] == ["GET"]


async def test_all_other_pods_lose_the_label_and_other_labels_stay(pods: Pods) -> None:
    for name in ("a", "b"):
        labels = {**COMPONENT, "convergence.dev/role": "active"}
        await pods.api.put("pods", "mesh", name, metadata={"labels": labels})
    await pods.role("c").take()
    assert pods.active() == {"c"}
    assert {name: has["app.kubernetes.io/component"] for name, has in pods.labels().items()} == (
        dict.fromkeys("abc", "orchestrator")
    )


async def test_a_predecessor_whose_pod_is_gone_by_now_is_no_failure(pods: Pods) -> None:
    await pods.role("a").take()
    pods.api.next_writes = [Refusal(code=404)]
    await pods.role("b").take()
    assert "b" in pods.active()


@pytest.mark.parametrize("over", [LeaseTaken("taken"), LeaseLost("lost")])
async def test_who_does_not_lead_any_more_takes_no_label_from_its_successor(
    pods: Pods, over: LeaseTaken | LeaseLost
) -> None:
    await pods.role("b").take()
    pods.over = over
    pods.api.asked.clear()
    with pytest.raises(type(over)):
        await pods.role("a").take()
    assert (pods.active(), pods.api.asked) == ({"b"}, [])


async def test_who_leaves_loses_its_own_label_and_nobody_elses(pods: Pods) -> None:
    for name in ("a", "b"):
        labels = {**COMPONENT, "convergence.dev/role": "active"}
        await pods.api.put("pods", "mesh", name, metadata={"labels": labels})
    await pods.role("a").leave()
    assert pods.active() == {"b"}
    assert pods.labels()["a"] == COMPONENT
    await pods.role("a").leave()
    assert (pods.active(), pods.renewed) == ({"b"}, 0)


async def test_a_right_that_is_missing_is_named(pods: Pods) -> None:
    pods.api.next_writes = [Refusal(code=403, message="no")]
    with pytest.raises(
        ClusterRefused, match=r"patch pod a of mesh \(403\): let the Role .* patch pods;"
    ):
        await pods.role("a").take()


async def test_an_api_server_that_is_away_is_said(pods: Pods) -> None:
    pods.api.next_answers = [Mishap.DROP]
    with pytest.raises(ClusterUnavailable):
        await pods.role("a").take()


async def test_the_role_is_kept_while_it_leads_whatever_others_do_to_the_label(pods: Pods) -> None:
    pauses: asyncio.Queue[float] = asyncio.Queue()
    go_on = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await go_on.acquire()

    keeping = asyncio.create_task(roles.keep(pods.role("a"), sleep))
    async with asyncio.timeout(10):
        assert await pauses.get() == roles.LOOK_SECONDS
        assert pods.active() == {"a"}
        await pods.api.put("pods", "mesh", "a", metadata={"labels": COMPONENT})
        pods.api.next_answers = [Refusal(code=403)]
        go_on.release()
        assert await pauses.get() == roles.RETRY_SECONDS
        go_on.release()
        assert await pauses.get() == roles.LOOK_SECONDS
        assert pods.active() == {"a"}
        pods.over = LeaseTaken("another leads")
        go_on.release()
        with pytest.raises(LeaseTaken):
            await keeping
