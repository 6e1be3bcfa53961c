"""The whole mesh as processes, two tenants in it, for stories that only real processes can tell."""

import asyncio
import contextlib
import csv
import dataclasses
import json
import os
import urllib.request
from collections.abc import AsyncGenerator, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from convergence.orchestrator.v1.run_pb2 import Run

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, Connection, connect
from libs.client import AsyncClient
from libs.common.money import total
from libs.local.demo import neighbours, tenants
from libs.local.mesh import lifecycle
from libs.local.mesh.states import PROJECT, State
from tests.system.collector import Collector

BIG_ROWS = 40_000


@dataclasses.dataclass(slots=True)
class RunningMesh:
    """A mesh that serves, its tenants' keys, and what its tests look at."""

    folder: Path
    platform_key: str
    keys: dict[str, str]
    openai: str
    collector: Collector
    bigquery: BigQuery

    @property
    def state(self) -> State:
        found = State.read(self.folder / "mesh")
        assert found is not None
        return found

    @property
    def address(self) -> str:
        return self.state.addresses()["edge"]

    @property
    def configs(self) -> Path:
        return self.folder / "configs"

    @contextlib.asynccontextmanager
    async def client(self, tenant: str = "acme_corp") -> AsyncGenerator[AsyncClient]:
        async with AsyncClient(self.address, self.keys[tenant]) as opened:
            yield opened

    def rows(self, sql: str) -> list[dict[str, object]]:
        return jobs.query(self.bigquery, sql)

    def dial(self, **dials: Any) -> None:
        """Set the local OpenAI's dials; without any, everything is as recorded."""
        root = self.openai.removesuffix("/v1")
        body = json.dumps(dials).encode()
        request = urllib.request.Request(
            f"{root}/dials", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200

    def logs(self) -> Iterator[Mapping[str, Any]]:
        for log in sorted((self.folder / "mesh" / "logs").glob("*.log")):
            for line in log.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        yield {"log": log.stem, **found}


@contextlib.contextmanager
def running_mesh(folder: Path) -> Iterator[RunningMesh]:
    """Start everything in `folder`; nothing is left of it afterwards."""
    with Collector.started() as collector, neighbours.openai(folder / "openai.log") as openai:
        configs = folder / "configs"
        tenants.write_files(configs, openai, tenants.BILL)
        write_big(configs / "acme_corp")
        os.environ.update(
            {
                f"CONVERGENCE_{service}_OTLP_ENDPOINT": collector.address
                for service in ("AUTH", "ORCHESTRATOR", "INGEST", "QUALITY")
            }
        )
        os.environ["CONVERGENCE_AUTH_REFRESH_SECONDS"] = "1"
        state = lifecycle.start(lifecycle.Wish(folder=folder / "mesh", configs=configs, port=0))
        try:
            platform_key = neighbours.initialise(state)
            at = state.addresses()
            rest, storage = f"http://{at['bigquery_rest']}", at["bigquery_grpc"]
            with connect(Connection(PROJECT, "US", rest, storage)) as bigquery:
                made = RunningMesh(folder, platform_key, {}, openai, collector, bigquery)
                made.keys.update(asyncio.run(_tenants(made)))
                yield made
        finally:
            lifecycle.stop(folder / "mesh")


async def _tenants(mesh: RunningMesh) -> dict[str, str]:
    async with AsyncClient(mesh.address, mesh.platform_key) as platform:
        return {one.tenant_id: await tenants.create(platform, one) for one in tenants.TENANTS}


def write_big(folder: Path) -> None:
    """Lay out `p_big`: many small chunks, so that something is under way for seconds."""
    (folder / "big").mkdir()
    write_rows(folder / "big" / "rows.csv", BIG_ROWS)
    columns = [
        {"name": "id", "type": "INT64", "mode": "REQUIRED"},
        {"name": "service", "type": "STRING"},
        {"name": "cost", "type": "BIGNUMERIC"},
    ]
    (folder / "schemas" / "big.json").write_text(json.dumps(columns))
    (folder / "sources" / "big.yml").write_text(
        "kind: file\noptions:\n  path: big/*.csv\n  format: csv\n"
    )
    (folder / "pipelines" / "p_big.yml").write_text(
        "source: big\nschema: big\ntarget: {dataset: raw_big, table: rows}\n"
        "write: {mode: replace, scope: [_source]}\n"
        "limits: {max_parallel_chunks: 4, chunk_bytes: 32KiB}\n"
    )


def write_rows(path: Path, count: int, *, bad: Mapping[int, str] | None = None) -> Decimal:
    """Write `count` rows with exact costs, some cells as `bad` says; return the sum of the numbers."""
    costs = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "service", "cost"])
        for i in range(count):
            cost = (bad or {}).get(i, f"{i % 97}.{i:015d}")
            with contextlib.suppress(ArithmeticError):
                costs.append(Decimal(cost))
            writer.writerow([i, f"service {i % 7}", cost])
    return total(costs)


async def finished(client: AsyncClient, pipeline: str, tenant: str = "acme_corp") -> Run:
    """Start a run and wait until it rests."""
    return await client.runs.start_and_wait(f"tenants/{tenant}/pipelines/{pipeline}")
