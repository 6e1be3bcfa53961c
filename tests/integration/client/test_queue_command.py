"""`convergence runs queue` against an edge in this process."""

import pytest
from convergence.orchestrator.v1.queue_pb2 import (
    AccountQueue,
    LaneQueue,
    StreamQueue,
    TenantQueue,
    WorkerSlots,
)
from convergence.orchestrator.v1.run_pb2 import RunLane
from convergence.orchestrator.v1.run_service_pb2 import GetQueueResponse
from google.protobuf.timestamp_pb2 import Timestamp

from tests.integration.client.commands import Command, against
from tests.support.fake_edge import FakeRuns

SINCE = Timestamp()
SINCE.FromJsonString("2026-11-26T05:40:01Z")
CROWD = TenantQueue(
    tenant="tenants/acme_corp",
    slot_weight=1,
    chunk_count=8,
    slot_count=3,
    begun_run_count=2,
    live_run_count=20,
    waiting_run_count=7,
    waiting_chunk_count=9997,
    wait_start_time=SINCE,
    lanes=[
        LaneQueue(lane=RunLane.RUN_LANE_INTERACTIVE, slot_count=3),
        LaneQueue(lane=RunLane.RUN_LANE_SCHEDULED, waiting_chunk_count=7),
        LaneQueue(lane=RunLane.RUN_LANE_BACKFILL, waiting_chunk_count=9990),
    ],
)
LATE = TenantQueue(
    tenant="tenants/widgetsinc", slot_weight=2.5, slot_count=1, begun_run_count=1, live_run_count=3
)
WORKERS = (
    WorkerSlots(address="127.0.0.1:50061", slot_count=4, busy_slot_count=4),
    WorkerSlots(address="127.0.0.1:50062", slot_count=1, resting=True),
    WorkerSlots(address="127.0.0.1:50063", slot_count=2, busy_slot_count=1, draining=True),
)


def fake(
    *tenants: TenantQueue,
    workers: tuple[WorkerSlots, ...] = (),
    streams: StreamQueue | None = None,
    accounts: tuple[AccountQueue, ...] = (),
) -> FakeRuns:
    made = FakeRuns()
    made.queue = GetQueueResponse(
        tenants=tenants, workers=workers, streams=streams, accounts=accounts
    )
    return made


async def test_a_tenants_line_is_told_in_one_row(command: Command) -> None:
    runs = fake(CROWD)
    said = await against(command, "runs", "queue", runs=runs)
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        "tenant     weight  at most  slots  waiting  of them                     since                 runs     pending",
        "acme_corp       1        8      3     9997  7 scheduled, 9990 backfill  2026-11-26 05:40:01Z  2 of 20        7",
    ]
    assert [request.parent for request in runs.requests] == ["tenants/acme_corp"]


async def test_all_lines_and_the_workers_are_told_to_the_platform(command: Command) -> None:
    runs = fake(CROWD, LATE, workers=WORKERS)
    said = await against(command, "runs", "queue", "--all", runs=runs)
    assert said.out.splitlines() == [
        "tenant      weight  at most  slots  waiting  of them                     since                 runs     pending",
        "acme_corp        1        8      3     9997  7 scheduled, 9990 backfill  2026-11-26 05:40:01Z  2 of 20        7",
        "widgetsinc     2.5      all      1        0                                                    1 of 3         0",
        "",
        "worker           slots  busy  now",
        "127.0.0.1:50061      4     4  takes chunks",
        "127.0.0.1:50062      1     0  rests",
        "127.0.0.1:50063      2     1  drains",
    ]
    assert [request.parent for request in runs.requests] == ["tenants/-"]


@pytest.mark.parametrize(
    ("streams", "text"),
    [
        (StreamQueue(per_hour_count=9500, ready_count=7), "9500 an hour, 7 at once"),
        (
            StreamQueue(per_hour_count=9500, ready_time=SINCE),
            "9500 an hour, the next one at 2026-11-26 05:40:01Z",
        ),
    ],
    ids=["some", "none"],
)
async def test_the_platform_is_told_how_many_streams_may_be_opened(
    command: Command, streams: StreamQueue, text: str
) -> None:
    said = await against(command, "runs", "queue", "--all", runs=fake(streams=streams))
    assert said.out.splitlines()[-1] == f"streams: {text}"


async def test_accounts_that_somebody_reads_with_are_told_to_their_tenant(
    command: Command,
) -> None:
    account = AccountQueue(
        tenant="tenants/widgetsinc",
        secret="openai_key",
        requests_per_minute=500,
        given_requests_per_minute=437.5,
        using_count=3,
        waiting_count=2,
    )
    rests = AccountQueue(tenant="tenants/widgetsinc", secret="z_key", resting=True)
    runs = fake(LATE, accounts=(account, rests))
    said = await against(command, "runs", "queue", runs=runs)
    assert said.out.splitlines()[2:] == [
        "",
        "tenant      account     a minute  given  to  waiting  now",
        "widgetsinc  openai_key       500  437.5   3        2  takes requests",
        "widgetsinc  z_key              0      0   0        0  rests",
    ]


async def test_programs_get_the_message(command: Command) -> None:
    said = await against(command, "runs", "queue", "--all", "--output", "json", runs=fake(LATE))
    assert said.json == {
        "tenants": [
            {
                "tenant": "tenants/widgetsinc",
                "slot_weight": 2.5,
                "chunk_count": 0,
                "slot_count": 1,
                "waiting_chunk_count": 0,
                "lanes": [],
                "begun_run_count": 1,
                "live_run_count": 3,
                "waiting_run_count": 0,
                "today_read_bytes": "0",
                "read_bytes_per_day": "0",
            }
        ],
        "workers": [],
        "accounts": [],
    }
