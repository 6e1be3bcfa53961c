"""The command line against an edge in this process: what it prints, and the status it exits with."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from convergence.common.v1.failure_pb2 import Failure, FailureKind
from convergence.orchestrator.v1.pipeline_pb2 import FileError
from convergence.orchestrator.v1.run_pb2 import Money, MoneyChange, Receipt, Run, RunState

from libs.client.cli import main
from libs.common import errors
from tests.support.fake_edge import FakeKeys, FakePipelines, FakeRuns, FakeTenants, serving

KEY = "cvg_acme_corp_secretsecret"
Command = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run `convergence ...` as a user would, and return status, output and errors."""
    monkeypatch.setenv("CONVERGENCE_API_KEY", KEY)
    monkeypatch.setenv("CONVERGENCE_PROFILES", str(tmp_path / "none.toml"))

    def run(address: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("CONVERGENCE_ADDRESS", address)
        monkeypatch.setattr("sys.argv", ["convergence", *arguments])
        status: int | str | None = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return int(status or 0), out, err

    return run


async def _with(command: Command, *arguments: str, **fakes: object) -> tuple[int, str, str]:
    async with serving(**fakes) as address:  # type: ignore[arg-type]
        return await asyncio.to_thread(command, address, *arguments)


def _receipt() -> Run:
    money = Money(
        column="BilledCost",
        read="20.52022672899",
        landed="20.5",
        quarantined="0.02022672899",
        outdated="0",
    )
    done = Receipt(
        chunk_count=2,
        read_row_count=1000,
        landed_row_count=999,
        quarantined_row_count=1,
        money=[money],
        expectation_count=7,
        failed_expectation_count=1,
    )
    done.restatement.old_row_count = 900
    done.restatement.new_row_count = 999
    done.restatement.money.append(
        MoneyChange(column="BilledCost", old="20", new="20.5", change="0.5")
    )
    return Run(receipt=done)


async def test_a_run_that_is_published_exits_0_and_shows_its_receipt(command: Command) -> None:
    runs = FakeRuns()
    runs.final = _receipt()
    status, out, err = await _with(command, "runs", "start", "p_focus_billing", runs=runs)
    assert status == 0
    assert runs.requests[0].parent == "tenants/acme_corp/pipelines/p_focus_billing"
    for fact in (
        "SUCCEEDED",
        "1,000 read, 999 published, 1 quarantined",
        "20.52022672899",
        "6 of 7",
    ):
        assert fact in out
    assert "900 rows replaced by 999" in out
    assert "+0.5" in out
    assert err == "", "no progress in a pipe"


@pytest.mark.parametrize(
    ("state", "status"),
    [("HELD", 1), ("FAILED", 1), ("TRANSFORM_FAILED", 1), ("CANCELLED", 1), ("SUPERSEDED", 0)],
)
async def test_how_a_run_ended_is_the_exit_status(
    command: Command, state: str, status: int
) -> None:
    runs = FakeRuns(RunState.RUN_STATE_PENDING, getattr(RunState, f"RUN_STATE_{state}"))
    found, out, _ = await _with(command, "runs", "start", "p", "--output", "json", runs=runs)
    assert found == status
    assert json.loads(out)["state"] == f"RUN_STATE_{state}"


async def test_detached_a_start_does_not_wait(command: Command) -> None:
    runs = FakeRuns()
    status, out, _ = await _with(
        command, "runs", "start", "p", "--detach", "--date", "2026-11-20", runs=runs
    )
    assert (status, len(runs.requests)) == (0, 1)
    assert "PENDING" in out
    assert runs.requests[0].window_time.ToJsonString() == "2026-11-20T00:00:00Z"


@pytest.mark.parametrize(
    ("failure", "status", "advice"),
    [
        (errors.Unauthenticated("key unknown", reason="API_KEY_UNKNOWN"), 3, "keys create"),
        (errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:write"), 3, "--scope"),
        (errors.QuotaExceeded("busy", reason="TOO_MANY_RUNS", retry_after=7), 3, "wait 7 s"),
        (errors.FailedPrecondition("not yet", reason="NOT_INITIALIZED"), 3, "admin init"),
        (errors.InvalidRequest({"window_time": "found x"}), 2, "correct the fields"),
        (errors.NotFound("none", reason="PIPELINE_NOT_FOUND"), 2, "pipelines list"),
    ],
    ids=lambda value: getattr(value, "reason", None),
)
async def test_a_refusal_says_what_why_and_what_to_do(
    command: Command, failure: errors.ServiceError, status: int, advice: str
) -> None:
    runs = FakeRuns()
    runs.refusal = failure
    found, out, err = await _with(command, "runs", "start", "p", runs=runs)
    assert (found, out) == (status, "")
    assert str(failure) in err
    assert failure.reason in err
    assert advice in err
    assert KEY not in err
    assert "Traceback" not in err


async def test_a_refusal_is_json_for_programs(command: Command) -> None:
    runs = FakeRuns()
    runs.refusal = errors.PermissionDenied("no", reason="SCOPE_MISSING", scope="runs:write")
    status, out, err = await _with(command, "runs", "start", "p", "--output", "json", runs=runs)
    error = json.loads(err)["error"]
    assert (status, out) == (3, "")
    assert (error["reason"], error["facts"]) == ("SCOPE_MISSING", {"scope": "runs:write"})


async def test_an_edge_that_is_not_there_exits_4_and_is_named(command: Command) -> None:
    async with serving() as address:
        pass
    status, _, err = await asyncio.to_thread(command, address, "runs", "list")
    assert status == 4
    assert f"{address} cannot be reached" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "start", "p", "--date", "20.11.2026"], "allowed is YYYY-MM-DD"),
        (["runs", "get", "r1"], "allowed is PIPELINE/RUN"),
        (["runs", "start", "Bad Pipeline"], "allowed is [a-z]"),
        (["runs", "list", "--tenant", "tenants/x/y"], "allowed is tenants/{tenant}"),
        (["runs", "list", "--state", "NOPE"], "NOPE"),
        (["keys", "rotate", "k", "--overlap", "soon"], "e.g. 7d"),
        (["runs", "list", "--address", "nowhere"], "allowed is host:port"),
        (["nonsense"], "No such command"),
    ],
)
async def test_wrong_arguments_exit_2_before_anything_is_called(
    command: Command, arguments: list[str], said: str
) -> None:
    runs = FakeRuns()
    status, out, err = await _with(command, *arguments, runs=runs)
    assert (status, out, runs.requests) == (2, "", [])
    assert said in err


