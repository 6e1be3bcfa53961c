"""What is believed of BigQuery is checked, and each check is of a belief that is written down."""

import ast
import re
from pathlib import Path

from tests.cloud.lifetimes import LIVES

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs/assumptions.md").read_text().partition("## Object stores")[0]
ROW = re.compile(r"^\| (?!Belief|---)(.+?) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
LABEL = re.compile(r"\[(\w+)\]\(https://")
CHECK = re.compile(r"`(test_\w+)`")


def checks() -> list[str]:
    """Return the names of the checks."""
    return [
        node.name
        for file in sorted((ROOT / "tests/cloud").glob("test_*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_each_check_settles_a_belief_and_a_belief_without_one_says_why() -> None:
    rows = ROW.findall(DOCUMENT)
    assert len(rows) > 50
    named = [name for row in rows for name in CHECK.findall(row[3])]
    assert sorted(named) == sorted(checks())
    others = [row[3] for row in rows if not CHECK.search(row[3])]
    lifetimes = [text for text in others if text.startswith("lifetimes: ")]
    assert [
        text for text in others if text not in lifetimes and not text.startswith("not checked: ")
    ] == []
    assert {text.partition("`")[2].rstrip("`") for text in lifetimes} == set(LIVES)


def test_each_belief_names_sources_that_the_document_explains() -> None:
    known = {*LABEL.findall(DOCUMENT), "client", "known"}
    told = {source for row in ROW.findall(DOCUMENT) for source in row[2].split(", ")}
    assert told <= known
