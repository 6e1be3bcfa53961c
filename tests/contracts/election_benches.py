"""Where the contract of elections is tried: a folder, a small API server, and a real one where one is named."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final, Protocol

from kubernetes.client.api.coordination_v1_api import CoordinationV1Api
from kubernetes.client.configuration import Configuration
from kubernetes.config import load_kube_config

from libs.kubernetes.cluster import Cluster
from libs.kubernetes.names import ObjectName
from services.orchestrator.elections.elections import Election
from services.orchestrator.elections.file_election import FileElection
from services.orchestrator.elections.kubernetes_election import (
    ANNOTATION,
    KubernetesElection,
    Timing,
)
from tests.support.kube_api import kube_api

QUICK: Final = Timing(lease=4, deadline=3.0, retry=0.3, look=0.05)
"""Short, and long enough for a leader that gets no processor for seconds."""

REAL: Final = os.environ.get("TEST_KUBECONFIG", "")
"""Kubeconfig of a cluster whose namespace `default` tests may write to; empty: none is tried."""

LEADER: Final = """
import asyncio, json, sys
from tests.contracts.election_benches import KINDS

async def lead() -> None:
    election = KINDS[sys.argv[1]].of(json.loads(sys.argv[2]))
    term = await election.win()
    if sys.argv[3]:
        await election.announce(sys.argv[3])
    print(term.epoch, flush=True)
    await asyncio.Event().wait()

asyncio.run(lead())
"""


class Bench(Protocol):
    """A lease, and candidates for it."""

    folder: Path
    patience_seconds: float
    """Within this the successor of a killed leader wins."""
    lease_seconds: float
    """How long a leader that renews nothing leads on; 0 where there is nothing to renew."""
    tells: bool
    """Whether a term that was replaced hears of it."""

    def place(self) -> Any:
        """Return what another process must know to stand, as JSON."""

    @staticmethod
    def of(place: Any) -> Election:
        """Return a candidate."""

    async def write(self, text: str) -> None:
        """Put something into the lease while nobody leads."""

    async def hand_on(self) -> None:
        """Let another win though the one that leads lives, as is done to a leader that hangs."""


class FolderBench:
    """A lock file."""

    patience_seconds = 5.0
    lease_seconds = 0.0
    tells = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self) -> Any:
        return str(self.folder)

    @staticmethod
    def of(place: Any) -> Election:
        return FileElection(Path(place))

    async def write(self, text: str) -> None:
        (self.folder / "orchestrator.lease").write_text(text)

    async def hand_on(self) -> None:
        lease = self.folder / "orchestrator.lease"
        shutil.copy(lease, self.folder / "copy")
        (self.folder / "copy").replace(lease)


class ClusterBench:
    """A Lease at an API server."""

    patience_seconds = 15.0
    lease_seconds = float(QUICK.lease)
    tells = True

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder
        self._kubeconfig = kubeconfig
        self._name = f"lease-{uuid.uuid4().hex[:8]}"
        self._key: dict[str, Any] = {"namespace": "default", "name": self._name}
        self.cluster = opened(str(kubeconfig))
        self._leases: Any = CoordinationV1Api(self.cluster.client)

    async def create(self) -> None:
        body = {"metadata": {"name": self._name}}
        make = self._leases.create_namespaced_lease
        await asyncio.to_thread(make, namespace="default", body=body)

    def place(self) -> Any:
        return [str(self._kubeconfig), self._name, self.lease_seconds]

    @staticmethod
    def of(place: Any) -> Election:
        kubeconfig, name, seconds = place
        pod = f"pod-{uuid.uuid4().hex[:8]}"
        lease = ObjectName(namespace="default", name=name, pod=pod)
        timing = dataclasses.replace(QUICK, lease=int(seconds))
        return KubernetesElection(opened(kubeconfig), lease, timing=timing)

    async def write(self, text: str) -> None:
        await self._patch({"metadata": {"annotations": {ANNOTATION: text}}})

    async def hand_on(self) -> None:
        await self._patch({"spec": {"holderIdentity": None}})

    async def _patch(self, body: dict[str, Any]) -> None:
        patch = self._leases.patch_namespaced_lease
        await asyncio.to_thread(patch, **self._key, body=body)

    async def remove(self) -> None:
        await asyncio.to_thread(self._leases.delete_namespaced_lease, **self._key)
        self.cluster.close()


def opened(kubeconfig: str) -> Cluster:
    configuration = Configuration()
    load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Cluster(configuration)


@contextlib.asynccontextmanager
async def folder_bench(folder: Path) -> AsyncGenerator[Bench]:
    yield FolderBench(folder)


@contextlib.asynccontextmanager
async def small_bench(folder: Path) -> AsyncGenerator[Bench]:
    async with kube_api() as api:
        bench = ClusterBench(folder, api.kubeconfig(folder / "kubeconfig"))
        await bench.create()
        yield bench
        await bench.remove()


@contextlib.asynccontextmanager
async def real_bench(folder: Path) -> AsyncGenerator[Bench]:
    bench = ClusterBench(folder, Path(REAL))
    await bench.create()
    try:
        yield bench
    finally:
        await bench.remove()


BENCHES: Final = {
    "file": folder_bench,
    "kubernetes": small_bench,
    **({"cluster": real_bench} if REAL else {}),
}
KINDS: Final = {"FolderBench": FolderBench, "ClusterBench": ClusterBench}


@contextlib.asynccontextmanager
async def candidate(bench: Bench) -> AsyncGenerator[Election]:
    election = bench.of(bench.place())
    try:
        yield election
    finally:
        await election.close()


@contextlib.asynccontextmanager
async def leading(bench: Bench, stream: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Another process that leads, and has announced `stream` unless that is empty."""
    place = json.dumps(bench.place())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LEADER, type(bench).__name__, place, stream),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