async def test_a_pipeline_with_errors_names_file_field_found_and_allowed(command: Command) -> None:
    wrong = FileError(
        file="acme_corp/pipelines/p.yml",
        line=7,
        field="write.mode",
        found="'apend'",
        allowed="append, replace, merge",
        advice="did you mean append?",
    )
    fakes = FakePipelines(wrong)
    status, out, _ = await _with(command, "pipelines", "validate", "p", pipelines=fakes)
    assert status == 2
    assert out.splitlines() == [
        "acme_corp/pipelines/p.yml:7: write.mode",
        "  found: 'apend'",
        "  allowed: append, replace, merge",
        "  do: did you mean append?",
    ]
    assert (await _with(command, "pipelines", "validate", "p"))[0] == 0


async def test_a_tenant_is_created_with_files_and_one_key_however_often_it_is_asked_for(
    command: Command, tmp_path: Path
) -> None:
    tenants, keys = FakeTenants(), FakeKeys()
    asked = ("tenants", "create", "acme_corp", "--configs", str(tmp_path), "--output", "json")
    async with serving(tenants=tenants, keys=keys) as address:
        status, out, _ = await asyncio.to_thread(command, address, *asked)
        again, repeated, _ = await asyncio.to_thread(command, address, *asked)
    first, second = json.loads(out), json.loads(repeated)
    assert (status, again, len(keys.created)) == (0, 0, 1)
    assert first["secret"] == "cvg_acme_corp_shownonce"
    assert (second["secret"], second["files"]) == (None, [])
    assert (tmp_path / "acme_corp" / "README.md").is_file()


async def test_lists_are_tables_for_people_and_json_for_programs(command: Command) -> None:
    status, out, _ = await _with(command, "runs", "list", "--limit", "3")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "run",
        *(f"tenants/acme_corp/pipelines/p/runs/r{n}" for n in range(3)),
    ]
    _, out, _ = await _with(command, "runs", "list", "--output", "json")
    assert len(json.loads(out)) == 5


async def test_a_failed_run_is_explained(command: Command) -> None:
    runs = FakeRuns(RunState.RUN_STATE_FAILED)
    runs.final = Run(
        failure=Failure(
            kind=FailureKind.FAILURE_KIND_SOURCE,
            reason="SOURCE_UNAUTHENTICATED",
            message="the source answered 401",
            advice="Put a valid key into secrets/openai_api_key.txt.",
            data_safe=True,
        )
    )
    name = "tenants/acme_corp/pipelines/p/runs/r1"
    status, out, _ = await _with(command, "runs", "explain", name, runs=runs)
    assert status == 0
    for part in (
        "401",
        "The source is at fault",
        "Data is safe",
        "secrets/openai_api_key.txt",
        f"runs retry {name}",
    ):
        assert part in out
