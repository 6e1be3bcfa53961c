"""A server over TLS beside the plain port: its certificate comes from files, and is used anew when they are replaced."""

from collections.abc import Generator
from pathlib import Path

import grpc
import pytest
from convergence.orchestrator.v1.run_service_pb2 import GetRunRequest

from libs.common.certificates import CertificateUnusable, server_credentials
from tests.integration.common.certificates import certificate, keep
from tests.integration.common.process import SERVICE
from tests.integration.common.running import RUN, Running, launched, running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tls"


@pytest.fixture
def root(folder: Path) -> bytes:
    chain, key = certificate()
    keep(folder, chain, key)
    return chain


@pytest.fixture
def process(folder: Path, root: bytes) -> Generator[Running]:
    with running(listen=f"127.0.0.1:0,tls://127.0.0.1:0{folder}") as found:
        yield found


def call(process: Running, root: bytes | None) -> None:
    """Call over a new connection to the TLS port, trusting `root` alone; in plain text without."""
    address = process.line("server.started")["tls_listen"]
    options = (
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
    )
    opened = (
        grpc.secure_channel(address, grpc.ssl_channel_credentials(root), options)
        if root
        else grpc.insecure_channel(address, options)
    )
    with opened as channel:
        channel.unary_unary(
            f"/{SERVICE}/GetRun",
            request_serializer=GetRunRequest.SerializeToString,
            response_deserializer=GetRunRequest.FromString,
        )(GetRunRequest(name=f"{RUN}/one"), timeout=10)


def code(process: Running, root: bytes | None) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        call(process, root)
    found: grpc.StatusCode = refused.value.code()
    return found


def test_calls_over_tls_and_in_plain_text_reach_the_same_service(
    process: Running, root: bytes
) -> None:
    call(process, root)
    process.call("one").result()
    assert code(process, None) is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_is_replaced_serves_the_next_connection_and_a_broken_one_none(
    process: Running, root: bytes, folder: Path
) -> None:
    call(process, root)
    chain, key = certificate()
    keep(folder, chain, key)
    call(process, chain)
    assert code(process, root) is grpc.StatusCode.UNAVAILABLE
    assert process.lines("certificate.replaced")
    other, _ = certificate()
    keep(folder, other, key)
    call(process, chain)
    (line,) = process.lines("certificate.refused")
    assert "tls.key is not the key of the first of tls.crt" in line["reason"]


def test_a_server_without_a_certificate_does_not_start_and_says_why(folder: Path) -> None:
    with launched(listen=f"127.0.0.1:0,tls://127.0.0.1:0{folder}") as process:
        assert process.ended() == 1
        said = process.said()
    assert f"no certificate can be had from {folder}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("chain", "key"), [(b"", b""), (b"x", b"y"), (certificate()[0], b"y")])
def test_files_that_are_no_certificate_with_its_key_are_refused_with_what_is_allowed(
    folder: Path, chain: bytes, key: bytes
) -> None:
    keep(folder, chain, key)
    with pytest.raises(CertificateUnusable, match=r"allowed is tls\.crt, a chain in PEM"):
        server_credentials(folder)
