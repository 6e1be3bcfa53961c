"""What every judge keeps, in memory and over gRPC to a real quality service beside a real auth."""

import contextlib
import json
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.errors import InvalidRequest, PermissionDenied, Unavailable
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import Tenant, TenantState
from services.orchestrator.judges.grpc_judges import GrpcJudge
from services.orchestrator.judges.judges import Judge
from services.orchestrator.runs import records as r
from services.orchestrator.specs import PipelineSpec, QualitySpec
from services.orchestrator.tokens.grpc_tokens import RunTokens
from services.orchestrator.workers.memory_workers import MemoryJudge
from services.quality.app import Settings, attach_statistics
from services.quality.statistics import MemoryTableStatistics
from tests.integration.auth.serving import CREDENTIAL, NOW, Served, served
from tests.unit.orchestrator.conductor.world import PIPELINE, spec

RUN = PIPELINE.run("r1")
STAGING = "local.acme_corp_staging.bills__r1"
ACME_CORP = Tenant(tenant_id="acme_corp", create_time=NOW, update_time=NOW)
NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "service"}}
ROW_COUNT = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 3}}
UNKNOWN = {"type": "expect_the_moon_to_be_full", "kwargs": {}}


def judged_by(*expectations: Mapping[str, object]) -> PipelineSpec:
    """A pipeline with a suite of these expectations."""
    whole = [{"meta": {}, "severity": "critical", **one} for one in expectations]
    meta = {"great_expectations_version": "1.24.1"}
    document = {"name": "s", "meta": meta, "notes": None, "expectations": whole}
    quality = QualitySpec(suite_id="s", suite_document=json.dumps(document))
    return spec().model_copy(update={"quality": quality})


class Bench(Protocol):
    """A judge, and the ways to have it refuse or see failures."""

    @property
    def judge(self) -> Judge:
        """Return it."""

    def refuse(self) -> None:
        """Let the suite with UNKNOWN be refused."""

    def see(self, *unexpected: int) -> None:
        """Let each expectation find so many rows that break it."""


class InMemory:
    def __init__(self) -> None:
        self.judge = MemoryJudge()

    def refuse(self) -> None:
        error = InvalidRequest({"expectations[0]": "expect_the_moon"}, reason="SUITE_INVALID")
        self.judge.refusals = [error]

    def see(self, *unexpected: int) -> None:
        self.judge.results = tuple(
            r.Result(
                rule_id=f"rule{number}",
                expectation_type=str(NOT_NULL["type"]),
                column="service",
                kwargs="{}",
                success=not count,
                severity="critical",
                element_count=10,
                missing_count=0,
                unexpected_count=count,
            )
            for number, count in enumerate(unexpected)
        )


class OverGrpc:
    def __init__(self, judge: GrpcJudge, auth: Served) -> None:
        self.judge = judge
        self.auth = auth

    def refuse(self) -> None:
        """The suite says so itself."""

    def see(self, *unexpected: int) -> None:
        """The metrics say so themselves."""


