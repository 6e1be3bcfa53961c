"""A whole mesh of real processes: what it says of itself, and what it does when a part of it dies."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from libs.local.mesh import lifecycle
from libs.local.mesh.plans import ROOT, STOP_ORDER
from libs.local.mesh.states import locked
from tests.integration.local.meshes import COMMAND, DEAF, Mesh
from tests.support.eventually import eventually

DOCUMENT = (ROOT / "docs" / "local.md").read_text()
ORDER = [name for names in STOP_ORDER for name in names]
SERVICES = ("auth", "quality", "ingest-1", "ingest-2", "orchestrator")
EDGE = {
    "convergence.auth.v1.ApiKeyService",
    "convergence.auth.v1.TenantService",
    "convergence.orchestrator.v1.BackfillService",
    "convergence.orchestrator.v1.PipelineService",
    "convergence.orchestrator.v1.RunService",
    "convergence.orchestrator.v1.ScheduleService",
}
AGAIN_SECONDS = 60


@dataclasses.dataclass(slots=True, kw_only=True)
class Foreground:
    """A mesh that a terminal stays with, and what it said when it served."""

    mesh: Mesh
    process: "subprocess.Popen[str]"
    said: dict[str, Any]

    @classmethod
    def start(cls, mesh: Mesh) -> Self:
        process = mesh.begin("--foreground", "--init", "--output", "json")
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                return cls(mesh=mesh, process=process, said=json.loads("".join(lines)))
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())

    def interrupt(self) -> None:
        """End it as Ctrl-C does."""
        left = self.mesh.identities()
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err.strip()) == (0, f"stopped {', '.join(ORDER)}")
        assert not [one for one in left if one.alive()]


@pytest.fixture(scope="module")
def foreground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreground]:
    mesh = Mesh(folder=tmp_path_factory.mktemp("mesh"))
    try:
        started = Foreground.start(mesh)
        yield started
        started.interrupt()
    finally:
        lifecycle.stop(mesh.folder / "state")


@pytest.fixture
def mesh(foreground: Foreground) -> Mesh:
    return foreground.mesh


@pytest.fixture(scope="module")
def key(foreground: Foreground) -> str:
    secret: str = foreground.said["init"]["platform_key"]["secret"]
    return secret


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Mesh]:
    """A folder in which a test may start a mesh; nothing is left of it."""
    mesh = Mesh(folder=tmp_path)
    try:
        yield mesh
    finally:
        lifecycle.stop(tmp_path / "state")


def _serving(mesh: Mesh) -> bool:
    return {one["health"] for one in mesh.status()["processes"]} == {"SERVING"}


def test_status_tells_programs_everything_about_every_process(mesh: Mesh) -> None:
    found = mesh.status()
    assert (found["up"], found["project_id"]) == (True, "local")
    assert found["state"] == str(mesh.folder / "state")
    assert found["configs"] == str(mesh.folder / "configs")
    assert {one["name"] for one in found["processes"]} == set(ORDER)
    for one in found["processes"]:
        assert one["pid"] == mesh.identity(one["name"]).pid
        assert Path(one["log"]).is_file()
        assert one["phase"] == "running"
    wanted = {"bigquery_rest", "bigquery_grpc", "edge"}
    wanted |= {f"{name}{use}" for name in SERVICES for use in ("", "_admin")}
    assert set(found["addresses"]) == wanted
    assert found["addresses"]["edge"].startswith("localhost:")


def test_status_shows_people_whole_names_and_addresses_in_a_pipe(mesh: Mesh) -> None:
    said = mesh.run("local", "status")
    assert said.returncode == 0
    addresses = [at for one in mesh.state.processes for at in one.addresses.values()]
    assert [at for at in addresses if at not in said.stdout] == []
    assert said.stdout.count("SERVING") == len(ORDER)


def test_up_with_init_says_in_one_document_where_it_serves_and_what_was_made(
    foreground: Foreground, mesh: Mesh
) -> None:
    assert set(foreground.said["addresses"]) == set(mesh.status()["addresses"])
    assert foreground.said["init"]["signing_key"]["key_id"]
    assert foreground.said["init"]["platform_key"]["name"].startswith("tenants/-/apiKeys/")


def test_every_file_and_process_that_the_document_names_is_there(mesh: Mesh) -> None:
    files = re.findall(r"(?m)^[├└]── (\S+)", DOCUMENT)
    assert [file for file in files if not (mesh.folder / "state" / file).exists()] == []
    assert set(re.findall(r"`([a-z0-9_-]+)`", _table("Addresses in"))) == {
        *ORDER,
        *mesh.status()["addresses"],
    }


def test_the_python_of_the_document_reads_tables(mesh: Mesh) -> None:
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", DOCUMENT)
    rest = mesh.status()["addresses"]["bigquery_rest"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=mesh.environment(BIGQUERY_REST=rest),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _table(heading: str) -> str:
    """Return the rows of the document's table that has `heading`, without what runs."""
    rows = DOCUMENT.partition(heading)[2].partition("\n\n")[0].splitlines()[2:]
    return "\n".join(" ".join(row.split("|")[1::2]) for row in rows)


