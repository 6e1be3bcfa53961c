"""`convergence runs` against an edge in this process: what it prints, and the status it exits with."""

import json

import pytest
from convergence.common.v1.failure_pb2 import FailureKind
from convergence.orchestrator.v1.explanation_pb2 import Explanation
from convergence.orchestrator.v1.pipeline_pb2 import FileError
from convergence.orchestrator.v1.run_pb2 import (
    Money,
    MoneyChange,
    QuarantinedMoney,
    QuarantinedRow,
    Receipt,
    Run,
    RunEvent,
    RunResult,
    RunState,
)

from tests.integration.client.commands import Command, against
from tests.support.fake_edge import FakePipelines, FakeRuns

PIPELINE = "tenants/acme_corp/pipelines/p"
RUN = f"{PIPELINE}/runs/r1"


def _receipt(**facts: object) -> Receipt:
    money = Money(
        column="BilledCost",
        read="20.52022672899",
        landed="20.500000000000000000",
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
    done.MergeFrom(Receipt(**facts))  # type: ignore[arg-type]
    return done


async def test_a_run_that_is_published_exits_0_and_shows_its_receipt(command: Command) -> None:
    runs = FakeRuns()
    runs.final = Run(receipt=_receipt())
    said = await against(command, "runs", "start", "p_focus_billing", runs=runs)
    assert said.status == 0
    assert runs.requests[0].parent == "tenants/acme_corp/pipelines/p_focus_billing"
    assert "state    SUCCEEDED" in said.out.splitlines()
    assert said.out.splitlines()[-7:] == [
        "Receipt",
        "rows     1,000 read, 999 published, 1 quarantined",
        "quality  6 of 7 expectations met",
        "took     0.00 s, 2 chunks",
        "",
        "sum of                read  published    quarantined",
        "BilledCost  20.52022672899       20.5  0.02022672899",
    ]
    assert said.err == "", "no progress in a pipe"


async def test_a_receipt_shows_outdated_and_broken_cells_where_there_are_some(
    command: Command,
) -> None:
    runs = FakeRuns()
    runs.final = Run(receipt=_receipt())
    runs.final.receipt.money[0].outdated = "0.10"
    runs.final.receipt.money[0].unparsable_count = 3
    said = await against(command, "runs", "get", RUN, runs=runs)
    heading, row = said.out.splitlines()[-2:]
    assert heading.endswith("quarantined  outdated  cells that are no number")
    assert row.split()[-2:] == ["0.1", "3"]


async def test_a_receipt_says_how_the_scope_changed(command: Command) -> None:
    runs = FakeRuns()
    runs.final = Run(receipt=_receipt())
    change = runs.final.receipt.restatement
    change.old_row_count, change.new_row_count = 900, 999
    change.money.append(MoneyChange(column="BilledCost", old="20", new="20.5", change="0.500"))
    said = await against(command, "runs", "get", RUN, runs=runs)
    assert "restated  900 rows replaced by 999" in said.out.splitlines()
    assert said.out.splitlines()[-2:] == [
        "change of   before   now  change",
        "BilledCost      20  20.5    +0.5",
    ]


async def test_a_first_look_says_that_nothing_was_there_before(command: Command) -> None:
    runs = FakeRuns()
    runs.final = Run(receipt=_receipt())
    runs.final.receipt.restatement.new_row_count = 999
    said = await against(command, "runs", "get", RUN, runs=runs)
    assert "restated  nothing was there before" in said.out.splitlines()
    assert "change of" not in said.out


@pytest.mark.parametrize(
    ("state", "status"),
    [("HELD", 1), ("FAILED", 1), ("TRANSFORM_FAILED", 1), ("CANCELLED", 1), ("SUPERSEDED", 0)],
)
async def test_how_a_run_ended_is_the_exit_status(
    command: Command, state: str, status: int
) -> None:
    runs = FakeRuns(RunState.RUN_STATE_PENDING, getattr(RunState, f"RUN_STATE_{state}"))
    said = await against(command, "runs", "start", "p", "--output", "json", runs=runs)
    assert said.status == status
    assert said.json["state"] == f"RUN_STATE_{state}"


async def test_detached_a_start_does_not_wait_and_says_how_to_follow(command: Command) -> None:
    runs = FakeRuns()
    said = await against(
        command, "runs", "start", "p", "--detach", "--date", "2026-11-20", runs=runs
    )
    assert (said.status, len(runs.requests)) == (0, 1)
    assert "state    PENDING" in said.out.splitlines()
    assert f"next     convergence runs watch {RUN}" in said.out.splitlines()
    assert runs.requests[0].window_time.ToJsonString() == "2026-11-20T00:00:00Z"


async def test_a_run_that_uses_files_from_before_a_broken_edit_says_so(command: Command) -> None:
    broken = FakePipelines(FileError(file="p.yml", field="write", found="x"))
    asked = ("runs", "start", "p_focus_billing")
    said = await against(command, *asked, pipelines=broken)
    assert said.status == 0
    assert "the latest edit of tenants/acme_corp/pipelines/p_focus_billing is broken" in said.err
    assert "pipelines validate" in said.err
    assert (await against(command, *asked)).err == ""
    assert (await against(command, *asked, "--output", "json", pipelines=broken)).err == ""


async def test_a_watched_run_exits_as_a_started_one_does(command: Command) -> None:
    runs = FakeRuns(RunState.RUN_STATE_INGESTING, RunState.RUN_STATE_FAILED)
    said = await against(command, "runs", "watch", "p/r1", runs=runs)
    assert said.status == 1
    assert runs.requests[0].name == RUN


async def test_a_held_run_says_why_and_what_to_look_at(command: Command) -> None:
    runs = FakeRuns(RunState.RUN_STATE_HELD)
    runs.final = Run(hold_reasons=["3 quarantined rows carry 12.5 of cost", "a.csv: had 9 rows"])
    said = await against(command, "runs", "get", "p/r1", runs=runs)
    assert said.status == 0
    for line in (
        "held     3 quarantined rows carry 12.5 of cost",
        "         a.csv: had 9 rows",
        f"next     convergence runs results {RUN}",
        f"         convergence runs quarantine {RUN}",
        f"         then convergence runs approve {RUN}, or discard",
    ):
        assert line in said.out.splitlines()


async def test_a_failed_run_is_explained(command: Command) -> None:
    runs = FakeRuns()
    runs.explanation = Explanation(
        run=RUN,
        state=RunState.RUN_STATE_FAILED,
        happened=[
            "The run was created.",
            "Attempt 1 failed with SOURCE_UNAUTHENTICATED: it answered 401.",
        ],
        fault=FailureKind.FAILURE_KIND_SOURCE,
        turn="The source is at fault.",
        data_safe=True,
        data="Readers see the table as it was.",
        advice=["Put a valid key into the secret."],
        commands=[f"convergence runs retry {RUN}"],
        events=[
            RunEvent(position=7, event_id="e7", event_type="run.failed", summary="it\x1b answered")
        ],
    )
    said = await against(command, "runs", "explain", RUN, runs=runs)
    assert (said.status, said.err) == (0, "")
    assert said.out.split("\n\n") == [
        f"Run {runs.explanation.run} is FAILED.",
        "The run was created.\nAttempt 1 failed with SOURCE_UNAUTHENTICATED: it answered 401.",
        "The source is at fault.",
        "Data is safe. Readers see the table as it was.",
        f"To do: Put a valid key into the secret.\n  convergence runs retry {RUN}",
        "These records show it:\n  #7  run.failed (e7): it\\x1b answered\n",
    ]
    as_json = await against(command, "runs", "explain", RUN, "--output", "json", runs=runs)
    assert json.loads(as_json.out)["fault"] == "FAILURE_KIND_SOURCE"


async def test_the_history_is_a_table_that_keeps_every_word(command: Command) -> None:
    runs = FakeRuns()
    summary = "704 rows read, 704 landed, 0 quarantined by worker 127.0.0.1:44439 in one piece"
    runs.events = [RunEvent(position=12, event_type="chunk.completed", summary=summary)]
    said = await against(command, "runs", "events", "p/r1", runs=runs)
    assert said.out.splitlines()[1].endswith(summary)


async def test_results_say_what_was_found_and_where(command: Command) -> None:
    runs = FakeRuns()
    runs.results = [
        RunResult(
            expectation_type="expect_column_pair_values_a_to_be_greater_than_b",
            column="ChargePeriodEnd,ChargePeriodStart",
            severity="critical",
            element_count=1000,
            unexpected_count=2,
            unexpected_samples=["2026-11-01 / 2026-11-02", "x"],
        ),
        RunResult(
            expectation_type="expect_column_sum_to_be_between",
            column="BilledCost",
            success=True,
            severity="warning",
            observed_value="20.520226728990000000",
        ),
        RunResult(expectation_type="expect_column_to_exist", success=True, severity="critical"),
    ]
    said = await against(command, "runs", "results", "p/r1", runs=runs)
    rows = [line.split("  ") for line in said.out.splitlines()[1:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        [
            "BROKEN",
            "critical",
            "expect_column_pair_values_a_to_be_greater_than_b",
            "ChargePeriodEnd,ChargePeriodStart",
            "2 of 1,000",
            "2026-11-01 / 2026-11-02, x",
        ],
        ["met", "warning", "expect_column_sum_to_be_between", "BilledCost", "20.52022672899"],
        ["met", "critical", "expect_column_to_exist"],
    ]


async def test_quarantined_rows_show_reasons_and_money_as_the_source_wrote_it(
    command: Command,
) -> None:
    runs = FakeRuns()
    runs.quarantined = [
        QuarantinedRow(
            source="bills/a.csv",
            row_number=17,
            reasons=["cost: found '1,5'; allowed is a decimal", "day: outside the scope"],
            money=[QuarantinedMoney(column="cost", text="1,5")],
        )
    ]
    said = await against(command, "runs", "quarantine", "p/r1", runs=runs)
    assert said.out.splitlines()[1] == (
        "bills/a.csv:17  cost: found '1,5'; allowed is a decimal; day: outside the scope  cost=1,5"
    )


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("cancel", "CANCELLING"),
        ("retry", "PLANNING"),
        ("approve", "PUBLISHING"),
        ("discard", "CANCELLED"),
    ],
)
async def test_a_decision_answers_with_the_state_that_it_led_to(
    command: Command, verb: str, state: str
) -> None:
    said = await against(command, "runs", verb, "p/r1")
    assert (said.status, said.out) == (0, f"{RUN} is {state}\n")
    follow = "follow it: convergence runs watch p/r1\n"
    assert said.err == ("" if state == "CANCELLED" else follow)
    told = await against(command, "runs", verb, RUN, "--output", "json")
    assert (told.json["name"], told.json["state"]) == (RUN, f"RUN_STATE_{state}")


