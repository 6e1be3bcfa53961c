"""Which adapters the orchestrator's settings choose."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from libs.common.app import hosted
from services.orchestrator.app import Settings, _neighbours, attach
from services.orchestrator.elections.elections import Term
from services.orchestrator.elections.file_election import FileElection
from services.orchestrator.workers.discovery import FixedDiscovery, Place
from tests.support.kube_api import Mishap, kube_api


async def test_on_one_machine_a_file_elects_and_workers_are_a_list(tmp_path: Path) -> None:
    settings = Settings(lease=str(tmp_path), workers="a:1,b:2")
    async with contextlib.AsyncExitStack() as stack:
        found = _neighbours(settings, stack)
        assert isinstance(found.election, FileElection)
        assert isinstance(found.discovery, FixedDiscovery)
        assert found.role is None
        assert await anext(found.discovery.follow()) == {Place("a:1"): True, Place("b:2"): True}


async def test_on_kubernetes_a_lease_elects_a_label_leads_and_slices_name_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = Settings(
        lease="kubernetes://mesh/cvg-orchestrator?pod=cvg-1", workers="kubernetes://mesh/cvg-ingest"
    )
    async with kube_api() as api, contextlib.AsyncExitStack() as stack:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        await api.put("leases", "mesh", "cvg-orchestrator")
        await api.put("pods", "mesh", "cvg-1", metadata={"labels": {}})
        await api.put(
            "endpointslices",
            "mesh",
            "cvg-ingest-x",
            metadata={"labels": {"kubernetes.io/service-name": "cvg-ingest"}},
            ports=[{"name": "grpc", "port": 50051}],
            endpoints=[{"addresses": ["10.0.0.1"]}],
        )
        found = _neighbours(settings, stack)
        async with asyncio.timeout(10), contextlib.aclosing(found.discovery.follow()) as versions:
            assert await found.election.win() == Term(epoch=1)
            assert found.role is not None
            await found.role.take()
            assert await anext(versions) == {Place("10.0.0.1:50051"): True}
        labels = api.objects["pods", "mesh", "cvg-1"]["metadata"]["labels"]
        assert labels == {"convergence.dev/role": "active"}
        await found.election.close()


@pytest.mark.parametrize("answers", [True, False])
async def test_who_starts_gives_up_the_label_of_a_former_life_before_it_serves(
    answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = Settings(
        lease="kubernetes://mesh/cvg-orchestrator?pod=cvg-1",
        bigquery_endpoint="http://127.0.0.1:9",
        bigquery_storage_endpoint="127.0.0.1:9",
        grace_seconds=0,
    )
    async with kube_api() as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        labels = {"convergence.dev/role": "active"}
        await api.put("pods", "mesh", "cvg-1", metadata={"labels": labels})
        api.always = None if answers else Mishap.DROP
        async with asyncio.timeout(10), hosted("orchestrator", settings, attach):
            labels = api.objects["pods", "mesh", "cvg-1"]["metadata"]["labels"]
            assert labels == ({} if answers else {"convergence.dev/role": "active"})


@pytest.mark.parametrize(
    ("workers", "allowed"),
    [("a", "host:port"), ("a:1,b", "host:port"), ("kubernetes://mesh", "kubernetes://NAMESPACE")],
)
def test_workers_that_name_no_place_stop_the_start(workers: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"allowed .*{allowed}"):
        Settings(workers=workers)