@pytest.fixture(params=["memory", "grpc"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Bench]:
    if request.param == "memory":
        yield InMemory()
        return
    async with quality(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def quality(folder: Path) -> AsyncGenerator[OverGrpc]:
    """Run auth and quality, and a judge that shows auth the orchestrator's own credential."""
    rows = [{"service": "a", "cost": None}, {"service": "b", "cost": None}]
    statistics = MemoryTableStatistics({STAGING: rows})
    async with served(folder, tenant_store=MemoryTenantStore(ACME_CORP)) as auth:
        await auth.settled()

        def attach(host: Host, given: Settings) -> contextlib.AbstractAsyncContextManager[None]:
            return attach_statistics(host, given, statistics)

        async with (
            hosted("quality", Settings(auth=auth.address), attach) as (_, address),
            open_channel(address) as channel,
        ):
            tokens = RunTokens(auth.channel, credential=lambda: CREDENTIAL, clock=time.time)
            yield OverGrpc(GrpcJudge(channel, tokens, location="US"), auth)


def metric(document: str, unexpected: int) -> r.Metric:
    """Return what a worker counted for the only row rule of a compiled suite."""
    rules = json.loads(document).get("rowRules", [{"ruleId": "rule0"}])
    return r.Metric(
        rule_id=rules[0]["ruleId"],
        element_count=10,
        missing_count=0,
        unexpected_count=unexpected,
        samples=("x",) * bool(unexpected),
    )


async def test_a_suite_compiles_to_the_same_document_every_time(bench: Bench) -> None:
    first, again = [await bench.judge.compile(PIPELINE, judged_by(NOT_NULL)) for _ in range(2)]
    assert first == again
    assert json.loads(first.document) is not None


async def test_a_suite_that_cannot_be_compiled_is_refused_by_place(bench: Bench) -> None:
    bench.refuse()
    with pytest.raises(InvalidRequest) as refused:
        await bench.judge.compile(PIPELINE, judged_by(UNKNOWN))
    assert refused.value.reason == "SUITE_INVALID"
    (place,) = refused.value.violations
    assert place.startswith("expectations[0]")
    assert "expect_the_moon" in refused.value.violations[place]


@pytest.mark.parametrize("unexpected", [0, 2])
async def test_a_verdict_is_good_when_no_row_breaks_a_rule(bench: Bench, unexpected: int) -> None:
    of = judged_by(NOT_NULL)
    bench.see(unexpected)
    compiled = await bench.judge.compile(RUN, of)
    metrics = [metric(compiled.document, unexpected)]
    verdict = await bench.judge.judge(RUN, of, attempt=2, metrics=metrics, table="")
    assert verdict.success is (unexpected == 0)
    (result,) = verdict.results
    assert result.success is (unexpected == 0)
    assert (result.element_count, result.missing_count, result.unexpected_count) == (
        10, 0, unexpected,
    )  # fmt: skip
    assert (result.column, result.severity) == ("service", "critical")


async def test_rules_are_counted_by_where_they_are_evaluated(tmp_path: Path) -> None:
    async with quality(tmp_path) as bench:
        compiled = await bench.judge.compile(PIPELINE, judged_by(NOT_NULL, ROW_COUNT))
    assert (compiled.row_rule_count, compiled.table_rule_count) == (1, 1)


async def test_table_rules_are_judged_over_the_runs_staging(tmp_path: Path) -> None:
    of = judged_by(ROW_COUNT)
    async with quality(tmp_path) as bench:
        verdict = await bench.judge.judge(RUN, of, attempt=1, metrics=[], table=STAGING)
    assert not verdict.success
    (result,) = verdict.results
    assert (result.observed_value, result.unexpected_count) == ("2", None)
    assert json.loads(result.kwargs)["min_value"] == 3


async def test_a_suspended_tenants_runs_are_judged_no_more(tmp_path: Path) -> None:
    suspended = MemoryTenantStore(
        Tenant(tenant_id="acme_corp", create_time=NOW, update_time=NOW, state=TenantState.SUSPENDED)
    )
    async with served(tmp_path, tenant_store=suspended) as auth:
        await auth.settled()
        tokens = RunTokens(auth.channel, credential=lambda: CREDENTIAL, clock=time.time)
        with pytest.raises(PermissionDenied) as refused:
            await tokens.metadata(RUN)
    assert refused.value.reason == "TENANT_SUSPENDED"


async def test_a_token_of_a_run_is_asked_for_once_and_renewed_at_half_its_life(
    tmp_path: Path,
) -> None:
    now = time.time()
    async with served(tmp_path, tenant_store=MemoryTenantStore(ACME_CORP)) as auth:
        await auth.settled()
        tokens = RunTokens(auth.channel, credential=lambda: CREDENTIAL, clock=lambda: now)
        first = await tokens.metadata(RUN)
        assert await tokens.metadata(RUN) == first
        assert await tokens.metadata(PIPELINE) != first
        now += 3600
        assert await tokens.metadata(RUN) != first


async def test_a_quality_service_that_is_away_is_no_verdict(tmp_path: Path) -> None:
    async with served(tmp_path, tenant_store=MemoryTenantStore(ACME_CORP)) as auth:
        await auth.settled()
        tokens = RunTokens(auth.channel, credential=lambda: CREDENTIAL, clock=time.time)
        async with open_channel("127.0.0.1:1") as nobody:
            judge = GrpcJudge(nobody, tokens, location="US")
            with pytest.raises(Unavailable):
                await judge.compile(PIPELINE, judged_by(NOT_NULL))
