"""QualityService: messages to suites and verdicts back."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from convergence.quality.v1 import (
    quality_service_pb2,
    quality_service_pb2_grpc,
    suite_pb2,
    verdict_pb2,
)

from libs.bigquery.ids import TableId
from libs.common.errors import InvalidRequest
from libs.common.identity import caller
from libs.common.names import PipelineName, RunName
from libs.common.parse import Reading
from libs.common.rpc import Context
from services.quality.checks import Column, Ignore, Range, RowCheck, TableCheck
from services.quality.expectations import Expectation
from services.quality.statistics import Statistics, TableMissing, TableStatistics
from services.quality.suites import Suite, parse
from services.quality.values import KNOWN
from services.quality.verdicts import (
    Counts,
    Result,
    check_counts,
    judge,
    succeeded,
    table_checks,
)

IGNORES: Final = {
    Ignore.ALL_MISSING: suite_pb2.IGNORE_ROW_IF_BOTH_VALUES_ARE_MISSING,
    Ignore.ANY_MISSING: suite_pb2.IGNORE_ROW_IF_EITHER_VALUE_IS_MISSING,
    Ignore.NONE: suite_pb2.IGNORE_ROW_IF_NEITHER,
}


class QualityServicer(quality_service_pb2_grpc.QualityServiceServicer):
    """Translates."""

    def __init__(self, statistics: TableStatistics) -> None:
        self._statistics = statistics

    async def CompileSuite(
        self, request: quality_service_pb2.CompileSuiteRequest, context: Context
    ) -> quality_service_pb2.CompileSuiteResponse:
        with Reading() as read:
            read("parent", _parent, request.parent)
            columns = read("columns", _columns, request.columns)
        suite = await asyncio.to_thread(parse, request.suite_document, columns)
        return quality_service_pb2.CompileSuiteResponse(suite=_compiled(suite))

    async def EvaluateTable(
        self, request: quality_service_pb2.EvaluateTableRequest, context: Context
    ) -> quality_service_pb2.EvaluateTableResponse:
        with Reading() as read:
            run = read("run", RunName.parse, request.run)
            columns = read("columns", _columns, request.columns)
            counts = read("row_metrics", _counts, request.row_metrics)
            table = read("table", _table, request.table)
            most = read("maximum_billed_bytes", _natural, request.maximum_billed_bytes)
        suite = await asyncio.to_thread(parse, request.suite_document, columns)
        check_counts(suite, counts)
        statistics = await self._ask(run, table, table_checks(suite), most)
        results = judge(suite, counts, statistics)
        verdict = verdict_pb2.Verdict(
            success=succeeded(results), results=[_result(result) for result in results]
        )
        return quality_service_pb2.EvaluateTableResponse(verdict=verdict)

    async def _ask(
        self, run: RunName, table: TableId | None, checks: tuple[TableCheck, ...], most: int
    ) -> Statistics:
        """Return what the checks need of the run's own staging; any other table is missing."""
        if not checks:
            return Statistics(row_count=0, values={})
        if table is None:
            why = "found nothing; the suite has table rules, so allowed is the run's staging table"
            raise InvalidRequest({"table": why})
        own = table.dataset == f"{run.tenant}_staging" and table.table.endswith(f"__{run.run}")
        if caller().tenant != run.tenant or not own:
            raise TableMissing(str(table))
        return await self._statistics.read(
            str(table), checks, maximum_bytes_billed=most, labels=_labels(run)
        )


def _labels(run: RunName) -> dict[str, str]:
    """Return the labels of a run's jobs; values have at most 63 characters."""
    return {"tenant": run.tenant, "pipeline": run.pipeline, "run": run.run}


def _table(text: str) -> TableId | None:
    return TableId.parse(text) if text else None


def _natural(number: int) -> int:
    if number < 0:
        raise ValueError(f"found {number}; allowed is 0 (meaning no limit) or more")
    return number


