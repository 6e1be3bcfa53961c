"""A publishing job that is done and failed, for whatever reason, never keeps its run PUBLISHING."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.failures import WarehouseForbidden
from services.orchestrator.runs import records as r
from services.orchestrator.warehouse.bigquery_warehouse import BigQueryWarehouse
from services.orchestrator.warehouse.warehouse import PublishFailed
from tests.contracts.warehouse_bench import memory_bench

INTENT = r.RunPublishing(job_id="job-1", statement="MERGE something")
PASSING = ["backendError", "internalError", "rateLimitExceeded", "quotaExceeded", "stopped"]
LASTING = ["invalidQuery", "notFound", "accessDenied"]


class Jobs(ThreadingHTTPServer):
    """The part of BigQuery's REST that submits and reads jobs.

    refused: Whether submissions are answered with 403 quotaExceeded, even where the job exists.
    ending: The reason that jobs end with, empty if they succeed.
    running: How often a job that is asked for still runs.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.submitted: set[str] = set()
        self.refused = False
        self.ending = ""
        self.running = 0

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it is now."""
        state = "RUNNING" if self.running > 0 else "DONE"
        self.running -= 1
        status: dict[str, object] = {"state": state}
        if state == "DONE" and self.ending:
            status["errorResult"] = {"reason": self.ending, "message": "what BigQuery says"}
        return {
            "jobReference": {"projectId": "local", "jobId": job_id, "location": "US"},
            "configuration": {"query": {"query": INTENT.statement}},
            "statistics": {"query": {"statementType": "MERGE"}},
            "status": status,
        }


class Answers(BaseHTTPRequestHandler):
    server: Jobs

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        job_id = json.loads(self.rfile.read(length))["jobReference"]["jobId"]
        if self.server.refused:
            self._refuse(403, "quotaExceeded")
        elif job_id in self.server.submitted:
            self._refuse(409, "duplicate")
        else:
            self.server.submitted.add(job_id)
            self._say(200, self.server.job(job_id))

    def do_GET(self) -> None:
        job_id = self.path.partition("?")[0].rpartition("/")[2]
        if job_id in self.server.submitted:
            self._say(200, self.server.job(job_id))
        else:
            self._refuse(404, "notFound")

    def _refuse(self, code: int, reason: str) -> None:
        error = {"code": code, "message": reason, "errors": [{"reason": reason}]}
        self._say(code, {"error": error})

    def _say(self, code: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[Jobs]:
    with Jobs() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def bigquery(served: Jobs) -> Iterator[BigQuery]:
    address = f"127.0.0.1:{served.server_port}"
    with connect(Connection("local", "US", f"http://{address}", address)) as opened:
        yield opened


@pytest.mark.parametrize("reason", [*PASSING, *LASTING])
async def test_a_publishing_job_that_is_done_and_failed_has_failed(
    served: Jobs, bigquery: BigQuery, reason: str
) -> None:
    served.ending = reason
    run = await memory_bench().planned()
    for _ in range(2):
        with pytest.raises(PublishFailed) as failed:
            await BigQueryWarehouse(bigquery).publish(run, INTENT)
        assert failed.value.metadata == {"job": "job-1"}
    assert served.submitted == {"job-1"}


async def test_a_job_that_runs_although_its_submission_was_refused_is_waited_for(
    served: Jobs, bigquery: BigQuery
) -> None:
    served.submitted.add("job-1")
    served.refused, served.running = True, 3
    await BigQueryWarehouse(bigquery).publish(await memory_bench().planned(), INTENT)
    assert served.running <= 0


async def test_a_job_that_was_never_made_has_not_failed(served: Jobs, bigquery: BigQuery) -> None:
    served.refused = True
    with pytest.raises(WarehouseForbidden):
        await BigQueryWarehouse(bigquery).publish(await memory_bench().planned(), INTENT)
    served.refused = False
    await BigQueryWarehouse(bigquery).publish(await memory_bench().planned(), INTENT)
    assert served.submitted == {"job-1"}
