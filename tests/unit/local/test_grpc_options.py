"""Options of servers and channels: gRPC passes over a name that it does not know, without a word."""

import importlib
from pathlib import Path

import pytest

from libs.common import app, channel
from libs.local.edge import server

CORE = Path(str(importlib.import_module("grpc._cython.cygrpc").__file__)).read_bytes()
OPTIONS = {
    name
    for name, _ in (*app.OPTIONS, *channel.OPTIONS, *server.SERVER_OPTIONS, *server.CHANNEL_OPTIONS)
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_that_is_set_is_one_that_grpc_knows(name: str) -> None:
    assert name.encode() in CORE


@pytest.mark.parametrize("options", [app.OPTIONS, server.SERVER_OPTIONS], ids=["service", "edge"])
def test_no_client_pings_more_often_than_a_server_allows(
    options: tuple[tuple[str, int], ...],
) -> None:
    allowed = dict(options)["grpc.http2.min_ping_interval_without_data_ms"]
    for clients in (channel.OPTIONS, server.CHANNEL_OPTIONS):
        assert dict(clients)["grpc.keepalive_time_ms"] > allowed
