"""Which scope each RPC needs, and what a resource that is not there answers."""

from typing import Final

from convergence.auth.v1 import api_key_service_pb2, tenant_service_pb2
from convergence.orchestrator.v1 import (
    backfill_service_pb2,
    pipeline_service_pb2,
    run_service_pb2,
    schedule_service_pb2,
)

from libs.common.errors import NotFound
from services.orchestrator.backfills.commands import BackfillNotFound
from services.orchestrator.conductor.commands import RunNotFound
from services.orchestrator.pipelines import PipelineNotFound
from services.orchestrator.schedules.scheduler import ScheduleNotFound

RUNS: Final = run_service_pb2.DESCRIPTOR.services_by_name["RunService"]
PIPELINES: Final = pipeline_service_pb2.DESCRIPTOR.services_by_name["PipelineService"]
BACKFILLS: Final = backfill_service_pb2.DESCRIPTOR.services_by_name["BackfillService"]
SCHEDULES: Final = schedule_service_pb2.DESCRIPTOR.services_by_name["ScheduleService"]

EDGE_SERVICES: Final = (
    RUNS.full_name,
    BACKFILLS.full_name,
    PIPELINES.full_name,
    SCHEDULES.full_name,
    tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"].full_name,
    api_key_service_pb2.DESCRIPTOR.services_by_name["ApiKeyService"].full_name,
)
"""What the reflection of every edge server describes, whichever server has it."""


class TenantNotFound(NotFound):
    """No such tenant, or another one."""

    reason = "TENANT_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no tenant {name}", name=name)


_READS: Final = ("Get", "List", "Watch", "Explain")

SCOPES: Final[dict[str, str]] = {
    **{
        f"/{service.full_name}/{method.name}": (
            "runs:read" if method.name.startswith(_READS) else "runs:write"
        )
        for service in (RUNS, BACKFILLS, SCHEDULES)
        for method in service.methods
    },
    **{f"/{PIPELINES.full_name}/{method.name}": "pipelines:read" for method in PIPELINES.methods},
}


def missing(method: str, name: str) -> NotFound:
    """Return what a name answers that is not there; another tenant's answers the same."""
    if method == f"/{RUNS.full_name}/GetQueue":
        return TenantNotFound(name)
    if method.startswith(f"/{SCHEDULES.full_name}/"):
        return ScheduleNotFound(name)
    if "/runs/" in name:
        return RunNotFound(name)
    if "/backfills/" in name:
        return BackfillNotFound(name)
    return PipelineNotFound(name)
