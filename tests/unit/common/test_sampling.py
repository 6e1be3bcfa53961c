"""Which calls have traces, and which traces are recorded: as OpenTelemetry's own variables say."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from libs.common.app import _traced

PROGRAM = """
from opentelemetry import trace
from libs.common.telemetry import tracing
with tracing("orchestrator", "127.0.0.1:9"):
    print(trace.get_tracer_provider().sampler.get_description())
"""


@pytest.mark.parametrize(
    ("told", "sampler"),
    [
        ({}, "AlwaysOnSampler"),
        (
            {
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            },
            "TraceIdRatioBased{0.01}",
        ),
    ],
)
def test_a_share_of_traces_is_sampled_where_the_environment_says_so(
    told: dict[str, str], sampler: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), **told},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert sampler in done.stdout


@pytest.mark.parametrize(
    ("method", "traced"),
    [
        ("/grpc.health.v1.Health/Check", False),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", False),
        ("/convergence.orchestrator.v1.RunService/GetRun", True),
    ],
)
def test_what_probes_and_reflection_ask_has_no_trace(method: str, traced: bool) -> None:
    assert _traced(SimpleNamespace(method=method)) is traced
