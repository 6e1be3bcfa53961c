"""Robbing a leader of its lease: it is stopped, a successor leads, and the old one wakes up beside it."""

import asyncio
import contextlib
import dataclasses
import json
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from libs.client import AsyncClient
from libs.common import errors
from libs.local.mesh.states import Process, State
from tests.faults import cluster_lease, mesh
from tests.faults.histories import History

CHOSEN: Final = "chosen"
"""A moment: an orchestrator holds the lease, and may not have read the journal yet."""

LEADING: Final = "leading"
"""A moment: it has said where its own journal is, and serves."""

MOMENTS: Final = (CHOSEN, LEADING)
SUCCESSOR_SECONDS: Final = 40.0
"""How long a successor is waited for before the old leader wakes up all the same."""

ASKED_SECONDS: Final = 10.0
"""How long the former leader is asked for a run."""


def lease_of(spec: mesh.Spec) -> Path:
    return Path(spec.folder) / "orchestrator" / "orchestrator.lease"


def holder(file: Path) -> int | None:
    """Return the process that holds a lock on `file`, None if none does."""
    with contextlib.suppress(OSError):
        inode = file.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and int(fields[5].rpartition(":")[2]) == inode:
                return int(fields[4])
    return None


def leading(spec: mesh.Spec, state: State) -> Process | None:
    """Return the orchestrator that holds the lease, or its lock; None if none does."""
    named = spec.kubeconfig
    pid = cluster_lease.holder(named) if named else holder(lease_of(spec))
    for process in state.processes:
        if pid is not None and process.identity and process.identity.pid == pid:
            return process
    return None


def announced(spec: mesh.Spec) -> bool:
    """Return whether whoever holds the lease has said where its own journal is."""
    with contextlib.suppress(OSError, ValueError):
        said = json.loads(lease_of(spec).read_text())
        return bool(said["epoch"] == said["stream_epoch"])
    return False


def hand_on(spec: mesh.Spec) -> None:
    """Replace the lease by a copy, which nobody has locked: what an operator does to a leader that hangs."""
    lease = lease_of(spec)
    copy = lease.with_suffix(".copy")
    shutil.copy(lease, copy)
    copy.replace(lease)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Runs that a former leader is asked for, past the edge: of a pipeline that nobody else starts."""

    pipeline: str
    key: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Robber:
    """Hands leases on, and wakes up who was robbed."""

    history: History
    spec: mesh.Spec
    state: Callable[[], State]
    claims: Claims

    def pair(self, moment: str) -> tuple[Process, Process] | None:
        """Return the leader and the other orchestrator; None while one is missing or it is too early."""
        leader = self._leader(moment)
        if leader is None:
            return None
        (other,) = set(mesh.ORCHESTRATORS) - {leader.name}
        second = self.state().process(other)
        return (leader, second) if second.identity is not None else None

    def _leader(self, moment: str) -> Process | None:
        early = moment == LEADING and not announced(self.spec)
        return None if early else leading(self.spec, self.state())

    def rob(self, leader: Process, second: Process) -> None:
        """Stop a leader and hand its lease on.

        The other orchestrator has the old file open, so it is killed and looks anew.
        """
        assert leader.identity is not None
        assert second.identity is not None
        leader.identity.signal(signal.SIGSTOP)
        self.history.write("robbed", process=leader.name, announced=announced(self.spec))
        hand_on(self.spec)
        second.identity.signal(signal.SIGKILL)

    async def wake(self, former: Process, moment: str, seconds: float) -> None:
        """Wake a former leader up, `seconds` after its successor is where `moment` says, and ask it for a run."""
        assert former.identity is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUCCESSOR_SECONDS):
                while (now := self._leader(moment)) is None or now.name == former.name:
                    await asyncio.sleep(0.1)
        await asyncio.sleep(seconds)
        former.identity.signal(signal.SIGCONT)
        self.history.write("woken", process=former.name)
        await self._claim(former)

    async def _claim(self, former: Process) -> None:
        """Ask a former leader for a run until it answers, refuses or has ended."""
        assert former.identity is not None
        facts = {"process": former.name, "pipeline": self.claims.pipeline}
        how = "no answer"
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(ASKED_SECONDS),
                AsyncClient(former.addresses["grpc"], self.claims.key) as client,
            ):
                while former.identity.alive():
                    try:
                        run = await client.runs.start(
                            self.claims.pipeline, request_id=str(uuid.uuid4())
                        )
                    except errors.Unavailable as error:
                        how = error.reason
                        await asyncio.sleep(0.1)
                    except errors.ServiceError as error:
                        how = error.reason
                        break
                    else:
                        self.history.write("claimed", run=run.name, **facts)
                        return
        self.history.write("unclaimed", how=how, **facts)
