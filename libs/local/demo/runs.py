"""Runs the tenants' pipelines at once and shows how far each is."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

from convergence.orchestrator.v1.run_pb2 import Run, RunResult
from rich.console import Console

from libs.client import AsyncClient
from libs.client.cli.bar import bars
from libs.client.cli.watching import drawn
from libs.local.demo.tenants import TENANTS, DemoTenant


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A settled run and what each expectation said about it."""

    tenant: DemoTenant
    pipeline: str
    run: Run
    results: tuple[RunResult, ...]


@contextlib.asynccontextmanager
async def clients(address: str, keys: Mapping[str, str]) -> AsyncGenerator[dict[str, AsyncClient]]:
    """Yield a client for each tenant, by id."""
    async with contextlib.AsyncExitStack() as stack:
        yield {
            tenant: await stack.enter_async_context(AsyncClient(address, key))
            for tenant, key in keys.items()
        }


async def run_all(console: Console, address: str, keys: Mapping[str, str]) -> list[Outcome]:
    """Run every pipeline of every tenant, side by side, and return the outcomes in order."""
    wanted = [(tenant, pipeline) for tenant in TENANTS for pipeline in tenant.pipelines]
    with _showing(console) as shown:
        async with clients(address, keys) as client:
            return list(
                await asyncio.gather(
                    *(
                        _run(client[t.tenant_id], t, p, shown(f"{t.tenant_id}/{p}"))
                        for t, p in wanted
                    )
                )
            )


async def _run(
    client: AsyncClient, tenant: DemoTenant, pipeline: str, show: Callable[[Run], None]
) -> Outcome:
    parent = f"{tenant.name}/pipelines/{pipeline}"
    run = await client.runs.start_and_wait(parent, on_change=show)
    results = await client.runs.results(run.name)
    return Outcome(tenant=tenant, pipeline=pipeline, run=run, results=tuple(results))


@contextlib.contextmanager
def _showing(console: Console) -> Iterator[Callable[[str], Callable[[Run], None]]]:
    """Yield what makes a line of progress: live on a terminal, one line a state otherwise."""
    with bars(console) as progress:

        def line(label: str) -> Callable[[Run], None]:
            task = progress.add_task(f"{label:28}", total=None, detail="")
            last = ""

            def show(run: Run) -> None:
                nonlocal last
                now = drawn(run)
                said = f"{now.state:14} {now.detail}"
                if not console.is_terminal and now.state != last:
                    console.print(f"  {label:28} {said}".rstrip(), markup=False)
                last = now.state
                progress.update(task, total=now.total, completed=now.completed, detail=said)

            return show

        yield line
