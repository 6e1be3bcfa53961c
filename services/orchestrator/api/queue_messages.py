"""How the slots of workers are shared at this moment, as messages."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from convergence.orchestrator.v1 import queue_pb2, run_service_pb2

from libs.common.names import TenantName
from services.orchestrator.api.run_messages import stamp
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.workers.dispatcher import Dispatcher, Occupancy, Streams
from services.orchestrator.workers.fair_queue import Standing

NO_RUNS: Final[Counter[Lane]] = Counter()


def queue_message(conductor: Conductor, tenant: str) -> run_service_pb2.GetQueueResponse:
    """Return how one tenant stands, and nothing of the others."""
    standings = {one.tenant: one for one in conductor.mesh.dispatcher.tenants()}
    standing = standings.get(tenant, Standing(tenant=tenant))
    accounts = _accounts(conductor.mesh.dispatcher)
    return run_service_pb2.GetQueueResponse(
        tenants=[_tenant(conductor, standing, conductor.admission.waiting())],
        accounts=[account for account in accounts if account.tenant == str(TenantName(tenant))],
    )


def queues_message(conductor: Conductor) -> run_service_pb2.GetQueueResponse:
    """Return how all tenants that have slots, or wait for one or to begin a run, stand, and the workers."""
    dispatcher = conductor.mesh.dispatcher
    standings = {one.tenant: one for one in dispatcher.tenants()}
    waiting = conductor.admission.waiting()
    return run_service_pb2.GetQueueResponse(
        tenants=[
            _tenant(conductor, standings.get(tenant, Standing(tenant=tenant)), waiting)
            for tenant in sorted({*standings, *waiting})
        ],
        workers=[_worker(worker) for worker in dispatcher.workers()],
        accounts=_accounts(dispatcher),
        streams=_streams(dispatcher.streams(), conductor.mesh.clock()),
    )


def _tenant(
    conductor: Conductor, standing: Standing, waiting: Mapping[str, Counter[Lane]]
) -> queue_pb2.TenantQueue:
    mesh, tenant, waited = conductor.mesh, standing.tenant, standing.wait_seconds
    ledger = mesh.history.ledger
    share, runs = ledger.share(tenant), waiting.get(tenant, NO_RUNS)
    return queue_pb2.TenantQueue(
        tenant=str(TenantName(standing.tenant)),
        slot_weight=share.slot_weight,
        chunk_count=share.chunk_count,
        slot_count=standing.slot_count,
        waiting_chunk_count=standing.waiting_count,
        lanes=[
            queue_pb2.LaneQueue(
                lane=f"RUN_LANE_{lane.lane}",
                slot_count=lane.slot_count,
                waiting_chunk_count=lane.waiting_count,
                waiting_run_count=runs[lane.lane],
            )
            for lane in standing.lanes
        ],
        wait_start_time=stamp(None if waited is None else mesh.clock() - timedelta(seconds=waited)),
        begun_run_count=len(ledger.begun_runs(tenant, of_backfills=False)),
        live_run_count=share.live_run_count,
        waiting_run_count=runs.total(),
        today_read_bytes=ledger.read_bytes_on(tenant, mesh.clock().date()),
        read_bytes_per_day=share.read_bytes_per_day,
    )


def _accounts(dispatcher: Dispatcher) -> list[queue_pb2.AccountQueue]:
    return [
        queue_pb2.AccountQueue(
            tenant=str(TenantName(one.account.partition("/")[0])),
            secret=one.account.partition("/")[2],
            requests_per_minute=one.per_minute,
            given_requests_per_minute=one.given_per_minute,
            using_count=one.using_count,
            waiting_count=one.waiting_count,
            resting=one.resting,
        )
        for one in dispatcher.accounts.standings()
    ]


def _streams(streams: Streams, now: datetime) -> queue_pb2.StreamQueue:
    ready = now + timedelta(seconds=streams.wait_seconds) if streams.wait_seconds else None
    return queue_pb2.StreamQueue(
        per_hour_count=streams.per_hour, ready_count=streams.ready_count, ready_time=stamp(ready)
    )


def _worker(worker: Occupancy) -> queue_pb2.WorkerSlots:
    return queue_pb2.WorkerSlots(
        address=worker.address,
        slot_count=worker.slot_count,
        busy_slot_count=worker.busy,
        resting=worker.resting,
        draining=worker.draining,
    )
