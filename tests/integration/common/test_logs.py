"""The log of a process: one JSON object a line, each saying what it is about, none telling a secret."""

import resource
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.common.process import SECRET, SERVICE
from tests.integration.common.running import Running, running
from tests.support.eventually import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)
ABOUT = {"tenant_id": "acme", "pipeline_id": "p_daily"}

Line = dict[str, Any]


@pytest.fixture(scope="module")
def process() -> Generator[Running]:
    """Yield a process after a call each that logs, is refused, crashes, and meets a library."""
    with running() as found:
        codes = {
            what: found.call(what, metadata=TRACED).code().name
            for what in ("log", "missing", "crash", "library")
        }
        assert codes == {
            "log": "OK",
            "missing": "NOT_FOUND",
            "crash": "INTERNAL",
            "library": "OK",
        }
        yield found


def done(process: Running, run: str) -> Line:
    """Return the line of the end of a call, once it is there."""

    def lines() -> list[Line]:
        return [line for line in process.lines("rpc.done") if line["run_id"] == run]

    (found,) = eventually(lines, within=5)
    return found


def test_every_line_says_when_how_grave_and_by_whom(process: Running) -> None:
    done(process, "library")
    for line in process.lines():
        assert datetime.now(UTC) - datetime.fromisoformat(line["time"]) < timedelta(minutes=5)
        assert line["severity"] in {"INFO", "WARNING", "ERROR"}
        assert line["service"] == "trial"
        assert line["message"]


@pytest.mark.parametrize("run", ["log", "missing", "crash", "library"])
def test_every_line_of_a_call_carries_what_it_is_about_and_its_trace(
    run: str, process: Running
) -> None:
    done(process, run)
    lines = [line for line in process.lines() if line.get("run_id") == run]
    assert len(lines) == (1 if run == "missing" else 2)
    for line in lines:
        assert {key: line[key] for key in ABOUT} == ABOUT
        assert line["trace_id"] == TRACE
        assert len(line["span_id"]) == 16


@pytest.mark.parametrize(
    ("run", "code", "severity"),
    [("log", "OK", "INFO"), ("missing", "NOT_FOUND", "INFO"), ("crash", "INTERNAL", "INFO")],
)
def test_a_call_ends_in_one_line(run: str, code: str, severity: str, process: Running) -> None:
    line = done(process, run)
    assert (line["code"], line["severity"]) == (code, severity)
    assert line["method"] == f"/{SERVICE}/GetRun"
    assert line["duration_ms"] > 0


def test_a_crash_is_one_line_with_its_traceback(process: Running) -> None:
    line = process.line("rpc.crashed")
    assert line["severity"] == "ERROR"
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: two\nlines")


def test_what_a_library_logs_is_a_line_too(process: Running) -> None:
    line = process.line("odd: {'a': 1}")
    assert (line["severity"], line["logger"]) == ("WARNING", "some.library")


def test_a_secret_that_is_logged_is_not_shown(process: Running) -> None:
    assert process.line("run.moved")["key"] == "SecretText(***)"
    assert SECRET not in process.out.read_text()
    assert process.said() == ""


def test_health_checks_are_not_logged(process: Running) -> None:
    process.health()
    assert all("/grpc.health" not in line.get("method", "") for line in process.lines())


def test_a_call_is_answered_while_its_log_cannot_be_written(process: Running) -> None:
    pid = process.process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        assert process.call("quiet").code().name == "OK"
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    assert process.call("quiet").code().name == "OK"
