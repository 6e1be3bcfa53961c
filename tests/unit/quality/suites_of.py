"""Suites over one wide table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.quality.checks import Column
from services.quality.suites import Suite, SuiteInvalid, parse

TYPES = {
    "n": "INT64",
    "m": "INT64",
    "money": "NUMERIC",
    "cost": "BIGNUMERIC",
    "ratio": "FLOAT64",
    "word": "STRING",
    "day": "DATE",
    "at": "DATETIME",
    "moment": "TIMESTAMP",
    "time": "TIME",
    "flag": "BOOL",
    "blob": "BYTES",
    "tags": "JSON",
}
COLUMNS = (
    *(Column(name=name, type=type_) for name, type_ in TYPES.items()),
    Column(name="labels", type="STRING", repeated=True),
)


def expect(type_: str, **kwargs: Any) -> dict[str, Any]:
    """Return `expect_{type_}` with kwargs."""
    return {"type": f"expect_{type_}", "kwargs": kwargs}


def suite_of(*expectations: Any, **keys: Any) -> Suite:
    """Return a compiled suite of these expectations."""
    return parse(json.dumps({"name": "s", "expectations": [*expectations], **keys}), COLUMNS)


def violations_of(document: str) -> dict[str, str]:
    """Return what is refused of a document; fails unless something is."""
    with pytest.raises(SuiteInvalid) as caught:
        parse(document, COLUMNS)
    assert caught.value.reason == "SUITE_INVALID"
    assert caught.value.metadata == {"expectation": next(iter(caught.value.violations))}
    return caught.value.violations


def refused(*expectations: Any, **keys: Any) -> dict[str, str]:
    """Return what is refused of a suite of these expectations."""
    return violations_of(json.dumps({"name": "s", "expectations": [*expectations], **keys}))
