"""What is there at the end, written into a history: asked of BigQuery and of clients, so of any mesh."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from convergence.orchestrator.v1.run_pb2 import RunState

from libs.client import AsyncClient
from libs.common.errors import ServiceError
from tests.faults.histories import History
from tests.faults.reading import Engine, Unanswered
from tests.faults.sources import Pipeline

EXPIRES: Final = "expiration_timestamp"


async def take(
    history: History,
    engine: Engine,
    pipelines: Sequence[Pipeline],
    clients: Mapping[str, AsyncClient],
    *,
    within: float,
) -> None:
    """Write down what is left after at most `within` seconds, and what tables, journal and runs say.

    Last what needs a journal that can be read.
    """
    try:
        await _staging(history, engine, sorted({p.tenant for p in pipelines}), within)
        for pipeline in pipelines:
            await _rows(history, engine, pipeline)
        await _journal(history, engine)
        for tenant, client in clients.items():
            for run in await client.runs.list(f"tenants/{tenant}", limit=None):
                state = RunState.Name(run.state).removeprefix("RUN_STATE_")
                landed = run.receipt.landed_row_count
                history.write("run", run=run.name, state=state, rows=landed)
    except (ServiceError, Unanswered) as error:
        history.write("odd", turn="", op="last look", text=repr(error))


async def _rows(history: History, engine: Engine, pipeline: Pipeline) -> None:
    for silver, table in enumerate(filter(None, (pipeline.target, pipeline.silver))):
        origin = "origin" if silver else "_source"
        sql = f"SELECT {origin}, id, k, v, CAST(cost AS STRING) FROM {table} ORDER BY 1, 2"
        rows = await engine.rows(sql, seconds=60) or []
        history.write("rows", pipeline=pipeline.name, silver=bool(silver), rows=rows)
    sql = f"SELECT _run_id, _source, _row_number FROM {pipeline.target}__quarantine"
    history.write("quarantine", pipeline=pipeline.name, rows=await engine.rows(sql) or [])


async def _journal(history: History, engine: Engine) -> None:
    sql = (
        "SELECT position, epoch, event_id, event_type, tenant_id, pipeline_id, run_id"
        " FROM metadata.run_events ORDER BY position"
    )
    for position, epoch, event, type_, tenant, pipeline_id, run in await engine.rows(sql) or ():
        name = f"tenants/{tenant}/pipelines/{pipeline_id}/runs/{run}" if run else ""
        facts = {"position": int(position), "epoch": int(epoch), "event": event}
        history.write("record", **facts, type=type_, run=name)


async def _staging(history: History, engine: Engine, tenants: Sequence[str], within: float) -> None:
    """Wait until no staging table is left, and write down those that stay and those that will expire."""
    until = asyncio.get_running_loop().time() + within
    while True:
        left: list[str] = []
        expiring: list[str] = []
        for tenant in tenants:
            of = f"{tenant}_staging.INFORMATION_SCHEMA"
            options = f"SELECT table_name FROM {of}.TABLE_OPTIONS WHERE option_name = '{EXPIRES}'"
            try:
                left += _named(tenant, await engine.rows(f"SELECT table_name FROM {of}.TABLES"))
                expiring += _named(tenant, await engine.rows(options))
            except Unanswered as error:
                left.append(str(error))
        if not left or asyncio.get_running_loop().time() > until:
            history.write("left", what="staging", found=left, expiring=expiring)
            return
        await asyncio.sleep(0.5)


def _named(tenant: str, rows: Sequence[Sequence[Any]] | None) -> list[str]:
    return [f"{tenant}_staging.{row[0]}" for row in rows or ()]
