"""What the command line says about a refusal."""

import json
import re
from pathlib import Path

import click
import pytest
from convergence.common.v1.error_reason_pb2 import ErrorReason

from libs.client.cli import failures
from libs.client.cli.root import convergence
from libs.common import errors
from libs.common.rpc import CODES

REASONS = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118

ROOT = Path(__file__).parents[3]
EDGE = (
    "convergence/auth/v1/tenant_service.proto",
    "convergence/auth/v1/api_key_service.proto",
    "convergence/orchestrator/v1/pipeline_service.proto",
    "convergence/orchestrator/v1/run_service.proto",
)
NAMED = re.compile(r"`convergence ([a-z]+(?: [a-z]+)*)")


def test_advice_stands_for_reasons_that_there_are() -> None:
    assert set(failures.ADVICE) <= REASONS


@pytest.mark.parametrize("kind", [kind for kind in CODES if kind is not errors.ServiceError])
def test_every_kind_of_refusal_has_an_exit_status_and_something_to_do(
    kind: type[errors.ServiceError],
) -> None:
    error = (
        errors.InvalidRequest({"parent": "found 'x'"})
        if kind is errors.InvalidRequest
        else kind("no")
    )
    said = failures.refusal(error)
    assert said.status in {2, 3, 4}
    assert said.advice not in {"", "try again"}


def test_fields_and_facts_that_the_message_names_are_not_said_twice() -> None:
    error = errors.InvalidRequest({"a": "found 1", "b": "found 2"}, name="tenants/x")
    assert list(failures.refusal(error).lines()) == [
        "error: a: found 1; b: found 2 (INVALID_REQUEST)",
        "  name: tenants/x",
        "  do: correct the fields named and try again",
    ]


def test_a_file_that_is_wrong_is_the_callers_to_correct() -> None:
    broken = errors.FailedPrecondition("broken", reason="CONFIG_INVALID")
    assert failures.refusal(broken).status == failures.WRONG_ARGUMENTS


def test_a_refusal_cannot_steer_a_terminal() -> None:
    error = errors.NotFound("no \x1b[2J", reason="RUN_NOT_FOUND", name="\x1b]0;x\x07")
    text = "\n".join(failures.refusal(error).lines())
    assert "\x1b" not in text
    assert r"\x1b[2J" in text


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("localhost:50051", "convergence local up"),
        ("https://convergence.example.com", "check that the service is up"),
        ("", "check that the service is up"),
    ],
)
def test_who_cannot_be_reached_decides_what_to_do(address: str, advice: str) -> None:
    said = failures.refusal(errors.Unavailable("gone", address=address))
    assert (said.status, said.reason) == (4, "UNREACHABLE")
    assert advice in said.advice


def test_a_call_that_was_not_answered_in_time_may_have_been_done() -> None:
    said = failures.refusal(errors.Unavailable("late", address="localhost:1", waited="10 s"))
    assert (said.status, said.reason) == (4, "NO_ANSWER")
    assert "may have been done" in said.advice


def test_a_wrong_argument_is_a_violation_of_its_field() -> None:
    error = click.BadParameter("found 'x'; allowed is y.", param_hint="'--limit'")
    assert json.loads(failures.wrong(error).json())["error"] == {
        "message": "--limit: found 'x'; allowed is y",
        "status": 2,
        "reason": "WRONG_ARGUMENTS",
        "violations": {"--limit": "found 'x'; allowed is y"},
        "facts": {},
        "advice": "`convergence --help` shows what is allowed",
    }


def test_a_file_that_cannot_be_used_is_named() -> None:
    said = failures.unusable(PermissionError(13, "Permission denied", "/srv/configs"))
    assert said.message == "/srv/configs: Permission denied"
    assert (said.status, said.reason) == (2, "FILE_UNUSABLE")


def test_every_reason_that_an_edge_service_documents_has_advice_of_its_own() -> None:
    documented = {
        reason
        for proto in EDGE
        for line in (ROOT / "protos" / proto).read_text().splitlines()
        if line.lstrip().startswith("//")
        for reason in re.findall(r"[A-Z]+(?:_[A-Z]+)+", line)
        if reason in REASONS
    }
    assert "RUN_STATE_MISMATCH" in documented
    assert documented - set(failures.ADVICE) == set()


def test_commands_that_advice_names_exist() -> None:
    texts = [*failures.ADVICE.values(), *(text for _, text in failures.KIND_ADVICE)]
    named = {words for text in texts for words in NAMED.findall(text)}
    assert named
    for words in named:
        found: click.Command = convergence
        for word in words.split():
            assert isinstance(found, click.Group), words
            assert word in found.commands, words
            found = found.commands[word]
