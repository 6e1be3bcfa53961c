"""How the slots of workers are shared at this moment, as messages."""

from datetime import timedelta

from convergence.orchestrator.v1 import queue_pb2, run_service_pb2

from libs.common.names import TenantName
from services.orchestrator.api.run_messages import stamp
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.workers.dispatcher import Occupancy
from services.orchestrator.workers.fair_queue import Standing


def queue_message(mesh: Mesh, tenant: str) -> run_service_pb2.GetQueueResponse:
    """Return how one tenant stands, and nothing of the others."""
    found = (standing for standing in mesh.dispatcher.tenants() if standing.tenant == tenant)
    standing = next(found, Standing(tenant=tenant))
    return run_service_pb2.GetQueueResponse(tenants=[_tenant(mesh, standing)])


def queues_message(mesh: Mesh) -> run_service_pb2.GetQueueResponse:
    """Return how all tenants that have slots or wait stand, and the workers."""
    return run_service_pb2.GetQueueResponse(
        tenants=[_tenant(mesh, standing) for standing in mesh.dispatcher.tenants()],
        workers=[_worker(worker) for worker in mesh.dispatcher.workers()],
    )


def _tenant(mesh: Mesh, standing: Standing) -> queue_pb2.TenantQueue:
    share = mesh.history.ledger.share(standing.tenant)
    waited = standing.wait_seconds
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
            )
            for lane in standing.lanes
        ],
        wait_start_time=stamp(None if waited is None else mesh.clock() - timedelta(seconds=waited)),
    )


def _worker(worker: Occupancy) -> queue_pb2.WorkerSlots:
    return queue_pb2.WorkerSlots(
        address=worker.address,
        slot_count=worker.slot_count,
        busy_slot_count=worker.busy,
        resting=worker.resting,
    )
