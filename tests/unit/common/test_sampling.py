"""Which traces are recorded: as OpenTelemetry's own variables say."""

import subprocess
import sys

import pytest

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
