"""Starts the service for tests as a process, and reads what it says."""

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from convergence.orchestrator.v1.run_service_pb2 import GetRunRequest
from grpc_health.v1 import health_pb2

from tests.integration.common.process import SERVICE
from tests.support.eventually import eventually

ROOT: Final = Path(__file__).resolve().parents[3]
SECONDS: Final = 20
RUN: Final = "tenants/acme/pipelines/p_daily/runs"


@dataclasses.dataclass(slots=True, kw_only=True)
class Running:
    """A process of the service for tests."""

    process: subprocess.Popen[str]
    out: Path
    err: Path
    channel: grpc.Channel | None = None

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Return the log's lines, all or those of an event; every line is JSON."""
        text = self.out.read_text()
        found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in found if event in {"", line["message"]}]

    def line(self, event: str) -> dict[str, Any]:
        """Return the one line of an event, once it is there."""
        (found,) = eventually(lambda: self.lines(event), within=SECONDS)
        return found

    def said(self) -> str:
        """Return what went to standard error."""
        return self.err.read_text()

    @property
    def address(self) -> str:
        return str(self.line("server.started")["listen"])

    def call(self, what: str, **given: Any) -> Any:
        """Call the service; return the call's future."""
        assert self.channel
        method = self.channel.unary_unary(
            f"/{SERVICE}/GetRun",
            request_serializer=GetRunRequest.SerializeToString,
            response_deserializer=GetRunRequest.FromString,
        )
        return method.future(GetRunRequest(name=f"{RUN}/{what}"), timeout=SECONDS, **given)

    def health(self, service: str = "") -> str:
        """Return what the process says of its health."""
        assert self.channel
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page on the admin port."""
        address = self.line("server.started")["admin_listen"]
        with contextlib.closing(http.client.HTTPConnection(address, timeout=SECONDS)) as page:
            page.request("GET", path)
            answer = page.getresponse()
            return answer.status, answer.read().decode()

    def ended(self) -> int:
        """Return the exit status, once the process ends."""
        return self.process.wait(SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell it to end."""
        self.process.send_signal(number)


@contextlib.contextmanager
def launched(**settings: object) -> Generator[Running]:
    """Start the process with settings by field; kill it at the end if it still runs."""
    prefix = "CONVERGENCE_TRIAL_"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(prefix)}
    environment |= {f"{prefix}{field.upper()}": str(value) for field, value in settings.items()}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'gen'}"
    command: Sequence[str] = (sys.executable, "-m", "tests.integration.common.process")
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        with out.open("w") as said, err.open("w") as complained:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, text=True, stdout=said, stderr=complained
            )
        try:
            yield Running(process=process, out=out, err=err)
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running(**settings: object) -> Generator[Running]:
    """Start the process and wait until it serves."""
    with launched(**settings) as found, grpc.insecure_channel(found.address) as channel:
        found.channel = channel
        yield found
