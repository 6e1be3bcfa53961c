"""Processes that the demonstration starts beside the mesh: the local OpenAI, admin init."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from libs.local.mesh.admin import environment
from libs.local.mesh.plans import import_path
from libs.local.mesh.states import State

STOP_SECONDS: Final = 5.0


class NeighbourFailed(Exception):
    """A process did not start or do its work; the text ends with what it said."""


@contextlib.contextmanager
def openai(log: Path) -> Iterator[str]:
    """Run the local OpenAI server while the block runs; yield its base address."""
    command = [sys.executable, "-P", "-m", "libs.local.openai", "--port", "0"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment()
        ) as process,
    ):
        try:
            assert process.stdout is not None, "it is piped"
            line = process.stdout.readline()
            if not line:
                raise NeighbourFailed(f"the local OpenAI did not start:\n{log.read_text()}")
            yield str(json.loads(line)["base_url"])
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def initialise(state: State) -> str:
    """Create the metadata of a new mesh and return its platform key."""
    command = [sys.executable, "-P", "-m", "services.auth.admin_init", "--output", "json"]
    settings = {**_environment(), **environment(state)}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NeighbourFailed(f"admin init failed:\n{done.stderr.strip() or done.stdout.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return str(answer["platform_key"]["secret"])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": import_path()}
