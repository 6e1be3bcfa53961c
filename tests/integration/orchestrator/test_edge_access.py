"""Who may call the orchestrator's edge: every refusal of every RPC, over a real auth."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from convergence.orchestrator.v1 import run_service_pb2
from google.protobuf.message import Message

from libs.common.channel import from_status
from libs.common.errors import ServiceError, Unavailable
from libs.common.rpc import DETAILS
from libs.kubernetes.cluster import ClusterRefused, ClusterUnavailable
from services.auth.signing_keys import NotInitialized as AuthNotInitialized
from services.orchestrator.api.access import BACKFILLS, PIPELINES, RUNS, SCHEDULES
from services.orchestrator.elections.elections import LeaseUnusable, Term
from services.orchestrator.elections.file_election import POLL_SECONDS, FileElection
from services.orchestrator.journal.bigquery_journal import NotInitialized
from services.orchestrator.journal.journal import JournalUnavailable, MemoryJournal
from services.orchestrator.journal.rows import JournalUnreadable
from services.orchestrator.runs.records import Record
from services.orchestrator.workers.memory_workers import Item
from tests.integration.orchestrator.serving import (
    ENDED,
    HURRIED,
    LISTER,
    NEIGHBOUR,
    PIPELINE,
    PIPELINE_METHODS,
    READER,
    REQUESTS,
    REVOKED,
    ROOT,
    SLEEPER,
    UNKNOWN,
    WRITER,
    Edge,
    active,
    authenticating,
    edge_over,
    key_store,
    orchestrating,
)
from tests.support.refusals import Refusal, refused
from tests.unit.orchestrator.conductor.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_rpc = pytest.mark.parametrize("method", sorted(REQUESTS))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Edge]:
    world = World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])
    async with edge_over(world, tmp_path_factory.mktemp("edge")) as running:
        yield running


def request(method: str, tenant: str = "acme_corp") -> Message:
    return REQUESTS[method](tenant)


async def test_every_rpc_of_all_services_is_asked() -> None:
    services = (RUNS, PIPELINES, BACKFILLS, SCHEDULES)
    methods = [method.name for service in services for method in service.methods]
    assert sorted(methods) == sorted(REQUESTS)


@every_rpc
@pytest.mark.parametrize(
    ("secret", "reason", "facts"),
    [
        ("", "CREDENTIAL_MISSING", set()),
        (WRITER[:-1] + "_", "API_KEY_MALFORMED", set()),
        (UNKNOWN, "API_KEY_UNKNOWN", set()),
        (ENDED, "API_KEY_EXPIRED", {"keyId", "expireTime"}),
        (REVOKED, "API_KEY_REVOKED", {"keyId"}),
    ],
    ids=["missing", "malformed", "unknown", "expired", "revoked"],
)
async def test_a_call_without_a_good_key_is_unauthenticated(
    edge: Edge, method: str, secret: str, reason: str, facts: set[str]
) -> None:
    with refused("UNAUTHENTICATED", reason) as refusal:
        await edge.ask(method, request(method), secret=secret)
    assert set(refusal.metadata) == facts
    assert not secret or secret not in refusal.status.SerializeToString().decode("latin-1")


@every_rpc
async def test_a_key_without_the_scope_is_refused_and_the_scope_named(
    edge: Edge, method: str
) -> None:
    reads = method.startswith(("Get", "List", "Watch", "Explain"))
    scope = "runs:read" if reads else "runs:write"
    secret = LISTER
    if method in PIPELINE_METHODS:
        scope, secret = "pipelines:read", READER
    elif not reads:
        secret = READER
    with refused("PERMISSION_DENIED", "SCOPE_MISSING") as refusal:
        await edge.ask(method, request(method), secret=secret)
    assert refusal.metadata == {"scope": scope, "method": method}


@every_rpc
async def test_a_suspended_tenant_may_call_nothing(edge: Edge, method: str) -> None:
    with refused("PERMISSION_DENIED", "TENANT_SUSPENDED") as refusal:
        await edge.ask(method, request(method, "sleepers"), secret=SLEEPER)
    assert refusal.metadata == {"tenant": "sleepers"}


MISSING = {"GetPipeline": "PIPELINE", "ValidatePipeline": "PIPELINE", "PlanRun": "PIPELINE",
           "CreateRun": "PIPELINE", "ListRuns": "PIPELINE", "WatchRuns": "PIPELINE",
           "CreateBackfill": "PIPELINE", "ListBackfills": "PIPELINE", "GetBackfill": "BACKFILL",
           "PauseBackfill": "BACKFILL", "ResumeBackfill": "BACKFILL", "CancelBackfill": "BACKFILL",
           "GetSchedule": "SCHEDULE", "PauseSchedule": "SCHEDULE",
           "ResumeSchedule": "SCHEDULE"}  # fmt: skip


OF_TENANTS = {"ListPipelines", "ListSchedules", "GetQueue"}
"""RPCs that are about a tenant, and answer its own keys whatever it has."""


@pytest.mark.parametrize("method", sorted(set(REQUESTS) - OF_TENANTS))
async def test_what_is_another_tenants_answers_as_what_is_not_there(
    edge: Edge, method: str
) -> None:
    reason = f"{MISSING.get(method, 'RUN')}_NOT_FOUND"
    answers = []
    for tenant, secret in (("acme_corp", WRITER), ("acme_corp", NEIGHBOUR), ("nobody_at", WRITER)):
        asked = request(method, tenant)
        with refused("NOT_FOUND", reason) as refusal:
            await edge.ask(method, asked, secret=secret)
        name = getattr(asked, "name", "") or getattr(asked, "parent", "")
        assert refusal.metadata == {"name": name}
        answers.append(anonymous(name, refusal))
    assert answers[0] == answers[1] == answers[2]


def anonymous(name: str, refusal: Refusal) -> dict[str, bytes]:
    """Return all that came with a refusal, byte for byte, but for the name asked about."""
    assert set(refusal.trailing) == {DETAILS}
    data = refusal.trailing[DETAILS]
    assert isinstance(data, bytes)
    return {DETAILS: data.replace(name.encode(), b"NAME")}


async def test_another_tenants_run_that_is_there_answers_as_one_that_is_not(edge: Edge) -> None:
    run = await edge.finish()
    names = (run.name, f"{run.name[:-1]}_")
    for method in sorted(set(REQUESTS) - PIPELINE_METHODS - OF_TENANTS - set(MISSING)):
        answers = []
        for name in names:
            with refused("NOT_FOUND", "RUN_NOT_FOUND") as refusal:
                await edge.ask(method, named(method, name), secret=NEIGHBOUR)
            answers.append(anonymous(name, refusal))
        assert answers[0] == answers[1]


def named(method: str, name: str) -> Message:
    """Return a request of a method about `name`."""
    asked = request(method)
    setattr(asked, "name" if "name" in asked.DESCRIPTOR.fields_by_name else "parent", name)
    return asked


@pytest.mark.parametrize(
    ("method", "reason"),
    [("ListPipelines", "PIPELINE_NOT_FOUND"), ("ListSchedules", "SCHEDULE_NOT_FOUND")],
)
async def test_a_list_of_what_another_tenant_has_is_refused(
    edge: Edge, method: str, reason: str
) -> None:
    with refused("NOT_FOUND", reason):
        await edge.ask(method, request(method), secret=NEIGHBOUR)


async def test_a_platform_key_may_ask_about_every_tenant(edge: Edge) -> None:
    run = await edge.create(secret=ROOT)
    assert run.name.startswith("tenants/acme_corp/")
    await edge.until(run.name, "SUCCEEDED")


@every_rpc
async def test_names_of_another_form_are_refused_by_field(edge: Edge, method: str) -> None:
    asked = named(method, "tenants/acme_corp/pipelines/Not An Id/runs/r1")
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.ask(method, asked)
    assert refusal.fields == ["name" if "name" in asked.DESCRIPTOR.fields_by_name else "parent"]
    assert "google.rpc.BadRequest" in refusal.details


@every_rpc
async def test_a_tenant_that_calls_too_often_is_told_how_long_to_wait(
    edge: Edge, method: str
) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await edge.ask("GetRun", request("GetRun", "hurried"), secret=HURRIED)
    with refused("RESOURCE_EXHAUSTED", "RATE_LIMITED") as refusal:
        await edge.ask(method, request(method, "hurried"), secret=HURRIED)
    assert refusal.metadata == {"tenant": "hurried", "limit": "0.001/s, 1 at once"}
    assert 0 < refusal.retry_after <= 1000
    assert "google.rpc.QuotaFailure" in refusal.details


async def test_one_tenants_hurry_slows_no_other(edge: Edge) -> None:
    for _ in range(2):
        with contextlib.suppress(grpc.aio.AioRpcError):
            await edge.ask("GetRun", request("GetRun", "hurried"), secret=HURRIED)
    assert await edge.ask("ListPipelines", request("ListPipelines"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blind(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Edge]:
    """An edge whose auth cannot read its table of keys."""
    folder, store = tmp_path_factory.mktemp("blind"), key_store()
    often = {"promise_seconds": 0.3, "refresh_seconds": 0.1}
    async with (
        authenticating(folder, key_store=store, **often) as auth,
        orchestrating(World(), auth, folder) as running,
    ):
        store.fail_with = Unavailable("no answer", reason="WAREHOUSE_UNAVAILABLE")
        while await auth.serving():
            await asyncio.sleep(0.02)
        yield running


@every_rpc
async def test_while_nobody_can_say_who_calls_nobody_is_let_in(blind: Edge, method: str) -> None:
    with refused("UNAVAILABLE", "AUTH_UNAVAILABLE") as refusal:
        await blind.ask(method, request(method))
    assert refusal.retry_after > 0


async def test_an_auth_that_is_away_is_named_and_its_answers_are_used_for_a_while(
    tmp_path: Path,
) -> None:
    async with authenticating(tmp_path) as auth, orchestrating(World(), auth, tmp_path) as edge:
        await active(edge)
        assert await edge.ask("ListPipelines", request("ListPipelines"))
        await auth.host.server.stop(None)
        assert await edge.ask("ListPipelines", request("ListPipelines"))
        with refused("UNAVAILABLE", "AUTH_UNAVAILABLE"):
            await edge.ask("ListPipelines", request("ListPipelines"), secret=READER)


ALWAYS = {"GetPipeline", "ListPipelines"}
"""RPCs that need no journal: files alone answer them."""

NEED_A_LEADER = sorted(set(REQUESTS) - ALWAYS)


def real(method: str) -> Message:
    """Return a request about a pipeline that is there, where the method looks at that first."""
    if method in PIPELINE_METHODS:
        return named(method, PIPELINE)
    return request(method)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standby(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Edge]:
    """An orchestrator beside one that leads."""
    folder = tmp_path_factory.mktemp("standby")
    leader = FileElection(folder)
    await leader.win()
    async with authenticating(folder) as auth, orchestrating(World(), auth, folder) as running:
        yield running
        await leader.close()


@pytest.mark.parametrize("method", NEED_A_LEADER)
async def test_an_orchestrator_that_stands_by_says_so(standby: Edge, method: str) -> None:
    with refused("UNAVAILABLE", "NOT_ACTIVE") as refusal:
        await standby.ask(method, real(method))
    assert refusal.retry_after > 0


def leadership(edge: Edge) -> dict[str, float | None]:
    """Return what the orchestrator's metrics say that it is."""
    value, name = edge.host.registry.get_sample_value, "convergence_orchestrator_leadership"
    return {state: value(name, {"state": state}) for state in ("active", "standby", "blocked")}


