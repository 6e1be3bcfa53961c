"""The document of promises names tests that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROMISES = (
    "exactly-once", "all-or-nothing", "newest-wins", "old-data-stays", "nothing-silent",
    "acknowledged-is-durable", "one-writer", "isolation", "exact-money", "secrets-stay", "bounded",
    "fair", "filled", "fires-once", "clear-errors",
)  # fmt: skip
ROW = re.compile(r"^\| ([a-z-]+) \| (.+?) \| (.+) \|$", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")


def rows() -> dict[str, list[str]]:
    """Return the tests that hold each promise, as `path` or `path::name`."""
    text = (ROOT / "docs/invariants.md").read_text()
    return {
        promise: [quoted for quoted in QUOTED.findall(held) if quoted.startswith("tests/")]
        for promise, _, held in ROW.findall(text)
        if promise in PROMISES
    }


def test_every_promise_is_held_by_a_test() -> None:
    assert tuple(rows()) == PROMISES
    assert all(rows().values())


@pytest.mark.parametrize("named", sorted({test for tests in rows().values() for test in tests}))
def test_a_test_that_is_named_is_there(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).is_file(), path
    tree = ast.parse((ROOT / path).read_text())
    functions = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found = [function for function in functions if function.startswith("test_")]
    assert name in found if name else found
