"""What tenants would tell: their bills and usage, exact, checked, published."""

import asyncio
import hashlib
import json
import re
import urllib.request
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import grpc
import pytest
from convergence.orchestrator.v1 import run_service_pb2, run_service_pb2_grpc
from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import AsyncClient
from libs.common import errors
from libs.common.money import total as money_total
from tests.support.eventually import eventually
from tests.system.collector import Span
from tests.system.meshes import RunningMesh, finished, write_rows

BILL_TOTAL = Decimal("20.52022672899")


async def test_a_real_bill_is_published_to_the_last_digit_and_so_is_its_cost_table(
    mesh: RunningMesh,
) -> None:
    async with mesh.client() as client:
        run = await finished(client, "p_focus_billing")
        events = await client.runs.events(run.name)
        results = await client.runs.results(run.name)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    silver = mesh.rows(
        "SELECT SUM(BilledCost) AS total, COUNT(*) AS n FROM acme_corp_silver_cost.focus_costs "
        "WHERE _pipeline_id = 'p_focus_billing'"
    )
    assert silver == [{"total": BILL_TOTAL, "n": 1000}]
    for version in ("v1_2", "v1_4"):
        view = mesh.rows(
            f"SELECT SUM(BilledCost) AS total FROM acme_corp_silver_cost.focus_costs_{version} "
            "WHERE x_SourceObject = 'bills/focus_sample.csv'"
        )
        assert view == [{"total": BILL_TOTAL}]
    money = {one.column: one for one in run.receipt.money}["BilledCost"]
    assert Decimal(money.read) == Decimal(money.landed) == BILL_TOTAL
    assert run.receipt.read_row_count == run.receipt.landed_row_count == 1000
    assert [event.position for event in events] == sorted(event.position for event in events)
    assert events[-1].event_type == "run.succeeded"
    assert results
    assert all(result.success for result in results)
    (stored,) = await asyncio.to_thread(_projected, mesh, run)
    assert stored == {"state": "SUCCEEDED", "rows_landed": 1000}


def _projected(mesh: RunningMesh, run: Run) -> list[dict[str, object]]:
    sql = (
        "SELECT state, rows_landed FROM metadata.pipeline_runs "
        f"WHERE run_name = '{run.name}' AND state = 'SUCCEEDED'"
    )
    return eventually(lambda: mesh.rows(sql), within=10)


async def test_a_restated_day_is_replaced_and_the_receipt_says_by_how_much(
    mesh: RunningMesh,
) -> None:
    async with mesh.client("widgetsinc") as client:
        first = await finished(client, "p_openai_daily", "widgetsinc")
        assert first.state == RunState.RUN_STATE_SUCCEEDED, first.failure
        days = first.scope[0].values
        mesh.dial(restated={days[2]: "0.0000000000000001"}, unseen_field="cache_tier")
        second = await finished(client, "p_openai_daily", "widgetsinc")
    assert second.state == RunState.RUN_STATE_SUCCEEDED, second.failure
    change = {one.column: one for one in second.receipt.restatement.money}["amount_value"]
    rows = mesh.rows(
        "SELECT COUNT(*) AS n FROM widgetsinc_raw_openai.usage_logs WHERE "
        f"usage_date = DATE '{days[2]}' AND object = 'organization.costs.result'"
    )
    count = int(str(rows[0]["n"]))
    assert Decimal(change.change) == count * Decimal("0.0000000000000001")
    assert second.receipt.restatement.old_row_count == second.receipt.restatement.new_row_count
    (extra,) = mesh.rows(
        "SELECT COUNT(*) AS n FROM widgetsinc_raw_openai.usage_logs WHERE extra IS NULL"
    )
    assert extra["n"] == 0
    silver = mesh.rows("SELECT SUM(BilledCost) AS total FROM widgetsinc_silver_cost.focus_costs")
    assert silver[0]["total"] == Decimal(change.new)


async def test_a_day_that_the_source_says_is_empty_is_emptied(mesh: RunningMesh) -> None:
    async with mesh.client("widgetsinc") as client:
        first = await finished(client, "p_openai_daily", "widgetsinc")
        day = first.scope[0].values[1]
        mesh.dial(empty_days=[day])
        second = await finished(client, "p_openai_daily", "widgetsinc")
    assert second.state == RunState.RUN_STATE_SUCCEEDED, (second.failure, second.hold_reasons)
    left = mesh.rows(
        f"SELECT COUNT(*) AS n FROM widgetsinc_raw_openai.usage_logs WHERE usage_date = DATE '{day}'"
    )
    assert left == [{"n": 0}]


