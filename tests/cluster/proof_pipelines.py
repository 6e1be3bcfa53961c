"""Proof 2: the demo's pipelines by grpcurl through the edge, against the local mesh."""

import asyncio
import contextlib
import json
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.jobs import query
from libs.client import AsyncClient
from libs.local.demo import neighbours, runs, tenants
from libs.local.demo.tenants import BILL, TENANTS
from libs.local.mesh import lifecycle
from libs.local.mesh.states import PROJECT
from tests.cluster import kube, release, volume
from tests.support.eventually import eventually
from tools.cluster.places import NODE_IP

SETTLED_SECONDS = 120.0
RESTING = {f"RUN_STATE_{state}" for state in ("SUCCEEDED", "FAILED", "HELD", "CANCELLED")}
OWN = ("_",)
"""Beginning of the columns that say which run wrote a row: they differ by nature."""


@contextlib.contextmanager
def openai(host: str, port: int) -> Iterator[str]:
    """Serve the local OpenAI at an address that pods reach."""
    command = [sys.executable, "-P", "-m", "libs.local.openai", "--host", host, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["base_url"])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    with openai(NODE_IP, volume.SOURCE_PORT) as address:
        yield address


@pytest.fixture(scope="module")
def mesh(source: str) -> Iterator[release.Release]:
    release.make_namespace()
    folder = volume.make()
    tenants.write_files(folder, source, BILL)
    volume.give(folder)
    with release.installed(values=volume.values()) as made:
        yield made
    volume.remove()


def test_results_equal_those_of_the_local_mesh(
    mesh: release.Release, source: str, tmp_path: pathlib.Path
) -> None:
    keys = asyncio.run(_keys(mesh.edge, mesh.key))
    for tenant in TENANTS:
        for pipeline in tenant.pipelines:
            name = start(mesh, keys[tenant.tenant_id], f"{tenant.name}/pipelines/{pipeline}")
            run = settled(mesh, keys[tenant.tenant_id], name)
            assert run["state"] == "RUN_STATE_SUCCEEDED", run
    bigquery = f"{release.NAME}-bigquery.{mesh.namespace}.svc.cluster.local"
    with reading(f"http://{bigquery}:9050", f"{bigquery}:9060") as there:
        found = contents(there)
    assert found == local(source, tmp_path)
    assert all(found.values())


def local(source: str, folder: pathlib.Path) -> dict[str, list[str]]:
    """Return what the same pipelines write on this machine without a cluster."""
    tenants.write_files(folder / "configs", source, BILL)
    wish = lifecycle.Wish(folder=folder / "mesh", configs=folder / "configs", port=0)
    state = lifecycle.start(wish)
    try:
        at = state.addresses()
        keys = asyncio.run(_keys(at["edge"], neighbours.initialise(state)))
        asyncio.run(runs.run_all(Console(file=sys.stderr), at["edge"], keys))
        with reading(f"http://{at['bigquery_rest']}", at["bigquery_grpc"]) as here:
            return contents(here)
    finally:
        lifecycle.stop(wish.folder)


async def _keys(edge: str, platform_key: str) -> dict[str, str]:
    async with AsyncClient(edge, platform_key) as platform:
        return {one.tenant_id: await tenants.create(platform, one) for one in TENANTS}


def start(mesh: release.Release, key: str, pipeline: str) -> str:
    body = {"parent": pipeline, "request_id": str(uuid.uuid4())}
    return str(grpcurl(mesh, key, "CreateRun", body)["run"]["name"])


def settled(mesh: release.Release, key: str, name: str) -> dict[str, Any]:
    """Return a run once it rests."""

    def rests() -> dict[str, Any]:
        run: dict[str, Any] = grpcurl(mesh, key, "GetRun", {"name": name})["run"]
        assert run["state"] in RESTING, json.dumps(run, indent=1)
        return run

    return eventually(rests, within=SETTLED_SECONDS)


def grpcurl(mesh: release.Release, key: str, method: str, body: dict[str, str]) -> dict[str, Any]:
    address = mesh.edge.removeprefix("http://")
    called = f"convergence.orchestrator.v1.RunService/{method}"
    words = ["grpcurl", "-plaintext", "-H", f"x-api-key: {key}", "-d", json.dumps(body)]
    answer: dict[str, Any] = json.loads(kube.call(*words, address, called))
    return answer


@contextlib.contextmanager
def reading(rest: str, storage: str) -> Iterator[BigQuery]:
    with contextlib.closing(connect(Connection(PROJECT, "US", rest, storage))) as bigquery:
        yield bigquery


def contents(bigquery: BigQuery) -> dict[str, list[str]]:
    """Return each tenant table's rows without the columns that say who wrote them, in order."""
    found: dict[str, list[str]] = {}
    for tenant in TENANTS:
        sql = (
            "SELECT table_schema, table_name FROM INFORMATION_SCHEMA.TABLES"
            f" WHERE STARTS_WITH(table_schema, '{tenant.tenant_id}_') ORDER BY 1, 2"
        )
        for table in query(bigquery, sql):
            name = f"{table['table_schema']}.{table['table_name']}"
            if "_staging" not in name and not name.endswith("__quarantine"):
                found[name] = sorted(map(_row, query(bigquery, f"SELECT * FROM `{name}`")))
    return found


def _row(row: Any) -> str:
    kept = {k: v for k, v in dict(row).items() if not k.startswith(OWN)}
    return json.dumps(kept, default=str, sort_keys=True)
