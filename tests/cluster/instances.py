"""Containers of the mesh while they live: their processes, what they logged, and when they ended.

Looked at from the node itself: a pod that was deleted takes its log and its status along.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import re
import signal
import time
from typing import Final, TextIO

from tests.cluster import release

LOGS: Final = pathlib.Path("/var/log/containers")
NAMED: Final = re.compile(
    r"(?P<pod>.+)_(?P<namespace>.+)_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log"
)
LOOK_SECONDS: Final = 0.1
ENTRY: Final = re.compile(r"(\S+) (stdout|stderr) [FP] (.*)")
"""A line of a container's log as containerd writes it."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Instance:
    """One container from its start to its end."""

    pod: str
    component: str
    container: str
    log: TextIO
    pids: set[int] = dataclasses.field(default_factory=set)
    ended: float | None = None
    """When its last process was gone, by the wall clock."""

    @property
    def name(self) -> str:
        return f"{self.pod}/{self.container[:8]}"

    def lines(self) -> list[str]:
        """Return all that it has logged."""
        self.log.seek(0)
        found = (ENTRY.fullmatch(line.rstrip("\n")) for line in self.log)
        return [match[3] for match in found if match]


class Instances:
    """All containers of the four services that were there since `follow` began."""

    def __init__(self, namespace: str = release.NAMESPACE) -> None:
        self._namespace = namespace
        self.all: dict[str, Instance] = {}

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Notice containers that are new, and those that have ended."""
        for link in LOGS.glob(f"{release.NAME}-*_{self._namespace}_*.log"):
            named = NAMED.fullmatch(link.name)
            if named and named["id"] not in self.all and named["container"] in release.SERVICES:
                with contextlib.suppress(FileNotFoundError):
                    self.all[named["id"]] = Instance(
                        pod=named["pod"],
                        component=named["container"],
                        container=named["id"],
                        log=link.resolve(strict=True).open(),
                    )
        fresh = {id_: one for id_, one in self.all.items() if not one.pids and one.ended is None}
        if fresh:
            self._find(fresh)
        for one in self.all.values():
            if one.pids and one.ended is None:
                one.pids = {pid for pid in one.pids if pathlib.Path(f"/proc/{pid}").exists()}
                one.ended = None if one.pids else time.time()

    def close(self) -> None:
        """Let go of the logs."""
        for one in self.all.values():
            one.log.close()

    def kill(self, pod: str) -> None:
        """Send SIGKILL to every process of a pod's container."""
        self.look()
        for pid in (pid for one in self.all.values() if one.pod == pod for pid in one.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _find(self, wanted: dict[str, Instance]) -> None:
        for groups in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
            with contextlib.suppress(OSError):
                text = groups.read_text()
                for id_, one in wanted.items():
                    if id_ in text:
                        one.pids.add(int(groups.parent.name))


def moment(wall: float) -> str:
    return dt.datetime.fromtimestamp(wall, dt.UTC).isoformat()
