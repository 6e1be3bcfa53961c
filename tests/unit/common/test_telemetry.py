"""No work fails because its log cannot be written."""

import contextlib
import errno
import io
import json
import logging
from collections.abc import Generator

import pytest
import structlog
from opentelemetry import trace

from libs.common.telemetry import configure_logging


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")


def closed() -> io.StringIO:
    made = io.StringIO()
    made.close()
    return made


@pytest.fixture(autouse=True)
def logging_as_before() -> Generator[None]:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


@pytest.mark.parametrize("out", [closed(), Full()])
def test_a_log_that_is_closed_or_full_fails_nobody(out: io.StringIO) -> None:
    with contextlib.redirect_stdout(out):
        configure_logging("auth", "INFO")
        structlog.get_logger().info("work.done")


def test_a_line_is_a_json_object() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        configure_logging("auth", "INFO")
        structlog.get_logger().warning("work.done", count=2)
    line = json.loads(out.getvalue())
    said = {key: line[key] for key in ("service", "severity", "message", "count")}
    assert said == {"service": "auth", "severity": "WARNING", "message": "work.done", "count": 2}


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        (
            "acme-data",
            {
                "logging.googleapis.com/trace": f"projects/acme-data/traces/{1:032x}",
                "logging.googleapis.com/spanId": f"{2:016x}",
            },
        ),
        ("", {}),
    ],
)
def test_a_line_of_a_trace_names_it_as_cloud_logging_does(
    project: str, expected: dict[str, str]
) -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        configure_logging("auth", "INFO", project)
        with trace.use_span(span):
            structlog.get_logger().info("work.done")
    line = json.loads(out.getvalue())
    assert line["trace_id"] == f"{1:032x}"
    assert {key: value for key, value in line.items() if "googleapis" in key} == expected