@pytest.mark.parametrize(
    ("dials", "reason"),
    [
        ({"failures": [{"status": 401}]}, "SOURCE_UNAUTHENTICATED"),
        ({"failures": [{"status": 403}]}, "SOURCE_FORBIDDEN"),
        ({"failures": [{"status": 404}]}, "SOURCE_NOT_FOUND"),
        ({"failures": [{"status": 400}]}, "SOURCE_REFUSED"),
        ({"refused_group_by": ["project_id"]}, "SOURCE_REFUSED"),
        ({"lose_next_page": True}, "SOURCE_PROTOCOL_BROKEN"),
    ],
    ids=["401", "403", "404", "400", "group_by", "no next_page"],
)
async def test_what_a_source_refuses_fails_the_run_with_what_to_do(
    mesh: RunningMesh, dials: dict[str, object], reason: str
) -> None:
    before = mesh.rows("SELECT COUNT(*) AS n FROM metadata.tenants")
    mesh.dial(**dials)
    async with mesh.client("widgetsinc") as client:
        run = await finished(client, "p_openai_daily", "widgetsinc")
    assert run.state == RunState.RUN_STATE_FAILED
    assert run.failure.reason == reason
    assert run.failure.data_safe
    assert run.failure.advice
    assert "sk-admin" not in str(run.failure)
    assert before == mesh.rows("SELECT COUNT(*) AS n FROM metadata.tenants")


@pytest.mark.parametrize(
    "failure",
    [{"status": 429, "retry_after": 0.1}, {"status": 500}, {"cut": True}],
    ids=["429", "500", "cut in the middle of a page"],
)
async def test_what_passes_at_a_source_does_not_fail_the_run(
    mesh: RunningMesh, failure: dict[str, object]
) -> None:
    mesh.dial(failures=[failure])
    async with mesh.client("widgetsinc") as client:
        run = await finished(client, "p_openai_daily", "widgetsinc")
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure


async def test_unparsable_cells_are_quarantined_with_their_money_and_hold_the_run(
    mesh: RunningMesh,
) -> None:
    file = mesh.configs / "acme_corp" / "big" / "rows.csv"
    kept = file.read_bytes()
    try:
        total = write_rows(file, 50, bad={7: "12.5 EUR", 9: "123456789012345678901234.5"})
        async with mesh.client() as client:
            run = await finished(client, "p_big")
            assert run.state == RunState.RUN_STATE_HELD, run.failure
            assert not _table_rows(mesh, "acme_corp_raw_big", "rows", run)
            rows = await client.runs.quarantine(run.name)
            await client.runs.approve(run.name, reason="known to the provider")
            done = await client.runs.wait(run.name)
    finally:
        file.write_bytes(kept)
    assert {row.money[0].text for row in rows} == {"12.5 EUR", "123456789012345678901234.5"}
    assert all("CAST cost" in row.reasons[0] for row in rows)
    assert done.state == RunState.RUN_STATE_SUCCEEDED
    money = {one.column: one for one in done.receipt.money}["cost"]
    parts = money_total([Decimal(money.landed), Decimal(money.quarantined)])
    assert parts == total == Decimal(money.read)
    assert money.unparsable_count == 1
    (published,) = mesh.rows(
        f"SELECT SUM(cost) AS total FROM acme_corp_raw_big.rows WHERE _run_id = '{_id(done)}'"
    )
    assert published["total"] == Decimal(money.landed)


def _id(run: Run) -> str:
    return run.name.rpartition("/")[2]


def _table_rows(mesh: RunningMesh, dataset: str, table: str, run: Run) -> int:
    sql = f"SELECT COUNT(*) AS n FROM {dataset}.{table} WHERE _run_id = '{_id(run)}'"
    return int(str(mesh.rows(sql)[0]["n"]))


async def test_another_tenants_run_answers_exactly_as_a_missing_one(mesh: RunningMesh) -> None:
    async with mesh.client("widgetsinc") as client:
        theirs = await finished(client, "p_openai_daily", "widgetsinc")
    missing = f"{theirs.name[:-4]}0000"
    async with mesh.client() as client:
        answers = []
        for name in (theirs.name, missing):
            with pytest.raises(errors.NotFound) as refused:
                await client.runs.get(name)
            answers.append((refused.value.reason, str(refused.value).replace(name, "NAME")))
    assert answers[0] == answers[1]


