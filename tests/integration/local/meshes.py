"""A real mesh in a folder of its own, started and asked as a user does."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from libs.local.mesh.identities import Identity
from libs.local.mesh.states import State

ENTRY = "import signal; signal.signal(signal.SIGINT, {}); from libs.client.cli import main; main()"
COMMAND = (sys.executable, "-c", ENTRY.format("signal.default_int_handler"))
DEAF = (sys.executable, "-c", ENTRY.format("signal.SIG_IGN"))
"""As a shell starts a job in the background: it does not hear Ctrl-C."""
PATIENCE_SECONDS = 120


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A mesh's folder, and the commands that a user gives about it."""

    folder: Path

    @property
    def state(self) -> State:
        found = State.read(self.folder / "state")
        assert found is not None
        return found

    def known(self) -> bool:
        """Whether a state is written."""
        return State.read(self.folder / "state") is not None

    def identity(self, process: str) -> Identity:
        found = self.state.process(process).identity
        assert found is not None
        return found

    def identities(self) -> list[Identity]:
        """Return every process that the state names, the supervisor among them."""
        processes = [one.identity for one in self.state.processes if one.identity]
        return [self.state.supervisor, *processes]

    def command(self, *arguments: str) -> list[str]:
        return [*COMMAND, *arguments, "--state", str(self.folder / "state")]

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `convergence … --state …` and return what it said."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def up(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        configs = str(self.folder / "configs")
        return self.run(
            "local", "up", "--port", "0", "--configs", configs, *arguments, **environment
        )

    def begin(self, *arguments: str, entry: tuple[str, ...] = COMMAND) -> "subprocess.Popen[str]":
        """Start `local up` and return at once."""
        configs = str(self.folder / "configs")
        command = self.command("local", "up", "--port", "0", "--configs", configs, *arguments)
        return subprocess.Popen(
            [*entry, *command[len(COMMAND) :]],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, key: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that calls the mesh's edge with `key`."""
        edge = self.state.addresses()["edge"]
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment(CONVERGENCE_ADDRESS=edge, CONVERGENCE_API_KEY=key),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """Return `local status --output json`."""
        found: dict[str, Any] = json.loads(self.run("local", "status", "--output", "json").stdout)
        return found

    def environment(self, **changes: str) -> dict[str, str]:
        nowhere = str(self.folder / "no-profiles.toml")
        return {**os.environ, "CONVERGENCE_PROFILES": nowhere, **changes}