async def test_metrics_of_a_standby_say_that_it_is_one(standby: Edge) -> None:
    assert leadership(standby) == {"active": 0, "standby": 1, "blocked": 0}
    assert standby.host.registry.get_sample_value("convergence_orchestrator_active") == 0


class Waiting(MemoryJournal):
    """A journal that cannot be opened until `error` is None."""

    error: ServiceError | None = None

    async def open(self, term: Term) -> tuple[list[Record], str]:
        if self.error is not None:
            raise self.error.with_traceback(None)
        return await super().open(term)


@contextlib.asynccontextmanager
async def waiting(
    folder: Path, error: ServiceError, **changes: Any
) -> AsyncGenerator[tuple[Edge, Waiting]]:
    journal = Waiting()
    journal.error = error
    async with (
        authenticating(folder) as auth,
        orchestrating(World(), auth, folder, journal=journal, **changes) as edge,
    ):
        while (await reason_of(edge)) == "NOT_ACTIVE":
            await asyncio.sleep(0.01)
        yield edge, journal


async def reason_of(edge: Edge) -> str:
    try:
        await edge.ask("GetRun", request("GetRun"))
    except grpc.aio.AioRpcError as error:
        return from_status(error).reason
    return ""


async def test_before_init_every_rpc_names_the_command_and_afterwards_answers_by_itself(
    tmp_path: Path,
) -> None:
    async with waiting(tmp_path, NotInitialized()) as (edge, journal):
        for method in NEED_A_LEADER:
            with refused("FAILED_PRECONDITION", "NOT_INITIALIZED") as refusal:
                await edge.ask(method, real(method))
            assert refusal.metadata == {"command": "convergence admin init"}
        journal.error = None
        await active(edge)
        assert await reason_of(edge) == "RUN_NOT_FOUND"


