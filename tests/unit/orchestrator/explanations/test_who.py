"""Whoever the orchestrator names where nobody asked for something is explained as what it is."""

import ast
import importlib
from pathlib import Path

import pytest

import services.orchestrator
from services.orchestrator.explanations.outcomes import who

HOME = Path(services.orchestrator.__path__[0])
SOURCES = sorted(HOME.rglob("*.py"))


def named() -> set[str]:
    """What the source tree writes as `by` and `created_by`, as a text or by a constant's name."""
    found: set[object] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.keyword(arg="by" | "created_by", value=ast.Constant(value=text)):
                    found.add(text)
                case ast.keyword(arg="by" | "created_by", value=ast.Name(id=name)) if (
                    name.isupper()
                ):
                    found.add(getattr(importlib.import_module(_module(path)), name))
    return {text for text in found if isinstance(text, str)}


def _module(path: Path) -> str:
    inside = path.relative_to(HOME).with_suffix("")
    return ".".join((services.orchestrator.__name__, *inside.parts))


def test_all_that_act_by_themselves_are_found() -> None:
    assert named() == {"schedule", "backfill", "hold_for", "platform"}


@pytest.mark.parametrize("by", ["", *sorted(named())])
def test_what_acts_by_itself_is_no_key(by: str) -> None:
    assert not who(by).startswith("key ")


def test_a_caller_is_named_by_its_key() -> None:
    assert who("k1") == "key k1"
