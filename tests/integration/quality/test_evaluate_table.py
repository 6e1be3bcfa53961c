"""EvaluateTable over real gRPC and an embedded BigQuery: verdicts, one job, each failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from convergence.quality.v1 import quality_service_pb2 as pb
from convergence.quality.v1 import suite_pb2, verdict_pb2
from google.cloud.bigquery.job import QueryJob
from google.protobuf import json_format

from libs.common.errors import Delayed
from services.quality.statistics import Asked
from tests.integration.quality.conftest import InMemory
from tests.integration.quality.serving import (
    RUN,
    STAGING,
    Quality,
    columns,
    compiling,
    document,
    expect,
)
from tests.support.engine import Engine
from tests.support.refusals import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLUMNS = columns(n="INT64", money="NUMERIC", word="STRING")
NOT_NULL = {**expect("column_values_to_not_be_null", column="word", mostly=0.5), "id": "words"}
ROWS = {**expect("table_row_count_to_be_between", min_value=1), "id": "rows"}
UNIQUE = {**expect("column_values_to_be_unique", column="n"), "id": "unique"}
SUM = {**expect("column_sum_to_be_between", column="money", max_value=0.3), "id": "sum"}
METRIC = suite_pb2.RowRuleMetric(
    rule_id="words", element_count=3, unexpected_count=1, unexpected_samples=["a"]
)


def evaluating(*expectations: dict[str, Any], **fields: Any) -> pb.EvaluateTableRequest:
    """Return a request about STAGING with the metrics of NOT_NULL, if it is among them."""
    given = {
        "run": RUN,
        "suite_document": document(*expectations),
        "columns": COLUMNS,
        "row_metrics": [METRIC] if NOT_NULL in expectations else [],
        "table": STAGING,
        **fields,
    }
    return pb.EvaluateTableRequest(**given)


def jobs(engine: Engine) -> dict[str, Any]:
    """Return the engine's jobs by id."""
    return {job.job_id: job for job in engine.client().list_jobs(all_users=True)}


async def test_row_and_table_rules_make_one_verdict(quality: Quality) -> None:
    exists = {**expect("column_to_exist", column="gone"), "id": "gone", "severity": "info"}
    response = await quality.evaluate(evaluating(ROWS, NOT_NULL, exists, UNIQUE, SUM))
    assert json_format.MessageToDict(response.verdict) == {
        "results": [
            {
                "ruleId": "rows",
                "expectationType": "expect_table_row_count_to_be_between",
                "kwargs": '{"min_value": 1}',
                "success": True,
                "severity": "critical",
                "elementCount": "3",
                "observedValue": "3",
            },
            {
                "ruleId": "words",
                "expectationType": "expect_column_values_to_not_be_null",
                "column": "word",
                "kwargs": '{"column": "word", "mostly": 0.5}',
                "success": True,
                "severity": "critical",
                "elementCount": "3",
                "unexpectedCount": "1",
                "unexpectedSamples": ["a"],
            },
            {
                "ruleId": "gone",
                "expectationType": "expect_column_to_exist",
                "column": "gone",
                "kwargs": '{"column": "gone"}',
                "severity": "info",
            },
            {
                "ruleId": "unique",
                "expectationType": "expect_column_values_to_be_unique",
                "column": "n",
                "kwargs": '{"column": "n"}',
                "severity": "critical",
                "elementCount": "3",
                "unexpectedCount": "2",
            },
            {
                "ruleId": "sum",
                "expectationType": "expect_column_sum_to_be_between",
                "column": "money",
                "kwargs": '{"column": "money", "max_value": 0.3}',
                "success": True,
                "severity": "critical",
                "elementCount": "3",
                "missingCount": "1",
                "observedValue": "0.3",
            },
        ]
    }


@pytest.mark.parametrize(
    ("severity", "success"), [("critical", False), ("warning", False), ("info", True)]
)
async def test_the_verdict_depends_on_severity(
    quality: Quality, severity: str, success: bool
) -> None:
    response = await quality.evaluate(evaluating({**UNIQUE, "severity": severity}))
    assert response.verdict.success is success
    assert [result.success for result in response.verdict.results] == [False]


async def test_all_table_rules_cost_one_job(quality: Quality, engine: Engine) -> None:
    before = jobs(engine)
    measures = [
        expect(f"column_{measure}_to_be_between", column=column)
        for measure in ("sum", "mean", "min", "max")
        for column in ("n", "money")
    ]
    compound = expect("compound_columns_to_be_unique", column_list=["n", "word"])
    response = await quality.evaluate(evaluating(ROWS, UNIQUE, SUM, compound, *measures))
    assert len(response.verdict.results) == 12
    (made,) = set(jobs(engine)) - set(before)
    job = engine.client().get_job(made)
    assert isinstance(job, QueryJob)
    assert job.statement_type == "SELECT"


async def test_the_job_carries_the_runs_labels_and_its_limit(in_memory: InMemory) -> None:
    in_memory.tables.asked.clear()
    await in_memory.quality.evaluate(evaluating(ROWS, UNIQUE, maximum_billed_bytes=10_000_000))
    assert in_memory.tables.asked == [
        Asked(
            table=STAGING,
            maximum_bytes_billed=10_000_000,
            labels={"tenant": "acme", "pipeline": "p", "run": "r1"},
        )
    ]


