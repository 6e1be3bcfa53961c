"""What channels are opened with, on both ends; and statuses of servers that are not ours."""

import json

import grpc

from libs.common import errors
from libs.common.app import OPTIONS as SERVER_OPTIONS
from libs.common.channel import OPTIONS, from_status, service_config


def test_chunks_are_never_repeated_by_the_channel() -> None:
    service = "convergence.ingest.v1.IngestService"
    config = json.loads(service_config([service], [(service, "IngestChunk")]))
    retried, once = config["methodConfig"]
    assert retried["name"] == [{"service": service}]
    assert once == {"name": [{"service": service, "method": "IngestChunk"}]}


def test_servers_permit_the_pings_that_channels_send() -> None:
    client, server = dict(OPTIONS), dict(SERVER_OPTIONS)
    pause = client["grpc.keepalive_time_ms"]
    assert pause >= server["grpc.http2.min_ping_interval_without_data_ms"]
    assert client["grpc.keepalive_timeout_ms"] < pause
    without_calls = "grpc.keepalive_permit_without_calls"
    assert client[without_calls] == server[without_calls] == 1
    assert client["grpc.http2.max_pings_without_data"] == 0


def test_both_ends_take_messages_of_the_same_size() -> None:
    client, server = dict(OPTIONS), dict(SERVER_OPTIONS)
    for option in ("grpc.max_receive_message_length", "grpc.max_send_message_length"):
        assert client[option] == server[option] == 4 * 1024 * 1024


def test_a_status_without_details_is_still_a_kind() -> None:
    status = grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(), details="gone"
    )
    error = from_status(status)
    assert (type(error), str(error), error.reason, error.metadata) == (
        errors.NotFound,
        "gone",
        "",
        {},
    )