def test_reflection_at_the_edge_is_enough_to_call_it(mesh: Mesh, key: str) -> None:
    with grpc.insecure_channel(mesh.state.addresses()["edge"]) as channel:
        services, files = _reflected(channel)
        assert services >= EDGE
        assert not {name for name in services if name.startswith("convergence.")} - EDGE
        request, response = _messages(files)
        listing = channel.unary_unary(
            "/convergence.auth.v1.TenantService/ListTenants",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        answer = listing(request(), metadata=(("x-api-key", key),), timeout=10)
        assert answer.DESCRIPTOR.full_name == "convergence.auth.v1.ListTenantsResponse"
        with pytest.raises(grpc.RpcError) as refused:
            listing(request(), timeout=10)
    assert isinstance(refused.value, grpc.Call)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def _messages(files: list[descriptor_pb2.FileDescriptorProto]) -> tuple[Any, Any]:
    """Return the classes of ListTenants' request and response, made of `files` alone."""
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    names = ("ListTenantsRequest", "ListTenantsResponse")
    found = [pool.FindMessageTypeByName(f"convergence.auth.v1.{name}") for name in names]
    request, response = map(message_factory.GetMessageClass, found)
    return request, response


def _reflected(
    channel: grpc.Channel,
) -> tuple[set[str], list[descriptor_pb2.FileDescriptorProto]]:
    """Ask as grpcurl does: which services there are, and the files that one of them needs."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="convergence.auth.v1.TenantService"
        ),
    ]
    listed, described = stub.ServerReflectionInfo(iter(asked), timeout=10)
    services = {one.name for one in listed.list_services_response.service}
    files = described.file_descriptor_response.file_descriptor_proto
    parsed = [descriptor_pb2.FileDescriptorProto.FromString(one) for one in files]
    return services, parsed[::-1]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_answers_on_its_admin_port(mesh: Mesh, service: str) -> None:
    address = mesh.state.addresses()[f"{service}_admin"]
    with urllib.request.urlopen(f"http://{address}/healthz", timeout=5) as health:
        assert health.status == 200
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as metrics:
        assert "text/plain" in metrics.headers["content-type"]
        assert f"convergence_{service.partition('-')[0]}_rpc_seconds" in metrics.read().decode()


@pytest.mark.parametrize("name", ["quality", "edge"])
def test_a_process_that_is_killed_is_started_again_and_serves(mesh: Mesh, name: str) -> None:
    before = mesh.state.process(name)
    assert mesh.identity(name).signal(signal.SIGKILL)
    eventually(
        lambda: mesh.state.process(name).restarts > before.restarts and _serving(mesh),
        within=AGAIN_SECONDS,
    )
    assert mesh.state.process(name).identity != before.identity
    assert "killed by SIGKILL" in mesh.run("local", "status").stdout


def test_after_bigquery_was_killed_the_others_go_on_with_the_new_one(mesh: Mesh, key: str) -> None:
    others = {one.name: one.identity for one in mesh.state.processes if one.name != "bigquery"}
    restarts = mesh.state.process("bigquery").restarts
    assert mesh.identity("bigquery").signal(signal.SIGKILL)
    eventually(
        lambda: mesh.state.process("bigquery").restarts > restarts and _serving(mesh),
        within=AGAIN_SECONDS,
    )
    configs = str(mesh.folder / "configs")
    created = mesh.call(key, "tenants", "create", "after_crash", "--configs", configs)
    assert created.returncode == 0, created.stderr
    now = {one.name: one.identity for one in mesh.state.processes if one.name in others}
    changed = {name for name in others if now[name] != others[name]}
    assert changed <= {"orchestrator"}, "only who lost its journal's stream starts anew"


def test_a_second_mesh_in_the_folder_is_refused_and_the_first_goes_on(mesh: Mesh) -> None:
    said = mesh.up("--output", "json")
    error = json.loads(said.stderr)["error"]
    assert (said.returncode, said.stdout, error["reason"]) == (1, "", "ALREADY_UP")
    for part in (f"pid {mesh.state.supervisor.pid}", "local status", "local down", "--state"):
        assert part in error["message"]
    assert _serving(mesh)


def test_a_port_in_use_is_refused_with_who_has_it_and_leaves_nothing(
    mesh: Mesh, tmp_path: Path
) -> None:
    port = mesh.status()["addresses"]["edge"].rpartition(":")[2]
    other = Mesh(folder=tmp_path)
    said = other.up("--port", port)
    assert (said.returncode, said.stdout) == (1, "")
    assert f"port {port} is in use by" in said.stderr
    assert f"(pid {mesh.identity('edge').pid})" in said.stderr
    assert "--port" in said.stderr
    eventually(lambda: not other.state.supervisor.alive(), within=10)
    assert other.state.processes == ()


def test_what_is_up_is_not_deleted(mesh: Mesh) -> None:
    said = mesh.run("local", "reset", "--yes")
    assert (said.returncode, said.stdout) == (1, "")
    assert "(ALREADY_UP)" in said.stderr
    assert _serving(mesh)


def test_a_mesh_whose_supervisor_was_killed_ends_and_starts_again_with_what_it_kept(
    foreground: Foreground, mesh: Mesh, key: str
) -> None:
    before = mesh.identities()
    assert before[0].signal(signal.SIGKILL)
    eventually(lambda: not [one for one in before if one.alive()], within=20)
    _, err = foreground.process.communicate(timeout=20)
    assert foreground.process.returncode == 1
    assert "the supervisor was killed" in err
    assert mesh.run("local", "status").returncode == 1
    assert mesh.run("local", "down").stdout.startswith("nothing is up in ")
    again = Foreground.start(mesh)
    foreground.process, foreground.said = again.process, again.said
    assert not again.said["init"]["platform_key"]["created"], "the data outlived the supervisor"
    assert mesh.call(key, "tenants", "list").returncode == 0


def test_what_a_mesh_kept_is_deleted_once_it_is_down(own: Mesh) -> None:
    assert own.up(CONVERGENCE_ENGINE_PYTHON="/nowhere").returncode == 1
    folder = own.folder / "state"
    with locked(folder):
        pass
    said = own.run("local", "reset", "--yes", "--output", "json")
    assert (said.returncode, json.loads(said.stdout)) == (0, {"deleted": str(folder)})
    assert not folder.exists()
    down = own.run("local", "down", "--output", "json")
    assert (down.returncode, json.loads(down.stdout)) == (0, {"stopped": []})
    assert own.run("local", "reset", "--yes").stdout.startswith("nothing is kept in ")


def test_a_folder_that_holds_no_mesh_is_not_deleted(own: Mesh) -> None:
    file = own.folder / "state" / "precious"
    file.parent.mkdir()
    file.touch()
    said = own.run("local", "reset", "--yes")
    assert (said.returncode, said.stdout) == (1, "")
    assert "(NOT_A_MESH)" in said.stderr
    assert file.exists()


@pytest.mark.parametrize("entry", [COMMAND, DEAF], ids=["terminal", "background"])
def test_a_start_that_is_ended_leaves_nothing(own: Mesh, entry: tuple[str, ...]) -> None:
    starting = own.begin(entry=entry)
    eventually(lambda: own.known() and own.state.process("edge").phase == "running", within=30)
    begun = own.identities()
    starting.send_signal(signal.SIGTERM)
    _, err = starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert err.strip().startswith("interrupted")
    assert not [one for one in begun if one.alive()]


def test_a_bigquery_that_does_not_start_is_named_with_its_last_words_and_leaves_nothing(
    own: Mesh,
) -> None:
    engine = own.folder / "engine"
    engine.write_text("#!/bin/sh\necho no disk left >&2\nexit 7\n")
    engine.chmod(0o755)
    said = own.up(CONVERGENCE_ENGINE_PYTHON=str(engine))
    assert (said.returncode, said.stdout) == (1, "")
    assert "bigquery does not serve (exited with status 7" in said.stderr
    assert "no disk left" in said.stderr
    assert not [one for one in own.identities() if one.alive()]
