"""Whoever sleeps and tries again does it in the room of retries."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
ORCHESTRATOR = ROOT / "services/orchestrator"

ALLOWED = {
    "retries/pauses.py": "the pause before the next try",
    "retries/budgets.py": "the trickle of an empty budget",
    "active.py:_elected": "a journal that cannot be read is left to other candidates",
    "backfills/progress.py:sums": "adding up many receipts lets others go first",
    "conductor/admission.py:_until_midnight": "bytes of a day are counted anew",
    "conductor/awaiting.py:others": "other pipelines succeed when they do",
    "conductor/conductor.py:expire": "a hold ends at a moment",
    "conductor/conductor.py:forget": "a failed run is kept until a moment",
    "elections/file_election.py:win": "the kernel tells nobody that a lock is free",
    "elections/kubernetes_election.py:_keep": "a lease is renewed by time",
    "elections/kubernetes_election.py:_rest": "a lease is renewed by time, until its deadline",
    "elections/kubernetes_election.py:win": "an API server is asked now and then whether a lease is free",
    "elections/role.py:keep": "callers may be led elsewhere by somebody",
    "journal/bigquery_journal.py:_visible": "what was written can be read a moment later",
    "journal/checkpoints.py:keep": "a day passes between two checkpoints",
    "journal/history.py:keep": "an idle stream is used now and then",
    "journal/journal.py:append": "an append in memory lets others go first",
    "projections/bigquery_projections.py:_follow": "changes are gathered",
    "schedules/scheduler.py": "time passes until something is due",
    "warehouse/memory_warehouse.py:_before": "a call in memory lets others go first",
    "workers/accounts.py:earn": "requests are earned by time",
    "workers/accounts.py:_rest": "a provider has been left alone as long as it asked for",
    "conductor/limits.py:follow": "auth is asked again what a tenant may have that waits for more",
    "workers/kubernetes_discovery.py:follow": "an API server that was away is asked again",
    "workers/dispatcher.py": "a worker has rested, or a stream may be opened",
}
"""Places that sleep, by file or by file and function, and what they wait for."""


def sleeps(tree: ast.AST, function: str = "") -> Iterator[str]:
    """Yield the innermost function around each call of something named `sleep`."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name.strip("_") == "sleep":
                yield inside
        yield from sleeps(node, inside)


def places() -> set[str]:
    return {
        f"{file.relative_to(ORCHESTRATOR)}:{function}"
        for file in ORCHESTRATOR.rglob("*.py")
        for function in sleeps(ast.parse(file.read_text()))
    }


def test_nobody_else_sleeps() -> None:
    assert {p for p in places() if p not in ALLOWED and p.partition(":")[0] not in ALLOWED} == set()


def test_who_may_sleep_does() -> None:
    found = places()
    assert set(ALLOWED) <= found | {place.partition(":")[0] for place in found}


def test_a_loop_that_sleeps_is_found() -> None:
    text = "async def f(m):\n while True:\n  try: m()\n  except E: await m.sleep(1)\n"
    assert list(sleeps(ast.parse(text))) == ["f"]
