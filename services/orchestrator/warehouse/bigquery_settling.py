"""What became of a job whose end nobody heard: the error that hid it says nothing about the job."""

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.threads import in_thread
from libs.common.errors import ServiceError
from services.orchestrator.warehouse.warehouse import PublishFailed


async def settle(bigquery: BigQuery, job_id: str, error: ServiceError) -> None:
    """Return if the job has succeeded, whatever `error` came instead of its end.

    Raises:
        PublishFailed: the job is done and failed: its id would fail for ever.
        ServiceError: `error` itself where there is no such job; WarehouseUnavailable while it runs.
    """
    done = await in_thread(bigquery.threads, jobs.settle, bigquery, job_id)
    if done is None:
        raise error
    if not done.succeeded:
        why = f"{done.error} ({done.error_reason})"
        raise PublishFailed(f"job {job_id} failed: {why}", job=job_id) from error
