"""Starts the embedded BigQuery as a process of its own, for tests."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol, Self

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import (
    BigQueryWriteGrpcTransport,
)

from tests.support.engine_template import Template, template

ENGINE = "libs.local.engine"
PAUSING = "tests.support.pausing_engine"
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 20


class Process(Protocol):
    """What an engine needs of its process, as `subprocess.Popen` has it."""

    pid: int

    @property
    def stdout(self) -> IO[str] | None: ...

    @property
    def stderr(self) -> IO[str] | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


class EngineNotStarted(Exception):
    """The process ended, or said nothing for START_SECONDS; carries its stderr."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Engine:
    """A running embedded BigQuery. `rest` is a URL, `grpc` is host:port.

    Clients that it hands out are the caller's to close.
    """

    rest: str
    grpc: str
    project: str
    process: Process
    data_dir: Path | None
    without: tuple[str, ...]
    pauses: Path | None = None
    template: Template | None = None

    def stop(self) -> int:
        """End it with SIGTERM and wait; return its exit status. Safe to repeat."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it with SIGKILL, as a crash would; return its exit status. Safe to repeat."""
        return self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Start a process again on the same directory and ports; ends a running one with SIGTERM."""
        self.stop()
        ports = [int(address.rpartition(":")[2]) for address in (self.rest, self.grpc)]
        again = start_engine(
            self.data_dir,
            self.without,
            rest_port=ports[0],
            grpc_port=ports[1],
            project=self.project,
            pauses=self.pauses,
            template=self.template,
        )
        self.process = again.process
        return self

    def client(self) -> bigquery.Client:
        """Return a new REST client."""
        return bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.rest},
        )

    def write_client(self) -> BigQueryWriteClient:
        """Return a new Storage Write client on a channel of its own."""
        transport = BigQueryWriteGrpcTransport(channel=grpc.insecure_channel(self.grpc))
        return BigQueryWriteClient(transport=transport)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            _close_pipes(self.process)


def start_engine(
    data_dir: Path | None = None,
    without: Sequence[str] = (),
    *,
    rest_port: int = 0,
    grpc_port: int = 0,
    project: str = "local",
    pauses: Path | None = None,
    template: Template | None = None,
) -> Engine:
    """Start the engine and wait until it answers; use it in `with`, or call `stop()`.

    Args:
        data_dir: where it keeps its tables; None keeps them in memory.
        without: names of fixes to leave out.
        rest_port: 0 takes any free one.
        grpc_port: 0 takes any free one.
        project: the default project.
        pauses: a directory through which `tests.support.pausing` stops changes half-way.
        template: what to fork it from; None starts a process as the product does.

    Raises:
        EngineNotStarted: it did not start.
    """
    arguments = _arguments(data_dir, without, rest_port, grpc_port, project)
    with tempfile.TemporaryFile("w+") as said:
        process: Process
        if template is not None:
            process = template.start(arguments, pauses=pauses, stderr=said)
        else:
            process = launch(arguments, pauses=pauses, stderr=said)
        ready = _ready(process, said)
    return Engine(
        rest=ready["bigquery_rest"],
        grpc=ready["bigquery_grpc"],
        project=project,
        process=process,
        data_dir=data_dir,
        without=tuple(without),
        pauses=pauses,
        template=template,
    )


@contextlib.contextmanager
def stored_engine(
    without: Sequence[str] = (), *, pauses: Path | None = None, template: Template | None = None
) -> Iterator[Engine]:
    """Yield an engine on a directory of its own, which is removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as directory,
        start_engine(Path(directory), without, pauses=pauses, template=template) as engine,
    ):
        yield engine


@contextlib.contextmanager
def engine_template() -> Iterator[Template]:
    """Yield a process from which engines can be forked quickly."""
    with template(engine_python(), ROOT) as made:
        yield made


def launch(
    arguments: Sequence[str],
    *,
    pauses: Path | None = None,
    stderr: IO[str] | int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start the process and return at once; its stdout is a pipe, and so is stderr by default."""
    module = [ENGINE] if pauses is None else [PAUSING, str(pauses)]
    return subprocess.Popen(
        [engine_python(), "-m", *module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def engine_python() -> str:
    """Return the interpreter of the engine's environment."""
    default = ROOT / ".venvs" / "engine" / "bin" / "python"
    return os.environ.get("CONVERGENCE_ENGINE_PYTHON", str(default))


def _arguments(
    data_dir: Path | None, without: Sequence[str], rest_port: int, grpc_port: int, project: str
) -> list[str]:
    where = ["--in-memory"] if data_dir is None else ["--data-dir", str(data_dir)]
    ports = ["--rest-port", str(rest_port), "--grpc-port", str(grpc_port)]
    left_out = [f"--without={fix}" for fix in without]
    return [*where, *ports, "--project", project, *left_out]


def _ready(process: Process, said: IO[str]) -> dict[str, str]:
    """Read the line that says the engine answers; raise EngineNotStarted if none comes."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(START_SECONDS) else ""
    if not line:
        process.kill()
        process.wait()
        _close_pipes(process)
        said.seek(0)
        raise EngineNotStarted(f"the engine did not start: {said.read().strip()}")
    ready: dict[str, str] = json.loads(line)
    return ready


def _close_pipes(process: Process) -> None:
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
