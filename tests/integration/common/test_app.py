"""A server process: health, reflection, admin port, draining, and how it ends."""

import contextlib
import signal
import socket
from collections.abc import Generator

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from libs.common.app import SWITCH_SECONDS
from tests.integration.common.process import SERVICE
from tests.integration.common.running import Running, launched, running
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
def process() -> Generator[Running]:
    with running() as found:
        yield found


@pytest.mark.parametrize("service", ["", "liveness"])
def test_a_process_that_serves_says_so(service: str, process: Running) -> None:
    assert process.health(service) == "SERVING"


def reflected(process: Running, request: reflection_pb2.ServerReflectionRequest) -> object:
    assert process.channel
    ask = process.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return next(iter(ask(iter([request]), timeout=20)))


def test_reflection_lists_what_the_service_described(process: Running) -> None:
    answer = reflected(process, reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [service.name for service in answer.list_services_response.service]  # type: ignore[attr-defined]
    assert sorted(names) == [
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


def test_reflection_describes_the_service(process: Running) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    answer = reflected(process, request)
    assert answer.file_descriptor_response.file_descriptor_proto  # type: ignore[attr-defined]


def test_healthz_answers_while_work_may_be_sent(process: Running) -> None:
    assert process.get("/healthz") == (200, "ok\n")


def test_metrics_count_calls_by_method_and_code(process: Running) -> None:
    process.call("").result()
    sample = f'convergence_trial_rpc_seconds_count{{code="OK",method="/{SERVICE}/GetRun"}}'
    eventually(lambda: sample in process.get("/metrics")[1], within=5)


def test_a_thread_that_computes_lets_the_loop_go_on_soon(process: Running) -> None:
    assert float(process.call("switch").result().name) == SWITCH_SECONDS


def test_another_page_of_the_admin_port_names_those_that_are(process: Running) -> None:
    assert process.get("/") == (404, "known are /healthz and /metrics\n")


@pytest.mark.parametrize(
    "said", [b"", b"\n", b"GET\r\n\r\n", b"\xff\xfe\r\n\r\n", b"x" * 200_000], ids=len
)
def test_what_is_no_http_does_not_harm_the_admin_port(said: bytes, process: Running) -> None:
    host, _, port = process.line("server.started")["admin_listen"].rpartition(":")
    with contextlib.suppress(ConnectionError), socket.create_connection((host, int(port))) as peer:
        peer.sendall(said)
    assert process.get("/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(number: signal.Signals) -> None:
    with running() as process:
        process.stop(number)
        assert process.ended() == 0
        events = [line["message"] for line in process.lines()]
        assert events[-3:] == ["server.draining", "attach.ended", "server.stopped"]
        assert process.said() == ""


def test_a_draining_process_asks_for_no_work_and_still_answers() -> None:
    with running(drain_seconds=3) as process:
        process.stop()
        process.line("server.draining")
        assert process.health() == "NOT_SERVING"
        assert process.health("liveness") == "SERVING"
        assert process.get("/healthz") == (503, "not ready\n")
        assert process.call("").result().name.endswith("/runs/")


def test_a_call_in_flight_may_finish_within_the_grace() -> None:
    with running(grace_seconds=10) as process:
        call = process.call("wait")
        process.line("call.waiting")
        process.stop()
        assert call.result().name.endswith("/runs/wait")
        assert process.ended() == 0


def test_a_call_longer_than_the_grace_is_cancelled() -> None:
    with running(grace_seconds=0.2) as process:
        call = process.call("forever")
        process.line("call.waiting")
        process.stop()
        assert process.ended() == 0
        assert call.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
        assert process.line("rpc.done")["code"] == "CANCELLED"


def test_a_service_that_is_not_ready_lives_and_asks_for_no_work() -> None:
    with running() as process:
        process.call("unready").result()
        assert process.health() == "NOT_SERVING"
        assert process.health("liveness") == "SERVING"
        assert process.get("/healthz") == (503, "not ready\n")


@pytest.mark.parametrize(
    ("loop", "cause"),
    [("crashes", "ValueError: the loop broke"), ("ends", "RuntimeError: trial-loop ended")],
)
def test_a_background_loop_that_ends_ends_the_process(loop: str, cause: str) -> None:
    with running(loop=loop) as process:
        process.call("go").result()
        assert process.ended() == 1
        crashed = process.line("server.crashed")
        assert (crashed["severity"], crashed["service"]) == ("ERROR", "trial")
        assert cause in crashed["exception"]
        assert process.line("attach.ended")


@pytest.fixture
def taken() -> Generator[str]:
    """Yield an address that another process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("field", ["listen", "admin_listen"])
def test_a_port_in_use_is_one_sentence_and_status_1(field: str, taken: str) -> None:
    with launched(**{field: taken}) as process:
        assert process.ended() == 1
        *grpcs_own, sentence = process.said().splitlines()
        assert sentence == (
            f"trial: {taken} is taken by another process or cannot be bound; end that process "
            f"or set CONVERGENCE_TRIAL_{field.upper()} to another address"
        )
        assert all("Failed to add port to server" in line for line in grpcs_own)
        assert [line for line in process.lines() if line["severity"] != "INFO"] == []


def test_an_address_of_no_network_of_this_machine_is_one_sentence() -> None:
    with launched(listen="192.0.2.1:50051") as process:
        assert process.ended() == 1
        sentence = process.said().splitlines()[-1]
        assert sentence.startswith("trial: 192.0.2.1:50051 is taken by another process or cannot")


def test_an_unknown_setting_is_one_sentence_and_status_1() -> None:
    with launched(drain_second=1) as process:
        assert process.ended() == 1
        assert process.said() == (
            "CONVERGENCE_TRIAL_*: no such setting CONVERGENCE_TRIAL_DRAIN_SECOND; "
            "did you mean CONVERGENCE_TRIAL_DRAIN_SECONDS?\n"
        )
        assert process.out.read_text() == ""