async def test_a_key_inserted_by_sql_works_at_once_and_revoking_it_works(
    mesh: RunningMesh,
) -> None:
    secret = uuid.uuid4().hex * 2
    digest = hashlib.sha256(secret.encode()).hexdigest()
    mesh.rows(
        "INSERT INTO metadata.api_keys "
        "(api_key_hash, tenant_id, created_at, created_by, is_active, description) VALUES "
        f"(TO_HEX(SHA256('{secret}')), 'acme_corp', CURRENT_TIMESTAMP(), 'sql', TRUE, 'by hand')"
    )
    async with AsyncClient(mesh.address, secret) as client:
        await client.runs.list("tenants/acme_corp")
        with pytest.raises(errors.PermissionDenied):
            await client.keys.list("tenants/acme_corp")
        mesh.rows(f"UPDATE metadata.api_keys SET is_active = FALSE WHERE api_key_hash = '{digest}'")

        async def refused() -> bool:
            try:
                await client.runs.list("tenants/acme_corp")
            except errors.Unauthenticated as error:
                return error.reason == "API_KEY_REVOKED"
            return False

        async with asyncio.timeout(60):
            while not await refused():
                await asyncio.sleep(0.5)


async def test_calls_without_a_key_are_refused_with_a_reason(mesh: RunningMesh) -> None:
    async with AsyncClient(mesh.address, "") as client:
        with pytest.raises(errors.Unauthenticated) as refused:
            await client.runs.list("tenants/acme_corp")
    assert refused.value.reason == "CREDENTIAL_MISSING"


async def test_the_same_request_id_with_other_content_is_refused(mesh: RunningMesh) -> None:
    request_id = str(uuid.uuid4())
    parent = "tenants/acme_corp/pipelines/p_focus_billing"
    metadata = (("x-api-key", mesh.keys["acme_corp"]),)
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        request = run_service_pb2.CreateRunRequest(parent=parent, request_id=request_id)
        one = await stub.CreateRun(request, metadata=metadata)
        two = await stub.CreateRun(request, metadata=metadata)
        assert one.run.name == two.run.name
        request.reload = True
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CreateRun(request, metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    async with mesh.client() as client:
        await client.runs.wait(one.run.name)


async def test_one_trace_goes_from_the_call_to_bigquery_and_every_line_of_a_run_names_it(
    mesh: RunningMesh,
) -> None:
    async with mesh.client() as client:
        run = await finished(client, "p_focus_billing")

    def services() -> set[str]:
        return {span.service for span in mesh.collector.trace(run.trace_id)}

    wanted = {"convergence-orchestrator", "convergence-ingest", "convergence-quality"}
    await asyncio.to_thread(eventually, lambda: services() >= wanted, within=15)
    spans = mesh.collector.trace(run.trace_id)
    by_id = {span.span_id: span for span in spans}
    appends = [s for s in spans if s.name.startswith("bigquery.") and "ingest" in s.service]
    assert appends
    roots = {_root(by_id, span).name for span in spans if span.parent_id in by_id}
    assert any("CreateRun" in root for root in roots), roots
    lines = [line for line in mesh.logs() if line.get("run_id") == _id(run)]
    assert {line["log"] for line in lines} >= {"orchestrator"}
    for line in lines:
        assert line["tenant_id"] == "acme_corp", line
        assert line["pipeline_id"] == "p_focus_billing", line
        assert line["trace_id"], line
    own = [line for line in lines if not line["message"].startswith("rpc.")]
    assert {line["trace_id"] for line in own} == {run.trace_id}


def _root(by_id: Mapping[str, Span], span: Span) -> Span:
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
    return span


async def test_metrics_say_how_long_bigquery_took_for_what_runs_wait_for(mesh: RunningMesh) -> None:
    async with mesh.client() as client:
        await finished(client, "p_focus_billing")

    def count(service: str, name: str) -> float:
        address = mesh.state.addresses()[f"{service}_admin"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
            text = page.read().decode()
        return sum(float(x) for x in re.findall(rf"^{name}_count (\S+)$", text, re.MULTILINE))

    assert count("orchestrator", "convergence_orchestrator_journal_append_seconds") > 0
    assert count("orchestrator", "convergence_orchestrator_commit_seconds") > 0
    workers = ("ingest-1", "ingest-2")
    assert sum(count(worker, "convergence_ingest_append_seconds") for worker in workers) > 0


async def test_no_secret_is_in_any_log_or_in_the_journal(mesh: RunningMesh) -> None:
    logs = "".join(path.read_text() for path in Path(mesh.folder / "mesh" / "logs").glob("*.log"))
    journal = json.dumps(mesh.rows("SELECT payload FROM metadata.run_events"))
    for secret in ("sk-admin-acme-demo", "sk-admin-widgets-demo", *mesh.keys.values()):
        assert secret not in logs
        assert secret not in journal
