"""What the command line says when something is refused, and the status it exits with."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from convergence.orchestrator.v1.pipeline_pb2 import FileError

from libs.common import errors
from tests.integration.client.commands import KEY, Command, against
from tests.support.fake_edge import FakePipelines, FakeRuns, serving


@pytest.mark.parametrize(
    ("failure", "status", "advice"),
    [
        (errors.Unauthenticated("key unknown", reason="API_KEY_UNKNOWN"), 3, "keys create"),
        (errors.Unauthenticated("no key", reason="CREDENTIAL_MISSING"), 3, "CONVERGENCE_API_KEY"),
        (errors.Unauthenticated("revoked", reason="API_KEY_REVOKED"), 3, "ask a tenant admin"),
        (errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:write"), 3, "--scope"),
        (errors.QuotaExceeded("busy", reason="TOO_MANY_RUNS", retry_after=7), 3, "wait 7 s"),
        (errors.FailedPrecondition("not yet", reason="NOT_INITIALIZED"), 3, "admin init"),
        (errors.FailedPrecondition("broken", reason="CONFIG_INVALID"), 2, "pipelines validate"),
        (errors.InvalidRequest({"window_time": "found x"}), 2, "correct the fields"),
        (errors.NotFound("none", reason="PIPELINE_NOT_FOUND"), 2, "pipelines list"),
        (errors.Conflict("changed", reason="RESOURCE_STALE"), 3, "decide again"),
    ],
    ids=lambda value: getattr(value, "reason", None),
)
async def test_a_refusal_says_what_why_and_what_to_do(
    command: Command, failure: errors.ServiceError, status: int, advice: str
) -> None:
    runs = FakeRuns()
    runs.refusal = failure
    said = await against(command, "runs", "start", "p", runs=runs)
    assert (said.status, said.out) == (status, "")
    first, *_, last = said.err.splitlines()
    assert first == f"error: {failure} ({failure.reason})"
    assert last.startswith("  do: ")
    assert advice in last
    assert KEY not in said.err


async def test_a_refusal_is_json_for_programs(command: Command) -> None:
    runs = FakeRuns()
    runs.refusal = errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:write")
    said = await against(command, "runs", "start", "p", "--output", "json", runs=runs)
    assert (said.status, said.out) == (3, "")
    assert said.error["reason"] == "SCOPE_MISSING"
    assert said.error["facts"] == {"scope": "runs:write"}
    assert said.error["status"] == 3


async def test_a_service_that_answers_nothing_useful_exits_4(command: Command) -> None:
    runs = FakeRuns()
    away = errors.Unavailable("BigQuery is away", reason="WAREHOUSE_UNAVAILABLE")
    runs.failures = [away] * 4
    said = await against(command, "runs", "list", runs=runs)
    assert said.status == 4
    assert said.err.startswith("error: BigQuery is away (WAREHOUSE_UNAVAILABLE)\n")


async def test_a_start_without_an_answer_says_how_to_repeat_it_without_a_second_run(
    command: Command,
) -> None:
    runs = FakeRuns()
    runs.failures = [errors.Unavailable("away", reason="WAREHOUSE_UNAVAILABLE")] * 4
    said = await against(command, "runs", "start", "p", "--output", "json", runs=runs)
    (request_id,) = {request.request_id for request in runs.requests}
    assert said.status == 4
    assert f"--request-id {request_id}" in said.error["advice"]
    again = await against(
        command, "runs", "start", "p", "--request-id", request_id, runs=FakeRuns()
    )
    assert again.status == 0


async def test_an_edge_that_is_not_there_exits_4_and_is_named_in_few_words(
    command: Command,
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        said = await asyncio.to_thread(command, "runs", "list", address=address)
    assert said.status == 4
    first, last = said.err.splitlines()
    assert first in {
        f"error: {address} cannot be reached: connection {how} (UNREACHABLE)"
        for how in ("refused", "timed out")
    }
    assert "convergence local up" in last


async def test_an_edge_without_tls_that_is_called_with_it_says_so(command: Command) -> None:
    async with serving() as address:
        said = await asyncio.to_thread(command, "runs", "list", address=f"https://{address}")
    assert said.status == 4
    assert "it speaks no TLS; http://… calls it in plain text" in said.err


@pytest.mark.parametrize(
    ("arguments", "field", "allowed"),
    [
        (["runs", "start", "p", "--date", "20.11.2026"], "--date", "allowed is YYYY-MM-DD"),
        (["runs", "start", "p", "--request-id", "x"], "--request-id", "valid UUID"),
        (["runs", "get", "r1"], "RUN", "allowed is PIPELINE/RUN"),
        (["runs", "start", "Bad Pipeline"], "", "allowed is [a-z]"),
        (["runs", "start"], "", "missing argument 'PIPELINE'"),
        (["runs", "list", "--tenant", "tenants/x/y"], "", "allowed is tenants/{tenant}"),
        (["runs", "list", "--state", "NOPE"], "--state", "'held'"),
        (["runs", "list", "--limit", "0"], "--limit", "allowed is a whole number from 1"),
        (["runs", "list", "--output", "yaml"], "--output", "'table', 'json'"),
        (["runs", "list", "--address", "nowhere"], "address", "allowed is host:port"),
        (["runs", "list", "--profile", "clowd"], "", "profile 'clowd' was asked for"),
        (["keys", "rotate", "k", "--overlap", "soon"], "--overlap", "e.g. 7d"),
        (["local", "up", "--port", "65536"], "--port", "from 0 to 65535"),
        (["runs", "list", "--tenat", "x"], "", "no such option '--tenat'"),
        (["runs", "lst"], "", "no such command 'lst'. Did you mean 'list'?"),
        (["nonsense"], "", "no such command 'nonsense'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_wrong_arguments_exit_2_before_anything_is_called(
    command: Command, arguments: list[str], field: str, allowed: str
) -> None:
    runs = FakeRuns()
    said = await against(command, *arguments, runs=runs)
    assert (said.status, said.out, runs.requests) == (2, "", [])
    first, last = said.err.splitlines()
    assert first.startswith(f"error: {field}: " if field else "error: ")
    assert allowed in first
    assert first.endswith("(WRONG_ARGUMENTS)")
    assert last.startswith("  do: `convergence")
    assert "--help` shows what is allowed" in last


@pytest.mark.parametrize("flag", [["--output", "json"], ["--output=json"]], ids=["two", "one"])
async def test_wrong_arguments_are_json_for_programs(command: Command, flag: list[str]) -> None:
    said = await against(command, "runs", "list", "--limit", "x", *flag)
    assert said.error["violations"].keys() == {"--limit"}
    assert (said.error["reason"], said.error["status"]) == ("WRONG_ARGUMENTS", 2)


async def test_without_a_tenant_every_way_to_give_one_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVERGENCE_API_KEY", "a key that names no tenant")
    said = await against(command, "runs", "list")
    assert said.status == 2
    for way in ("--tenant ID", "CONVERGENCE_TENANT", "tenants/acme_corp/"):
        assert way in said.err


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "x" * 257], ids=["ä", "lines", "long"])
async def test_text_that_is_no_key_is_refused_without_being_repeated(
    command: Command, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CONVERGENCE_API_KEY", key)
    runs = FakeRuns()
    said = await against(command, "runs", "list", "--tenant", "acme_corp", runs=runs)
    assert (said.status, runs.requests) == (2, [])
    assert said.err.startswith("error: API key: ")
    assert key not in said.err


async def test_a_folder_that_cannot_be_written_is_named(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    inside = str(file / "configs")
    said = await against(command, "tenants", "create", "acme_corp", "--configs", inside)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"error: {inside}")
    assert "Not a directory (FILE_UNUSABLE)" in said.err


def test_admin_init_without_a_mesh_or_settings_says_what_to_do(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("CONVERGENCE_AUTH_")]:
        monkeypatch.delenv(name)
    said = command("admin", "init", "--state", str(tmp_path), "--output", "json")
    assert (said.status, said.error["reason"]) == (4, "UNREACHABLE")
    assert str(tmp_path) in said.error["message"]
    assert "convergence local up" in said.error["advice"]


def test_admin_init_with_a_setting_that_nobody_reads_names_it_and_those_there_are(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONVERGENCE_AUTH_SINGING_KEY", "x")
    said = command("admin", "init", "--state", str(tmp_path), "--output", "json")
    assert (said.status, said.error["reason"]) == (2, "WRONG_ARGUMENTS")
    assert "no such setting CONVERGENCE_AUTH_SINGING_KEY" in said.error["message"]
    assert "CONVERGENCE_AUTH_SIGNING_KEY" in said.error["message"]


async def test_a_pipeline_with_errors_names_file_field_found_and_allowed(command: Command) -> None:
    wrong = FileError(
        file="acme_corp/pipelines/p.yml",
        line=7,
        field="write.mode",
        found="'apend'",
        allowed="append, replace, merge",
        advice="did you mean append?",
    )
    bare = FileError(file="acme_corp/pipelines/p.yml", found="no mapping")
    fakes = FakePipelines(wrong, bare)
    said = await against(command, "pipelines", "validate", "p", pipelines=fakes)
    assert said.status == 2
    assert said.out.splitlines() == [
        "acme_corp/pipelines/p.yml:7: write.mode",
        "  found: 'apend'",
        "  allowed: append, replace, merge",
        "  do: did you mean append?",
        "acme_corp/pipelines/p.yml:",
        "  found: no mapping",
    ]
    assert (await against(command, "pipelines", "validate", "p")).status == 0


async def test_what_a_pipeline_asks_in_vain_is_a_warning_and_it_is_valid(command: Command) -> None:
    schedule = FileError(file="acme_corp/pipelines/p.yml", field="schedule", found="cron 0 6 * * *")
    fakes = FakePipelines(warnings=[schedule])
    said = await against(command, "pipelines", "validate", "p", pipelines=fakes)
    assert said.status == 0
    assert "is valid" in said.out
    assert said.err.splitlines() == [
        "warning:",
        "acme_corp/pipelines/p.yml: schedule",
        "  found: cron 0 6 * * *",
    ]
