"""A failed run that plans anew, over the embedded BigQuery: its staging has the columns of the new plan."""

import asyncio

from libs.bigquery.client import BigQuery
from libs.bigquery.ids import DatasetId
from libs.bigquery.tables import list_tables
from services.orchestrator.runs import records as r
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import ContractSpec
from services.orchestrator.workers.workers import ChunkFailed
from tests.integration.orchestrator.bigquery_world import StreamWorker
from tests.integration.orchestrator.test_bigquery_runs import (
    BigQueryWorld,
    bigquery,
    published,
    rest,
    world,
)
from tests.unit.orchestrator.conductor.world import spec

__all__ = ["bigquery", "world"]

CHANGED = r.Failure(kind="source", reason="SOURCE_CHANGED", message="it changed", advice="")


async def test_a_source_whose_columns_changed_is_read_when_its_run_is_retried(
    world: BigQueryWorld,
    bigquery: BigQuery,
) -> None:
    plain = spec(on_failure="warn")
    contract = ContractSpec(columns="evolve", types="evolve")
    source = plain.source.model_copy(update={"contract": contract})
    world.source.evolved = (("surplus", "INT64"),)
    async with world.orchestrator() as o:
        seats = o.conductor.mesh.dispatcher._seats
        workers = [seat.worker for seat in seats if isinstance(seat.worker, StreamWorker)]
        workers[0].failures = [ChunkFailed(CHANGED, transient=False)]
        failed = await rest(o, await o.start(plain.model_copy(update={"source": source})))
        assert failed.failure is not None
        assert failed.failure.reason == "SOURCE_CHANGED"
        world.source.evolved = (("surplus", "STRING"), ("more", "STRING"))
        workers[0].failures.clear()
        await o.retry(failed)
        done = await rest(o, failed)
    assert (done.state, done.failure) == (RunState.SUCCEEDED, None)
    assert len(await published(bigquery)) == 3
    staging = DatasetId("local", "acme_corp_staging")
    assert not await asyncio.to_thread(list_tables, bigquery, staging)
