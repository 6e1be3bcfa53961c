"""What a mesh remembers: ports, processes, its folder."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from libs.local.mesh.identities import Identity, identity
from libs.local.mesh.plans import ROOT, STOP_ORDER, WORKERS, Mesh, plans
from libs.local.mesh.ports import PortInUse, Reservations
from libs.local.mesh.reloading import concerned
from libs.local.mesh.states import AlreadyUp, Process, State, locked


def _mesh(folder: Path, port: int = 0) -> Mesh:
    return Mesh(folder=folder, configs=folder / "configs", edge_port=port)


def test_a_reserved_port_is_given_to_nobody_else_but_may_be_listened_at() -> None:
    ports = Reservations()
    host, _, port = ports.take().rpartition(":")
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((host, int(port)))
    with socket.create_server((host, int(port))) as server:
        assert server.getsockname()[1] == int(port)
    ports.close()


def test_a_port_in_use_is_refused_with_who_holds_it_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse) as refused:
            Reservations().take(port)
    text = str(refused.value)
    assert f"port {port} is in use" in text
    assert "--port" in text
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in text


def test_a_pid_that_was_given_to_another_process_is_never_signalled() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        other = Identity(pid=process.pid, started="a time before")
        assert not other.alive()
        assert not other.signal(signal.SIGKILL)
        assert process.poll() is None
        own = identity(process.pid)
        assert own is not None
        assert own.signal(signal.SIGKILL)
        process.wait()
        assert not own.alive()
    assert identity(process.pid) is None


def test_a_folder_has_one_mesh_at_a_time(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "state"),
        pytest.raises(AlreadyUp, match=r"already up.*local down"),
        locked(tmp_path / "state"),
    ):
        pass
    with locked(tmp_path / "state"):
        pass


def test_a_state_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    own = identity(os.getpid())
    assert own is not None
    processes = (
        Process(name="auth", addresses={"grpc": "a:1", "admin": "a:2"}, log="x", identity=own),
        Process(name="bigquery", addresses={"rest": "b:1", "grpc": "b:2"}, log="y", restarts=2),
        Process(name="edge", addresses={"grpc": "c:1"}, log="z"),
    )
    state = State(folder=str(tmp_path), configs="c", supervisor=own, processes=processes)
    state.write()
    assert State.read(tmp_path) == state
    assert state.alive()
    assert state.addresses() == {
        "auth": "a:1",
        "auth_admin": "a:2",
        "bigquery_rest": "b:1",
        "bigquery_grpc": "b:2",
        "edge": "c:1",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": 1}'])
def test_a_state_that_is_not_readable_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert State.read(tmp_path) is None


def test_the_processes_know_one_another(tmp_path: Path) -> None:
    numbers = iter(range(1, 100))
    mesh = _mesh(tmp_path, port=50051)
    planned = {one.name: one for one in plans(mesh, lambda port: f"h:{port or next(numbers)}")}
    auth = planned["auth"].addresses["grpc"]
    assert planned["edge"].addresses["grpc"] == "h:50051"
    for name in ("quality", *WORKERS, "orchestrator"):
        service = name.partition("-")[0].upper()
        assert planned[name].settings[f"CONVERGENCE_{service}_AUTH"] == auth
    workers = planned["orchestrator"].settings["CONVERGENCE_ORCHESTRATOR_WORKERS"]
    assert workers.split(",") == [planned[name].addresses["grpc"] for name in WORKERS]
    addresses = [at for one in planned.values() for at in one.addresses.values()]
    assert len(set(addresses)) == len(addresses)


def test_every_process_is_stopped_once_and_after_those_that_call_it(tmp_path: Path) -> None:
    order = [name for names in STOP_ORDER for name in names]
    planned = [one.name for one in plans(_mesh(tmp_path), lambda _: "h:1")]
    assert sorted(order) == sorted(planned)
    assert order.index("edge") < order.index("orchestrator") < order.index("auth")
    assert order[-1] == "bigquery"


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("services/quality/rules.py", {"quality"}),
        ("services/ingest/casting.py", set(WORKERS)),
        ("libs/local/engine/fixes.py", {"bigquery"}),
        ("libs/local/edge/server.py", {"edge"}),
        ("libs/common/rpc.py", {"auth", "quality", *WORKERS, "orchestrator", "edge"}),
        ("libs/client/runs.py", set()),
    ],
)
def test_a_change_of_code_restarts_those_that_run_it(
    tmp_path: Path, file: str, names: set[str]
) -> None:
    planned = plans(_mesh(tmp_path), lambda _: "h:1")
    assert set(concerned(planned, [ROOT / file])) == names