async def test_a_journal_that_a_newer_version_wrote_is_named_by_every_rpc_and_left_to_others(
    tmp_path: Path,
) -> None:
    record = {"event_id": "e7", "event_type": "run.paused", "position": 7, "epoch": 3}
    error = JournalUnreadable(record, "unknown type", version=9)

    async def stepped_down(_: float) -> None:
        await asyncio.sleep(2 * POLL_SECONDS)

    async with waiting(tmp_path, error, sleep=stepped_down) as (edge, journal):
        for method in NEED_A_LEADER:
            with refused("FAILED_PRECONDITION", "JOURNAL_UNREADABLE") as refusal:
                await edge.ask(method, real(method))
            assert refusal.metadata["position"] == "7"
            assert refusal.metadata["version"] == "9"
        newer = FileElection(tmp_path)
        async with asyncio.timeout(10):
            await newer.win()
        await newer.close()
        journal.error = None
        await active(edge)
        assert await reason_of(edge) == "RUN_NOT_FOUND"


class Refusing(FileElection):
    """An election that cannot be won until `error` is None."""

    error: ServiceError | None = None

    async def win(self) -> Term:
        if self.error is not None:
            raise self.error.with_traceback(None)
        return await super().win()


UNELECTED = [
    pytest.param(
        LeaseUnusable("mesh/orchestrator", "does not exist", "create it"),
        ("FAILED_PRECONDITION", "LEASE_UNUSABLE"),
        {"lease": "mesh/orchestrator"},
        id="no lease",
    ),
    pytest.param(
        ClusterRefused("let the Role get it", asked="get lease mesh/orchestrator", status=403),
        ("FAILED_PRECONDITION", "CLUSTER_REFUSED"),
        {"asked": "get lease mesh/orchestrator", "status": "403"},
        id="no right",
    ),
    pytest.param(
        ClusterUnavailable("it does not answer", retry_after=2.0),
        ("UNAVAILABLE", "CLUSTER_UNAVAILABLE"),
        {},
        id="no API server",
    ),
]


