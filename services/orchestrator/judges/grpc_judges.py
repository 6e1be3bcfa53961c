"""The quality service over gRPC."""

from collections.abc import Sequence
from typing import Final

import grpc
from convergence.quality.v1 import (
    quality_service_pb2,
    quality_service_pb2_grpc,
    suite_pb2,
    verdict_pb2,
)
from google.protobuf import json_format

from libs.common.channel import translated
from libs.common.names import PipelineName, RunName
from services.orchestrator.judges.judges import Compiled, Verdict
from services.orchestrator.runs.records import Metric, Result
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.tokens.tokens import Tokens

COMPILE_SECONDS: Final = 10.0
EVALUATE_SECONDS: Final = 300.0


class GrpcJudge:
    """Compiles and judges by calls to the quality service."""

    def __init__(self, channel: grpc.aio.Channel, tokens: Tokens, *, location: str) -> None:
        self._stub = quality_service_pb2_grpc.QualityServiceStub(channel)
        self._tokens = tokens
        self._location = location

    async def compile(self, parent: PipelineName | RunName, spec: PipelineSpec) -> Compiled:
        request = quality_service_pb2.CompileSuiteRequest(
            parent=str(parent),
            suite_document=spec.quality.suite_document,
            columns=_columns(spec),
        )
        metadata = await self._tokens.metadata(parent)
        with translated():
            response = await self._stub.CompileSuite(
                request, metadata=metadata, timeout=COMPILE_SECONDS
            )
        return Compiled(
            document=json_format.MessageToJson(response.suite, indent=None),
            row_rule_count=len(response.suite.row_rules),
            table_rule_count=len(response.suite.table_rules),
        )

    async def judge(
        self,
        run: RunName,
        spec: PipelineSpec,
        *,
        attempt: int,
        metrics: Sequence[Metric],
        table: str,
    ) -> Verdict:
        request = quality_service_pb2.EvaluateTableRequest(
            run=str(run),
            suite_document=spec.quality.suite_document,
            columns=_columns(spec),
            row_metrics=[_metric(metric) for metric in metrics],
            table=table,
            location=self._location,
            attempt=attempt,
        )
        metadata = await self._tokens.metadata(run)
        with translated():
            response = await self._stub.EvaluateTable(
                request, metadata=metadata, timeout=EVALUATE_SECONDS
            )
        verdict = response.verdict
        return Verdict(success=verdict.success, results=tuple(_result(x) for x in verdict.results))


def _columns(spec: PipelineSpec) -> list[quality_service_pb2.SuiteColumn]:
    return [
        quality_service_pb2.SuiteColumn(
            name=c.name, type=c.type.partition("(")[0], repeated=c.mode == "REPEATED"
        )
        for c in spec.columns
    ]


def _metric(metric: Metric) -> suite_pb2.RowRuleMetric:
    return suite_pb2.RowRuleMetric(
        rule_id=metric.rule_id,
        element_count=metric.element_count,
        missing_count=metric.missing_count,
        unexpected_count=metric.unexpected_count,
        unexpected_samples=metric.samples,
    )


def _result(result: verdict_pb2.ExpectationResult) -> Result:
    return Result(
        rule_id=result.rule_id,
        expectation_type=result.expectation_type,
        column=result.column,
        kwargs=result.kwargs,
        success=result.success,
        severity=result.severity,
        element_count=result.element_count,
        missing_count=result.missing_count,
        unexpected_count=(result.unexpected_count if result.HasField("unexpected_count") else None),
        observed_value=result.observed_value if result.HasField("observed_value") else None,
        samples=tuple(result.unexpected_samples),
    )
