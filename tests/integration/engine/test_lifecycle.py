"""The engine starts once per directory and port, says so in one line, and keeps what it answered."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import (
    Conflict,
    InternalServerError,
    NotFound,
    ServiceUnavailable,
)
from google.cloud import bigquery

from tests.integration.engine.warehouse import CALL_SECONDS, Warehouse, failure_of, opened, record
from tests.support.appending import (
    COMMITTED,
    ONCE,
    PENDING,
    append,
    append_request,
    open_stream,
)
from tests.support.engine import (
    ROOT,
    Engine,
    engine_python,
    start_engine,
    stored_engine,
)
from tests.support.engine_template import Template
from tests.support.pausing import paused

REFUSED = 2
INTERNAL = grpc.StatusCode.INTERNAL.value[0]
WAIT_IN_A_FILE = 600_000
"""Rows of one integer that are too many to wait in memory."""


@pytest.fixture
def stored(template: Template, tmp_path: Path) -> Iterator[Warehouse]:
    """A dataset in an engine of its own, which can be killed and started again."""
    with (
        stored_engine(pauses=tmp_path, template=template) as engine,
        opened(engine) as made,
    ):
        yield made


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refusal(
    arguments: Sequence[str], *, python: str | None = None, path: Sequence[Path] = ()
) -> str:
    """Start an engine that refuses to; return its one line."""
    places = os.pathsep.join(map(str, (*path, ROOT)))
    done = subprocess.run(
        [python or engine_python(), "-m", "libs.local.engine", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (REFUSED, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("option", ["--rest-port", "--grpc-port"])
def test_a_port_in_use_is_refused(taken: int, option: str) -> None:
    said = refusal(["--in-memory", option, str(taken)])
    assert said.startswith(f"port {taken} on 127.0.0.1 cannot be used (Address already in use)")
    assert "choose another --rest-port or --grpc-port" in said


def test_the_address_to_listen_at_can_be_another() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        said = refusal(["--in-memory", "--host", "127.0.0.2", "--rest-port", str(port)])
    assert said.startswith(f"port {port} on 127.0.0.2 cannot be used (Address already in use)")


def test_one_port_for_both_protocols_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    said = refusal(["--in-memory", "--rest-port", port, "--grpc-port", port])
    assert said.startswith(f"port {port} on 127.0.0.1 cannot be used (Address already in use)")


def test_a_data_directory_in_use_is_refused(template: Template, tmp_path: Path) -> None:
    with start_engine(tmp_path, template=template):
        said = refusal(["--data-dir", str(tmp_path)])
    assert said == (
        f"another embedded BigQuery is using {tmp_path}: stop it first, "
        "or choose another --data-dir"
    )


def test_a_data_directory_is_free_again_after_a_crash(template: Template, tmp_path: Path) -> None:
    with start_engine(tmp_path, template=template) as engine:
        engine.kill()
    with start_engine(tmp_path, template=template) as again, opened(again) as warehouse:
        assert warehouse.rows("SELECT 1 AS n") == [(1,)]


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(["--data-dir", str(tmp_path / "file")])
    assert said.startswith(f"cannot write to the data directory {tmp_path / 'file'} (File exists)")


def test_a_database_that_cannot_be_read_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "bqemulator.duckdb"
    database.write_text("of another kind" * 1000)
    said = refusal(["--data-dir", str(tmp_path)])
    assert said.startswith(f"cannot open the tables in {tmp_path} (")
    assert database.read_text() == "of another kind" * 1000


def test_another_bqemulator_is_refused(tmp_path: Path) -> None:
    installed = tmp_path / "bqemulator-1.5.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: bqemulator\nVersion: 1.5.0\n")
    said = refusal(["--in-memory"], path=[tmp_path])
    assert said == (
        "the embedded BigQuery is written for bqemulator 1.4.0 and found 1.5.0: "
        "install libs/local/engine/requirements.lock into .venvs/engine"
    )


def test_an_environment_without_bqemulator_is_refused() -> None:
    said = refusal(["--in-memory"], python=sys.executable)
    assert said == (
        f"the embedded BigQuery needs its own environment, and {sys.executable} has no "
        "bqemulator: run `make setup` and start it with .venvs/engine/bin/python"
    )


def test_an_unknown_fix_is_refused() -> None:
    said = refusal(["--in-memory", "--without", "one_wrter"])
    assert said.startswith("no such fix: one_wrter; known: ")


def test_it_listens_on_this_machine_only(engine: Engine) -> None:
    assert engine.rest.startswith("http://127.0.0.1:")
    assert engine.grpc.startswith("127.0.0.1:")


def test_it_says_where_its_threads_are_when_it_is_asked_to(engine: Engine) -> None:
    stderr = Path(f"/proc/{engine.process.pid}/fd/2")
    engine.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + CALL_SECONDS
    while "most recent call first" not in stderr.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert engine.process.poll() is None


def test_it_stops_quickly_although_a_connection_is_open(template: Template) -> None:
    with start_engine(template=template) as engine, opened(engine) as warehouse:
        stream = open_stream(warehouse.writer, warehouse.table("t", ("i", "INT64")), COMMITTED)
        requests = iter([append_request(stream, record(i=[1]))])
        next(iter(warehouse.writer.append_rows(requests, timeout=CALL_SECONDS)))
        start = time.monotonic()
        assert engine.stop() == 0
        assert time.monotonic() - start < 5


def test_what_was_answered_survives_a_crash(stored: Warehouse) -> None:
    """Rows of every kind, schemas with their layout, labels and job ids."""
    wide = bigquery.Table(f"{stored.dataset}.u", [bigquery.SchemaField("n", "BIGNUMERIC")])
    wide.labels, wide.clustering_fields = {"run": "r1"}, ["n"]
    stored.client.create_table(wide)
    table = stored.table("t", ("i", "INT64"))
    stored.load(table, record(i=[1, 2]))
    append(stored.writer, open_stream(stored.writer, table, COMMITTED), record(i=[3]))
    stored.run("INSERT INTO `{d}.t` (i) VALUES (4)", job_id="once")
    stored.run("UPDATE `{d}.t` SET i = 20 WHERE i = 2")
    stored.run("CREATE TABLE `{d}.v` AS SELECT i FROM `{d}.t` WHERE i > 3")
    stored.engine.kill()
    stored.engine.restart()
    assert stored.rows("SELECT i FROM `{d}.t` ORDER BY i") == [(1,), (3,), (4,), (20,)]
    assert stored.rows("SELECT i FROM `{d}.v` ORDER BY i") == [(4,), (20,)]
    assert stored.column_types("u") == {"n": "BIGNUMERIC"}
    kept = stored.client.get_table(f"{stored.dataset}.u")
    assert (kept.labels, kept.clustering_fields) == ({"run": "r1"}, ["n"])
    again = failure_of(lambda: stored.run("INSERT INTO `{d}.t` (i) VALUES (4)", job_id="once"))
    assert isinstance(again, Conflict)


def test_streams_and_rows_that_were_not_committed_end_with_the_process(stored: Warehouse) -> None:
    table = stored.table("t", ("i", "INT64"))
    (staged,) = stored.stage(table, record(i=[1]))
    journal = open_stream(stored.writer, table, COMMITTED)
    stored.engine.kill()
    stored.engine.restart()
    with stored.engine.write_client() as writer:
        for stream in (staged, journal):
            gone = failure_of(functools.partial(writer.finalize_write_stream, name=stream))
            assert isinstance(gone, NotFound)
    assert stored.rows("SELECT i FROM `{d}.t`") == []


def test_without_space_on_disk_a_write_fails_and_can_be_repeated(stored: Warehouse) -> None:
    table = stored.table("t", ("i", "INT64"))
    (staged,) = stored.stage(table, record(i=[1]))
    journal = open_stream(stored.writer, table, COMMITTED)
    large = open_stream(stored.writer, table, PENDING)
    with no_space(stored.engine):
        (answer,) = append(stored.writer, journal, record(i=[2]), offset=0)
        assert answer.error.code == INTERNAL
        (answer,) = append(stored.writer, large, record(i=range(WAIT_IN_A_FILE)), offset=0)
        assert answer.error.code == INTERNAL
        uncommitted = failure_of(lambda: stored.commit(table, [staged]))
        assert isinstance(uncommitted, InternalServerError)
        inserted = failure_of(lambda: stored.run("INSERT INTO `{d}.t` (i) VALUES (3)"))
        assert isinstance(inserted, InternalServerError)
    with stored.again() as afterwards:  # a 500 cuts the connection
        assert afterwards.rows("SELECT i FROM `{d}.t`") == []
    (answer,) = append(stored.writer, journal, record(i=[2]), offset=0)
    assert not answer.error.code
    (answer,) = append(stored.writer, large, record(i=range(WAIT_IN_A_FILE)), offset=0)
    assert not answer.error.code
    assert stored.seal(large) == WAIT_IN_A_FILE
    assert stored.commit(table, [staged]).commit_time
    stored.engine.kill()
    stored.engine.restart()
    with stored.again() as restarted:
        assert restarted.rows("SELECT i FROM `{d}.t` ORDER BY i") == [(1,), (2,)]


@contextlib.contextmanager
def no_space(engine: Engine) -> Iterator[None]:
    """Let no file of the engine grow inside the block."""
    limits = resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, limits)


def test_clients_that_went_away_leave_room_for_others(engine: Engine) -> None:
    """More of them than there are threads for append connections."""
    with opened(engine) as warehouse:
        stream = open_stream(warehouse.writer, warehouse.table("t", ("i", "INT64")), COMMITTED)
        for number in range(300):
            with warehouse.engine.write_client() as client:
                requests = iter([append_request(stream, record(i=[number]), number)])
                answers = iter(client.append_rows(requests, retry=ONCE, timeout=CALL_SECONDS))
                assert not next(answers).error.code
        assert warehouse.rows("SELECT COUNT(*) AS n FROM `{d}.t`") == [(300,)]


def test_a_crash_in_the_middle_of_a_commit_leaves_nothing(stored: Warehouse) -> None:
    """The rows of the first of two streams are stored."""
    table = stored.table("t", ("i", "INT64"))
    streams = stored.stage(table, record(i=[1]), record(i=[2]))
    killed_while(stored, lambda: stored.commit(table, streams))
    assert stored.rows("SELECT i FROM `{d}.t`") == []


def test_a_crash_in_the_middle_of_an_append_leaves_nothing(stored: Warehouse) -> None:
    stream = open_stream(stored.writer, stored.table("t", ("i", "INT64")), COMMITTED)
    killed_while(stored, lambda: append(stored.writer, stream, record(i=[1, 2])))
    assert stored.rows("SELECT i FROM `{d}.t`") == []


def killed_while(warehouse: Warehouse, write: Callable[[], object]) -> None:
    """Kill the engine when `write` to table `t` has stored rows, and start it again."""
    assert warehouse.engine.pauses is not None
    with ThreadPoolExecutor(1) as threads, paused(warehouse.engine.pauses, "t") as pause:
        unanswered = threads.submit(failure_of, write)
        pause.reached()
        warehouse.engine.kill()
        assert isinstance(unanswered.result(CALL_SECONDS), ServiceUnavailable)
    warehouse.engine.restart()


def test_the_ready_line_names_both_addresses(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [engine_python(), "-m", "libs.local.engine", "--data-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.terminate()
        assert process.stdout.read() == ""
    assert set(ready) == {"event", "bigquery_rest", "bigquery_grpc"}
    assert ready["event"] == "engine.ready"