@pytest.mark.parametrize("verb", ["cancel", "approve", "discard"])
async def test_a_reason_reaches_the_history(command: Command, verb: str) -> None:
    runs = FakeRuns()
    await against(command, "runs", verb, "p/r1", "--reason", "wrong file", runs=runs)
    assert runs.requests[0].reason == "wrong file"


async def test_runs_are_listed_by_the_names_that_the_next_command_takes(command: Command) -> None:
    said = await against(command, "runs", "list")
    assert said.status == 0
    assert [line.split()[0] for line in said.out.splitlines()] == [
        "run",
        *(f"p/r{n}" for n in range(5)),
    ]
    other = await against(command, "runs", "list", "--pipeline", "tenants/other_co/pipelines/p")
    assert other.out.splitlines()[1].startswith("tenants/other_co/pipelines/p/")


async def test_runs_are_json_for_programs(command: Command) -> None:
    said = await against(command, "runs", "list", "--output", "json")
    assert [run["name"] for run in said.json] == [f"{PIPELINE}/runs/r{n}" for n in range(5)]


async def test_a_list_that_is_cut_says_so(command: Command) -> None:
    said = await against(command, "runs", "list", "--limit", "3")
    assert len(said.out.splitlines()) == 4
    assert said.err == "the first 3; --limit shows more\n"
    whole = await against(command, "runs", "list", "--limit", "5")
    assert (len(whole.out.splitlines()), whole.err) == (6, "")


async def test_only_states_that_are_asked_for_are_listed(command: Command) -> None:
    runs = FakeRuns()
    await against(command, "runs", "list", "--state", "held", "--state", "FAILED", runs=runs)
    assert list(runs.requests[0].states) == [
        RunState.RUN_STATE_HELD,
        RunState.RUN_STATE_FAILED,
    ]


@pytest.mark.parametrize("verb", ["results", "quarantine"])
async def test_an_empty_list_is_a_remark_and_no_output(command: Command, verb: str) -> None:
    said = await against(command, "runs", verb, "p/r1")
    assert (said.status, said.out) == (0, "")
    assert said.err.startswith("no ")
    told = await against(command, "runs", verb, "p/r1", "--output", "json")
    assert (told.json, told.err) == ([], "")