@pytest.mark.parametrize(("error", "expected", "metadata"), UNELECTED)
async def test_why_nobody_can_be_elected_is_said_by_every_rpc_until_that_is_mended(
    tmp_path: Path, error: ServiceError, expected: tuple[str, str], metadata: dict[str, str]
) -> None:
    election = Refusing(tmp_path)
    election.error = error
    async with (
        authenticating(tmp_path) as auth,
        orchestrating(World(), auth, tmp_path, election=election) as edge,
    ):
        while (await reason_of(edge)) == "NOT_ACTIVE":
            await asyncio.sleep(0.01)
        for method in NEED_A_LEADER:
            with refused(*expected) as refusal:
                await edge.ask(method, real(method))
            assert refusal.metadata == metadata
        assert leadership(edge) == {"active": 0, "standby": 0, "blocked": 1}
        election.error = None
        await active(edge)
        assert leadership(edge) == {"active": 1, "standby": 0, "blocked": 0}
        assert await reason_of(edge) == "RUN_NOT_FOUND"
        await election.close()


@every_rpc
async def test_an_auth_before_init_names_the_command_too(tmp_path: Path, method: str) -> None:
    store = key_store()
    store.fail_with = AuthNotInitialized("table metadata.api_keys")
    async with (
        authenticating(tmp_path, key_store=store) as auth,
        orchestrating(World(), auth, tmp_path) as edge,
    ):
        with refused("FAILED_PRECONDITION", "NOT_INITIALIZED") as refusal:
            await edge.ask(method, request(method))
        assert refusal.metadata == {"command": "convergence admin init"}


async def test_a_bigquery_that_is_down_at_the_start_is_named_and_waited_for(
    tmp_path: Path,
) -> None:
    async with waiting(tmp_path, JournalUnavailable("BigQuery does not answer")) as (edge, journal):
        with refused("UNAVAILABLE", "WAREHOUSE_UNAVAILABLE") as refusal:
            await edge.create()
        assert refusal.retry_after > 0
        journal.error = None
        await active(edge)
        assert await reason_of(edge) == "RUN_NOT_FOUND"


async def test_metrics_say_who_leads_and_how_far_the_journal_is(edge: Edge) -> None:
    run = await edge.finish()
    value = edge.host.registry.get_sample_value
    assert value("convergence_orchestrator_active") == 1
    assert (value("convergence_orchestrator_journal_position") or 0) >= run.position
    assert value("convergence_orchestrator_journal_lag_records") == 0
    assert value("convergence_orchestrator_runs", {"state": "FAILED"}) == 0
    gate = edge.world.journals.gate = asyncio.Event()
    asked = asyncio.create_task(edge.create())
    async with asyncio.timeout(5):
        while not value("convergence_orchestrator_journal_lag_records"):
            await asyncio.sleep(0.005)
    gate.set()
    await asked


async def test_wrong_keys_are_counted_by_the_address_that_the_edge_forwards(edge: Edge) -> None:
    """One caller's typing errors do not throttle another's, although both come through one proxy."""

    async def reason(secret: str, forwarded: str) -> str:
        metadata = (("x-api-key", secret), ("x-forwarded-for", forwarded))
        request = run_service_pb2.ListRunsRequest(parent="tenants/acme_corp")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await edge.runs.ListRuns(request, metadata=metadata)
        return from_status(refusal.value).reason

    said = {await reason(f"cvg_mistyped_{n}", "forged, 203.0.113.7") for n in range(60)}
    assert said == {"API_KEY_MALFORMED", "AUTHENTICATION_THROTTLED"}
    assert await reason("cvg_mistyped_60", "203.0.113.7, 203.0.113.8") == "API_KEY_MALFORMED"
