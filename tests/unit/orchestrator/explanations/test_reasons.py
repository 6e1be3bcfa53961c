"""Every reason that a run may end with is explained: whose fault it is, and what to do."""

import pytest
from convergence.common.v1.error_reason_pb2 import ErrorReason

from services.orchestrator.explanations.explanation import TURNS
from services.orchestrator.runs.reasons import REASONS, reason_of
from tests.unit.common.sources import documented
from tests.unit.protos.test_documented_failures import failures

ENUM = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 no dict
INSIDE = {
    "IssueRunToken",
    "PlanChunks",
    "IngestChunk",
    "CompileSuite",
    "EvaluateTable",
}
"""RPCs that the orchestrator calls for a run."""


def refusals() -> set[str]:
    """Return the reasons that only calls at the edge are refused with: no run ends with one."""
    said: dict[str, set[str]] = {}
    for failure in failures():
        said.setdefault(failure.reason, set()).add(failure.rpc)
    # PlanRun fails as the planning of a run does, but for what CreateRun refuses before there is a run.
    planning = {
        name for name, rpcs in said.items() if "PlanRun" in rpcs and "CreateRun" not in rpcs
    }
    runs = planning | {
        name for name, reason in documented().items() if "ailure of a run" in reason.comment
    }
    return {name for name, rpcs in said.items() if not rpcs & INSIDE} - runs


def test_every_reason_that_a_run_may_end_with_is_explained() -> None:
    missing = ENUM - refusals() - set(REASONS)
    assert missing == set(), (
        "a run may end with these: say in services/orchestrator/runs/reasons.py whose fault each is "
        "and what to do, or name them in the comment of the edge's RPC that refuses with them"
    )


def test_reasons_that_only_the_edge_knows_are_found() -> None:
    assert {"API_KEY_UNKNOWN", "PIPELINE_NOT_FOUND", "TOO_MANY_RUNS"} <= refusals()
    assert not {"SOURCE_FORBIDDEN", "WAREHOUSE_UNAVAILABLE", "NO_WORKER"} & refusals()


def test_nothing_is_explained_that_is_no_reason() -> None:
    assert set(REASONS) - ENUM == set()


@pytest.mark.parametrize("name", sorted(REASONS))
def test_advice_is_a_sentence_that_names_the_way_on(name: str) -> None:
    reason = REASONS[name]
    assert reason.advice.endswith(".")
    assert reason.kind in TURNS
    if reason.again == "new":
        assert "start a new run" in reason.advice
        assert "runs retry" not in reason.advice
    elif not name.startswith("TENANT_"):
        assert "`convergence runs retry`" in reason.advice


def test_a_reason_of_a_newer_version_is_the_platforms() -> None:
    assert reason_of("NEVER_HEARD_OF") == REASONS["INTERNAL"]
