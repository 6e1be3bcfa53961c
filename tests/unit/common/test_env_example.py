""".env.example has every setting, with its default and a word about it, and nothing else."""

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest

from libs.client.addresses import DEFAULT
from libs.client.cli.profiles import FILE, Profile, resolve
from libs.common.settings import ServiceSettings
from libs.local.mesh.plans import ENGINE_PYTHON
from services.auth.app import Settings as AuthSettings
from services.ingest.app import Settings as IngestSettings
from services.orchestrator.app import Settings as OrchestratorSettings
from services.quality.app import Settings as QualitySettings

ROOT = Path(__file__).resolve().parents[3]
LINES = (ROOT / ".env.example").read_text().splitlines()
SERVICES: tuple[type[ServiceSettings], ...] = (
    AuthSettings,
    OrchestratorSettings,
    IngestSettings,
    QualitySettings,
)
COMMON = ServiceSettings.model_fields
EXAMPLE = dict(line.split("=", 1) for line in LINES if line and not line.startswith("#"))


def names_of(kind: type[ServiceSettings]) -> list[str]:
    return [f"{kind.prefix()}{field}".upper() for field in kind.model_fields]


def names_of_clients() -> set[str]:
    """Return the variables that the client and the local mesh read."""
    found: set[str] = set()
    for folder in ("libs/client", "libs/local"):
        for file in (ROOT / folder).rglob("*.py"):
            found |= set(
                re.findall(r"""environ\w*(?:\.get\(|\[)["'](CONVERGENCE_\w+)""", file.read_text())
            )
    return found


def test_each_setting_stands_there_once_in_the_order_of_its_service() -> None:
    expected = [name for kind in SERVICES for name in names_of(kind)]
    found = [line.partition("=")[0] for line in LINES if line and not line.startswith("#")]
    prefixes = tuple(kind.prefix() for kind in SERVICES)
    assert [name for name in found if name.startswith(prefixes)] == expected
    assert len(found) == len(set(found))


def test_each_variable_of_the_client_stands_there() -> None:
    prefixes = tuple(kind.prefix() for kind in SERVICES)
    assert {name for name in EXAMPLE if not name.startswith(prefixes)} == names_of_clients()


@pytest.mark.parametrize("kind", SERVICES, ids=lambda kind: kind.prefix())
def test_the_values_are_the_defaults(
    kind: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("CONVERGENCE_")]:
        monkeypatch.delenv(name)
    default = kind()
    for name, value in EXAMPLE.items():
        monkeypatch.setenv(name, value)
    assert kind.read() == default


def test_the_values_of_the_client_are_the_defaults() -> None:
    assert EXAMPLE["CONVERGENCE_ADDRESS"] == DEFAULT
    assert EXAMPLE["CONVERGENCE_PROFILES"] == FILE
    assert ROOT / EXAMPLE["CONVERGENCE_ENGINE_PYTHON"] == ENGINE_PYTHON
    without_file = {**EXAMPLE, "CONVERGENCE_PROFILES": "/nowhere"}
    assert resolve(without_file) == resolve({"CONVERGENCE_PROFILES": "/nowhere"}) == Profile()


def test_each_setting_has_a_line_that_explains_it() -> None:
    shared = {
        f"{kind.prefix()}{field}".upper()
        for kind in SERVICES
        for field in COMMON
        if kind is not AuthSettings
    }
    bare = {
        line.partition("=")[0]
        for before, line in itertools.pairwise(LINES)
        if line and not line.startswith("#") and not before.startswith("# ")
    }
    assert bare - shared == set()


def test_a_shell_can_read_it() -> None:
    script = "set -aeu; . ./.env.example; env -0"
    env = {"PATH": os.environ["PATH"], "HOME": "/home/somebody"}
    found = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, env=env, capture_output=True, check=True, text=True
    ).stdout
    read = dict(pair.split("=", 1) for pair in found.split("\0") if pair.startswith("CONVERGENCE_"))
    home = {"CONVERGENCE_PROFILES": FILE.replace("~", "/home/somebody")}
    assert read == {**EXAMPLE, **home}