def _parent(text: str) -> PipelineName | RunName:
    return RunName.parse(text) if "/runs/" in text else PipelineName.parse(text)


def _columns(columns: Iterable[quality_service_pb2.SuiteColumn]) -> tuple[Column, ...]:
    made = tuple(Column(name=c.name, type=c.type, repeated=c.repeated) for c in columns)
    if not made:
        raise ValueError("found none; give the columns of the target table")
    for column in made:
        if column.type not in KNOWN:
            allowed = ", ".join(sorted(KNOWN))
            raise ValueError(f"column {column.name} is {column.type!r}; allowed are {allowed}")
    names = [column.name.lower() for column in made]
    if twice := sorted({name for name in names if not name or names.count(name) > 1}):
        raise ValueError(f"found {', '.join(map(repr, twice))}; allowed is each name once")
    return made


def _compiled(suite: Suite) -> suite_pb2.CompiledSuite:
    tables = set(map(id, table_checks(suite)))
    return suite_pb2.CompiledSuite(
        suite=suite.name,
        row_rules=[
            _row_rule(e, e.check) for e in suite.expectations if isinstance(e.check, RowCheck)
        ],
        table_rules=[
            suite_pb2.TableRule(rule_id=e.rule_id, expectation_type=e.type)
            for e in suite.expectations
            if id(e.check) in tables
        ],
    )


def _row_rule(expectation: Expectation, check: RowCheck) -> suite_pb2.RowRule:
    rule = suite_pb2.RowRule(
        rule_id=expectation.rule_id,
        expectation_type=expectation.type,
        quarantines=expectation.quarantines,
    )
    predicate = getattr(rule, check.predicate.value)
    predicate.SetInParent()
    names = ("column_a", "column_b") if len(check.columns) > 1 else ("column",)
    for field, name in zip(names, check.columns, strict=True):
        setattr(predicate, field, name)
    fields = predicate.DESCRIPTOR.fields_by_name
    if "values" in fields:
        predicate.values.extend(check.values)
    if "range" in fields:
        predicate.range.CopyFrom(_range(check.range))
    if "regex" in fields:
        predicate.regex = check.regex
    if "ignore" in fields:
        predicate.ignore = IGNORES[check.ignore]
    if "or_equal" in fields:
        predicate.or_equal = check.or_equal
    return rule


def _range(range_: Range) -> suite_pb2.Range:
    return suite_pb2.Range(
        min_value=range_.min_value,
        max_value=range_.max_value,
        strict_min=range_.strict_min,
        strict_max=range_.strict_max,
    )


def _counts(metrics: Iterable[suite_pb2.RowRuleMetric]) -> Mapping[str, Counts]:
    found: dict[str, Counts] = {}
    for metric in metrics:
        numbers = (metric.element_count, metric.missing_count, metric.unexpected_count)
        if metric.rule_id in found:
            raise ValueError(f"found rule {metric.rule_id} twice; allowed is each rule once")
        if min(numbers) < 0 or sum(numbers[1:]) > numbers[0]:
            why = "allowed are counts of 0 or more, of which the first is at least the others' sum"
            raise ValueError(f"rule {metric.rule_id}: found {numbers}; {why}")
        found[metric.rule_id] = Counts(
            element_count=metric.element_count,
            missing_count=metric.missing_count,
            unexpected_count=metric.unexpected_count,
            samples=tuple(metric.unexpected_samples),
        )
    return found


def _result(result: Result) -> verdict_pb2.ExpectationResult:
    return verdict_pb2.ExpectationResult(
        rule_id=result.expectation.rule_id,
        expectation_type=result.expectation.type,
        column=result.column,
        kwargs=result.expectation.kwargs,
        success=result.success,
        severity=result.expectation.severity,
        element_count=result.element_count,
        missing_count=result.missing_count,
        unexpected_count=result.unexpected_count,
        observed_value=result.observed_value,
        unexpected_samples=result.samples,
    )
