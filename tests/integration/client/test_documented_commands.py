"""docs/cli.md: every command, every example, every reason and every line of Python in it holds."""

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from convergence.common.v1.error_reason_pb2 import ErrorReason

from libs.client import cli
from libs.client.cli.root import convergence
from tests.integration.client.commands import KEY
from tests.support.fake_edge import FakeRuns, serving

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "cli.md").read_text()
ROWS = re.findall(r"(?m)^\| `([a-z]+ [a-z]+)` \|.*\| `(convergence .*)` \|$", TEXT)
PYTHON = re.findall(r"(?ms)^```python\n(.*?)^```", TEXT)
REASONS = re.findall(r"(?m)^\| `([A-Z_]+)` \| \d \|", TEXT)


def _commands(group: click.Group, *before: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *before, name)
        else:
            yield " ".join([*before, name]), command


COMMANDS = dict(_commands(convergence))
EXAMPLES = [
    line.strip()
    for command in COMMANDS.values()
    for line in (command.help or "").splitlines()
    if line.strip().startswith("convergence ")
]


def _parsed(example: str) -> None:
    """Read an example's arguments as the command line does, and run nothing."""
    words = shlex.split(example)[1:]
    command = COMMANDS[" ".join(words[:2])]
    command.make_context(words[1], words[2:])


def test_every_command_stands_in_the_table_once() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(COMMANDS)


@pytest.mark.parametrize("example", [example for _, example in ROWS] + sorted(set(EXAMPLES)))
def test_every_example_is_one_that_its_command_takes(example: str) -> None:
    _parsed(example)


@pytest.mark.parametrize(("name", "example"), ROWS)
def test_an_example_is_of_the_command_beside_it(name: str, example: str) -> None:
    assert example.startswith(f"convergence {name}")


def test_every_command_has_an_example_in_its_help() -> None:
    assert [
        name for name in COMMANDS if f"convergence {name}" not in (COMMANDS[name].help or "")
    ] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_answers_in_json_too(name: str) -> None:
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert "--output" in options


@pytest.mark.parametrize(
    "group",
    ["", "local", "admin", "tenants", "keys", "pipelines", "runs", "backfills", "schedules"],
)
def test_no_line_of_a_list_of_commands_is_cut(group: str) -> None:
    found = convergence.commands[group] if group else convergence
    text = found.get_help(click.Context(found, info_name="convergence", terminal_width=80))
    assert [line for line in text.splitlines()[1:] if line.endswith("...")] == []


def test_reasons_of_the_command_line_are_told_apart_from_those_of_services() -> None:
    source = "".join(path.read_text() for path in Path(cli.__file__).parent.glob("*.py"))
    own = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|UNREACHABLE)"', source))
    services = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert set(REASONS) & services == set()
    environment = {name for name in own if name.startswith("CONVERGENCE_")}
    assert own - services - environment - {"GRPC_VERBOSITY"} == set(REASONS)


@pytest.mark.parametrize("code", PYTHON, ids=["blocking", "asyncio"])
async def test_the_python_that_is_shown_runs(code: str) -> None:
    def run(address: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", code],
            env={"CONVERGENCE_ADDRESS": address, "CONVERGENCE_API_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async with serving(runs=FakeRuns()) as address:
        done = await asyncio.to_thread(run, address)
    assert done.returncode == 0, done.stderr
    assert done.stdout
