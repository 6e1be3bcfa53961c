"""The supervisor and processes that do as they are told."""

import json
import signal
from pathlib import Path

import pytest

from libs.local.mesh.states import Process, State
from tests.integration.local.supervising import SLEEP, plan, running, until

STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def _up(process: Process) -> bool:
    return process.phase == "running" and Path(process.log).read_text().endswith("up\n")


async def test_a_process_that_is_killed_is_started_again_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, plan("auth", SLEEP)):
        state = await until(tmp_path, lambda state: _up(state.process("auth")))
        first = state.process("auth").identity
        assert first is not None
        first.signal(signal.SIGKILL)
        again = await until(tmp_path, lambda state: state.process("auth").restarts == 1)
        assert "killed by SIGKILL" in again.process("auth").last_exit
        state = await until(tmp_path, lambda state: state.process("auth").phase == "running")
        assert state.process("auth").identity != first
    events = [
        json.loads(line) for line in (tmp_path / "logs" / "mesh.log").read_text().splitlines()
    ]
    assert [event["message"] for event in events] == [
        "process.started",
        "process.died",
        "process.started",
        "mesh.stopped",
    ]
    assert events[1]["how"] == "killed by SIGKILL"


async def test_pauses_grow_while_a_process_keeps_dying(tmp_path: Path) -> None:
    async with running(tmp_path, plan("auth", "raise SystemExit(3)")):
        state = await until(tmp_path, lambda state: state.process("auth").restarts >= 3)
        assert "exited with status 3" in state.process("auth").last_exit
    events = [
        json.loads(line) for line in (tmp_path / "logs" / "mesh.log").read_text().splitlines()
    ]
    pauses = [event["again_in"] for event in events if event["message"] == "process.died"]
    assert pauses[:3] == [0.2, 0.5, 1.0]


async def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    planned = [plan(name, SLEEP) for name in ("edge", "auth", "bigquery")]
    async with running(tmp_path, *planned):
        state = await until(tmp_path, lambda state: all(map(_up, state.processes)))
    assert not [one for one in state.processes if one.identity and one.identity.alive()]
    stopped = State.read(tmp_path)
    assert stopped is not None
    assert {one.phase for one in stopped.processes} == {"stopped"}


async def test_a_process_that_ignores_the_request_to_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.local.mesh.children.STOP_SECONDS", 0.2)
    async with running(tmp_path, plan("auth", STUBBORN)):
        state = await until(tmp_path, lambda state: _up(state.process("auth")))
    identity = state.process("auth").identity
    assert identity is not None
    assert not identity.alive()
    assert "process.killed" in (tmp_path / "logs" / "mesh.log").read_text()


async def test_a_reload_starts_the_process_anew_without_counting_as_a_death(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, plan("auth", SLEEP)) as supervisor:
        state = await until(tmp_path, lambda state: _up(state.process("auth")))
        before = state.process("auth").identity
        await supervisor.reload(["auth"], "services/auth/keys.py")
        state = await until(
            tmp_path,
            lambda state: state.process("auth").identity not in {None, before},
        )
        assert state.process("auth").restarts == 0


async def test_settings_reach_the_process(tmp_path: Path) -> None:
    code = f"import os; print(os.environ['CONVERGENCE_AUTH_X'], flush=True); {SLEEP}"
    async with running(tmp_path, plan("auth", code, CONVERGENCE_AUTH_X="told")):
        state = await until(tmp_path, lambda state: _up(state.process("auth")))
    assert Path(state.process("auth").log).read_text() == "told\nup\n"
