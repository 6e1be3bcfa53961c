"""Every failure that the comment of an RPC documents is expected by a test of that RPC's service."""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from convergence.common.v1 import error_reason_pb2

ROOT = Path(__file__).resolve().parents[3]
REASONS = frozenset(
    name.removeprefix("ERROR_REASON_")
    for name in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 no dict
)
CODES = frozenset(
    {
        "INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "ALREADY_EXISTS",
        "FAILED_PRECONDITION", "ABORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE",
    }
)  # fmt: skip
RPC = re.compile(r"((?:^[ \t]*//.*\n)+)[ \t]*(rpc|service) (\w+)", re.MULTILINE)
WORD = re.compile(r"[A-Z][A-Z_]+[A-Z]")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A code and reason that an RPC may fail with."""

    service: str
    rpc: str
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.service}.{self.rpc}: {self.code} / {self.reason}"


def documented(text: str, folder: str) -> Iterator[Failure]:
    """Yield the failures that a proto's comments name: `CODE / REASON, REASON; CODE / REASON`."""
    common: list[tuple[str, str]] = []
    for comment, kind, name in RPC.findall(text):
        pairs = list(_pairs(re.sub(r"^[ \t]*//", "", comment, flags=re.MULTILINE)))
        if kind == "service":
            common = pairs
            continue
        for code, reason in dict.fromkeys((*pairs, *common)):
            yield Failure(folder, name, code, reason)


def _pairs(comment: str) -> Iterator[tuple[str, str]]:
    code = ""
    for word in WORD.findall(comment):
        if word in CODES:
            code = word
        elif word in REASONS and code:
            yield code, word


@functools.cache
def failures() -> tuple[Failure, ...]:
    found: list[Failure] = []
    for path in sorted(ROOT.glob("protos/convergence/*/v1/*_service.proto")):
        found += documented(path.read_text(), path.parts[-3])
    return tuple(found)


@functools.cache
def expectations(service: str) -> tuple[frozenset[str], ...]:
    """Return the words of each test module of a service: names, attributes, texts and its subject.

    `test_plan_chunks.py` is about PlanChunks.
    """
    paths = sorted(ROOT.glob(f"tests/integration/{service}/**/test_*.py"))
    return tuple(
        frozenset({_subject(path), *_words(ast.parse(path.read_text()))}) for path in paths
    )


def _subject(path: Path) -> str:
    return "".join(part.title() for part in path.stem.split("_")[1:])


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_expected(failure: Failure) -> bool:
    """Whether some module of the service's tests calls the RPC and expects code and reason."""
    wanted = {failure.reason, failure.code}
    callers = {failure.rpc, "REQUESTS"}
    return any(wanted <= words and callers & words for words in expectations(failure.service))


def test_the_comments_are_understood() -> None:
    text = """
// Shows things.
//
// Every RPC may also fail with UNAUTHENTICATED / CREDENTIAL_MISSING.
service Things {
  // Returns one. Fails with NOT_FOUND / RUN_NOT_FOUND; INVALID_ARGUMENT / INVALID_REQUEST,
  // WINDOW_IN_FUTURE (a day that is not over).
  rpc GetThing(A) returns (B);
}
"""
    assert [(f.rpc, f.code, f.reason) for f in documented(text, "orchestrator")] == [
        ("GetThing", "NOT_FOUND", "RUN_NOT_FOUND"),
        ("GetThing", "INVALID_ARGUMENT", "INVALID_REQUEST"),
        ("GetThing", "INVALID_ARGUMENT", "WINDOW_IN_FUTURE"),
        ("GetThing", "UNAUTHENTICATED", "CREDENTIAL_MISSING"),
    ]


def test_every_service_is_read() -> None:
    assert {failure.service for failure in failures()} == {
        "auth", "orchestrator", "ingest", "quality",
    }  # fmt: skip
    assert len(failures()) > 200


LEADERLESS = {
    ("UNAVAILABLE", "NOT_ACTIVE"),
    ("UNAVAILABLE", "CLUSTER_UNAVAILABLE"),
    ("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE"),
    ("FAILED_PRECONDITION", "NOT_INITIALIZED"),
    ("FAILED_PRECONDITION", "JOURNAL_UNREADABLE"),
    ("FAILED_PRECONDITION", "LEASE_UNUSABLE"),
    ("FAILED_PRECONDITION", "CLUSTER_REFUSED"),
}
"""Why no orchestrator leads, as each of its RPCs then says."""


def test_every_rpc_of_the_orchestrator_documents_why_nobody_may_lead() -> None:
    said: dict[str, set[tuple[str, str]]] = {}
    for one in failures():
        if one.service == "orchestrator":
            said.setdefault(one.rpc, set()).add((one.code, one.reason))
    assert {rpc: LEADERLESS - its for rpc, its in said.items() if not its >= LEADERLESS} == {}


@pytest.mark.parametrize("failure", failures(), ids=str)
def test_a_documented_failure_is_expected_by_a_test(failure: Failure) -> None:
    assert is_expected(failure), f"no module of tests/integration/{failure.service} expects it"


@pytest.mark.parametrize(
    "failure",
    [
        Failure("auth", "GetTenant", "NOT_FOUND", "SOURCE_NOT_FOUND"),
        Failure("auth", "GetTenant", "ABORTED", "SIGNING_KEY_UNUSABLE"),
        Failure("quality", "PlanRun", "INVALID_ARGUMENT", "SUITE_INVALID"),
    ],
    ids=["reason", "code", "rpc"],
)
def test_a_failure_that_no_test_expects_is_found(failure: Failure) -> None:
    assert not is_expected(failure)
