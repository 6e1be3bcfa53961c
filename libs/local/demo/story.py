"""The demonstration from the first process to the last figure."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from convergence.orchestrator.v1.run_pb2 import RunState
from rich.console import Console
from rich.rule import Rule

from libs.bigquery.client import Connection, connect
from libs.client import AsyncClient
from libs.client.cli.listings import Listing
from libs.client.cli.output import table
from libs.client.cli.receipts import shown
from libs.local.demo import costs, neighbours, runs, tenants
from libs.local.demo.bills import COST, Bill, plain
from libs.local.demo.runs import Outcome
from libs.local.demo.tenants import BILL_PIPELINE, TENANTS
from libs.local.mesh import lifecycle
from libs.local.mesh.states import PROJECT, State

NEXT: Final = (
    ("make up", "start the mesh at localhost:50051 and keep it"),
    (".venv/bin/convergence admin init", "create its metadata and your platform key, shown once"),
    (".venv/bin/convergence tenants create acme_corp", "a tenant, its files and its first key"),
    ("grpcurl -plaintext localhost:50051 list", "the services that tenants see"),
    (".venv/bin/convergence local status", "addresses, health and logs; `make down` stops it"),
)


class Demonstration:
    """Tells the story in `folder`, which it may fill; `broken` collects promises not kept."""

    def __init__(self, folder: Path, bill: Bill, console: Console) -> None:
        self._folder, self._bill, self._console = folder, bill, console
        self._began = time.monotonic()
        self.broken: list[str] = []

    def tell(self) -> None:
        """Run everything; the mesh is stopped at the end, whatever happens."""
        configs = self._folder / "configs"
        with neighbours.openai(self._folder / "openai.log") as openai:
            tenants.write_files(configs, openai, self._bill.file)
            wish = lifecycle.Wish(folder=self._folder / "mesh", configs=configs, port=0)
            self._say(
                "starting the mesh: embedded BigQuery, auth, orchestrator, two workers, quality, edge"
            )
            state = lifecycle.start(wish)
            try:
                self._say(f"every health check serves, {len(state.processes)} processes")
                self._use(state)
            finally:
                lifecycle.stop(wish.folder)
        self._end()

    def _use(self, state: State) -> None:
        address = state.addresses()["edge"]
        platform_key = neighbours.initialise(state)
        self._say("metadata, signing key and platform key are made")
        outcomes = asyncio.run(self._run(address, platform_key))
        for outcome in outcomes:
            self._show(outcome)
        self._costs(state, outcomes)

    async def _run(self, address: str, platform_key: str) -> list[Outcome]:
        async with AsyncClient(address, platform_key) as platform:
            keys = {one.tenant_id: await tenants.create(platform, one) for one in TENANTS}
        self._say(f"tenants {' and '.join(keys)} have files, secrets and keys; their pipelines run")
        return await runs.run_all(self._console, address, keys)

    def _show(self, outcome: Outcome) -> None:
        console = self._console
        console.print(Rule(f"{outcome.tenant.tenant_id} · {outcome.pipeline}", align="left"))
        for part in shown(outcome.run):
            console.print(part)
        if outcome.results:
            console.print()
            console.print(_quality(outcome))
        if outcome.run.state != RunState.RUN_STATE_SUCCEEDED:
            self.broken.append(f"{outcome.run.name} is {RunState.Name(outcome.run.state)}")

    def _costs(self, state: State, outcomes: Sequence[Outcome]) -> None:
        at = state.addresses()
        connection = Connection(PROJECT, "US", f"http://{at['bigquery_rest']}", at["bigquery_grpc"])
        published = [one for one in outcomes if one.run.state == RunState.RUN_STATE_SUCCEEDED]
        with connect(connection) as bq:
            for tenant in TENANTS:
                if any(one.tenant == tenant for one in published):
                    self._console.print(Rule(f"{tenant.tenant_id} · what it spends", align="left"))
                    for view in costs.views(bq, tenant.tenant_id):
                        self._console.print(view)
            for outcome in published:
                if outcome.pipeline == BILL_PIPELINE:
                    found = costs.billed(bq, outcome.tenant.tenant_id, BILL_PIPELINE)
                    self.broken.extend(self._differences(outcome, plain(found)))

    def _differences(self, outcome: Outcome, found: str) -> Iterator[str]:
        """Yield where the published bill differs from the bill's own text."""
        expected = plain(self._bill.total)
        console = self._console
        console.print(f"\nBilledCost of {self._bill.file.name}, {self._bill.row_count:,} rows")
        console.print(f"  in the file       {expected}")
        console.print(f"  in the cost table {found}", style="bold")
        money = {one.column: one for one in outcome.run.receipt.money}[COST]
        if found != expected:
            yield f"the cost table says {found}, the bill {expected}"
        if money.read != expected:
            yield f"the receipt says that {money.read} was read, the bill says {expected}"
        if outcome.run.receipt.read_row_count != self._bill.row_count:
            yield f"{outcome.run.receipt.read_row_count} rows were read of {self._bill.row_count}"

    def _end(self) -> None:
        console = self._console
        took = time.monotonic() - self._began
        if self.broken:
            console.print("\nnot as promised:", style="bold red")
            for what in self.broken:
                console.print(f"  {what}", markup=False)
        console.print(f"\n{took:.1f} s, and nothing is left running. Next:", style="bold")
        width = max(len(command) for command, _ in NEXT)
        for command, why in NEXT:
            console.print(f"  {command:{width}}  {why}", markup=False)

    def _say(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._began:5.1f} s  {text}", markup=False)


def _quality(outcome: Outcome) -> Listing:
    rows = [
        (
            "met" if one.success else "BROKEN",
            one.expectation_type.removeprefix("expect_"),
            one.column,
            one.observed_value
            if one.HasField("observed_value")
            else f"{one.unexpected_count:,} of {one.element_count:,}",
        )
        for one in outcome.results
    ]
    return table(rows, "quality", "expectation", "column", "found", right=["found"])
