"""A module of a service is under the contract of domain modules, or its name says what it talks to."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
(DOMAIN,) = (c["source_modules"] for c in CONTRACTS if c["name"].startswith("Domain modules"))
ADAPTER = re.compile(
    r"(bigquery|grpc|kubernetes|file|prometheus|secret_manager)_\w+|(\w+_)?(servicer|messages|metrics)"
    r"|app|__main__|access|requests"
)
"""Names that tell a technology, the wire, or that something is put together."""
APART = {
    "services.auth.admin_init": "puts the command together",
    "services.ingest.sources.guard": "HTTP",
    "services.ingest.sources.http_pages": "HTTP",
    "services.ingest.sources.openai": "HTTP",
    "services.ingest.sources.opening": "chooses the reader of a request's source",
    "services.ingest.stores.buckets": "object stores",
    "services.ingest.stores.credentials": "Google's accounts",
    "services.ingest.stores.object_store": "object stores",
    "services.ingest.stores.store_failures": "object stores",
    "services.ingest.stores.tunnel": "sockets",
    "services.orchestrator.active": "puts a leader together",
    "services.orchestrator.api.watches": "hands out cursors as page tokens",
}


def modules() -> list[str]:
    files = sorted((ROOT / "services").rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name for name in names if not name.endswith("__init__")]


def covered(module: str) -> bool:
    return any(module == known or module.startswith(f"{known}.") for known in DOMAIN)


@pytest.mark.parametrize("module", modules())
def test_a_module_is_pure_or_says_what_it_talks_to(module: str) -> None:
    last = module.rpartition(".")[2]
    assert covered(module) or ADAPTER.fullmatch(last) or module in APART


def test_what_stands_apart_is_there_and_not_under_the_contract_too() -> None:
    assert set(APART) <= set(modules())
    assert not [module for module in APART if covered(module)]


def test_the_contracts_name_modules_that_are_there() -> None:
    there = [module for module in DOMAIN if (ROOT / module.replace(".", "/")).is_dir()]
    there += [module for module in DOMAIN if (ROOT / f"{module.replace('.', '/')}.py").is_file()]
    assert sorted(there) == sorted(DOMAIN) == DOMAIN