async def test_a_suite_without_table_rules_asks_no_table(quality: Quality, engine: Engine) -> None:
    before = jobs(engine)
    exists = expect("column_to_exist", column="n")
    response = await quality.evaluate(evaluating(NOT_NULL, exists, table=""))
    assert response.verdict.success
    assert set(jobs(engine)) == set(before)


async def test_results_are_those_of_the_compiled_rules(quality: Quality) -> None:
    plain = [{**item} for item in (NOT_NULL, ROWS, UNIQUE)]
    for item in plain:
        del item["id"]
    suite = document(*plain)
    compiled = await quality.compile(compiling(suite, COLUMNS))
    (rule,) = compiled.row_rules
    metric = suite_pb2.RowRuleMetric(rule_id=rule.rule_id, element_count=1)
    request = evaluating(suite_document=suite, row_metrics=[metric])
    response = await quality.evaluate(request)
    assert [result.rule_id for result in response.verdict.results] == [
        rule.rule_id,
        *(table_rule.rule_id for table_rule in compiled.table_rules),
    ]
    assert json.loads(response.verdict.results[0].kwargs) == NOT_NULL["kwargs"]


async def test_a_run_without_chunks_has_rules_that_saw_nothing(quality: Quality) -> None:
    response = await quality.evaluate(evaluating(NOT_NULL, row_metrics=[], table=""))
    assert list(response.verdict.results) == [
        verdict_pb2.ExpectationResult(
            rule_id="words",
            expectation_type="expect_column_values_to_not_be_null",
            column="word",
            kwargs='{"column": "word", "mostly": 0.5}',
            success=True,
            severity="critical",
            unexpected_count=0,
        )
    ]


async def test_every_wrong_field_is_named(quality: Quality) -> None:
    request = evaluating(
        run="tenants/acme/pipelines/p",
        columns=[],
        table="acme_staging.t__r1",
        maximum_billed_bytes=-1,
        row_metrics=[METRIC, METRIC],
    )
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await quality.evaluate(request)
    assert refusal.fields == ["columns", "maximum_billed_bytes", "row_metrics", "run", "table"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ({"rule_id": "words", "element_count": -1}, "found (-1, 0, 0)"),
        ({"rule_id": "words", "element_count": 2, "unexpected_count": 3}, "found (2, 0, 3)"),
        (
            {"rule_id": "words", "element_count": 2, "missing_count": 1, "unexpected_count": 2},
            "found (2, 1, 2)",
        ),
        ({"rule_id": "others"}, "found rules others; allowed are words"),
    ],
    ids=["negative", "more than rows", "more than rows together", "of another rule"],
)
async def test_counts_that_cannot_be_are_refused(
    quality: Quality, metric: dict[str, Any], words: str
) -> None:
    request = evaluating(NOT_NULL, row_metrics=[suite_pb2.RowRuleMetric(**metric)])
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await quality.evaluate(request)
    assert refusal.fields == ["row_metrics"]
    assert words in str(refusal.error)


async def test_table_rules_need_a_table(quality: Quality) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await quality.evaluate(evaluating(ROWS, table=""))
    assert refusal.fields == ["table"]


async def test_a_suite_that_cannot_be_compiled_is_refused(quality: Quality) -> None:
    with refused("INVALID_ARGUMENT", "SUITE_INVALID") as refusal:
        await quality.evaluate(evaluating(expect("column_to_exist")))
    assert refusal.fields == ["expectations[0].kwargs.column"]
    assert refusal.metadata == {"expectation": "expectations[0].kwargs.column"}


@pytest.mark.parametrize(
    "table",
    [
        "local.widgets_staging.usage__r1",
        "local.acme_staging.usage__r2",
        "local.acme_raw.usage__r1",
        "local.acme_staging.gone__r1",
        "local.gone.usage__r1",
    ],
    ids=["of another tenant", "of another run", "no staging", "no table", "no dataset"],
)
async def test_any_table_but_the_runs_own_staging_is_missing(quality: Quality, table: str) -> None:
    with refused("NOT_FOUND", "TABLE_NOT_FOUND") as refusal:
        await quality.evaluate(evaluating(ROWS, table=table))
    assert (str(refusal.error), refusal.metadata) == (f"no table {table}", {"table": table})


async def test_of_another_tenants_table_nothing_is_asked(quality: Quality, engine: Engine) -> None:
    before = jobs(engine)
    with refused("NOT_FOUND", "TABLE_NOT_FOUND"):
        await quality.evaluate(evaluating(ROWS, table="local.widgets_staging.usage__r1"))
    assert set(jobs(engine)) == set(before)


async def test_a_statement_that_bigquery_refuses_is_said_in_its_words(quality: Quality) -> None:
    lost = expect("column_sum_to_be_between", column="lost", min_value=0)
    request = evaluating(lost, columns=[*COLUMNS, *columns(lost="INT64")])
    with refused("INVALID_ARGUMENT", "QUERY_REJECTED") as refusal:
        await quality.evaluate(request)
    assert "lost" in str(refusal.error)


async def test_while_bigquery_is_away_nothing_is_judged_and_the_same_call_works_later(
    in_memory: InMemory,
) -> None:
    in_memory.tables.down = True
    try:
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
            await in_memory.quality.evaluate(evaluating(ROWS))
    finally:
        in_memory.tables.down = False
    assert isinstance(refusal.error, Delayed)
    assert refusal.error.retry_after > 0
    assert (await in_memory.quality.evaluate(evaluating(ROWS))).verdict.success
