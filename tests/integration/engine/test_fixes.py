"""Each fix of the engine is there, and is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.engine.claims import CLAIMS, Claim
from tests.integration.engine.warehouse import opened
from tests.support.engine import (
    ROOT,
    EngineNotStarted,
    start_engine,
    stored_engine,
)
from tests.support.engine_template import Template

DOCUMENT = ROOT / "docs" / "embedded-bigquery.md"

claims = pytest.mark.parametrize(
    "claim", [pytest.param(claim, id=claim.check.__name__) for claim in CLAIMS]
)


@claims
def test_with_its_fix_a_claim_holds(
    request: pytest.FixtureRequest, template: Template, tmp_path: Path, claim: Claim
) -> None:
    if claim.stored:
        with (
            stored_engine(pauses=tmp_path, template=template) as engine,
            opened(engine) as warehouse,
        ):
            claim.check(warehouse)
    else:
        claim.check(request.getfixturevalue("warehouse"))


@claims
def test_without_its_fix_a_claim_breaks(template: Template, tmp_path: Path, claim: Claim) -> None:
    start = stored_engine if claim.stored else start_engine
    with (
        pytest.raises(claim.breaks_with),
        start(without=[claim.fix], pauses=tmp_path, template=template) as engine,
        opened(engine) as warehouse,
    ):
        claim.check(warehouse)


def test_every_fix_has_a_claim(template: Template) -> None:
    with pytest.raises(EngineNotStarted) as refused:
        start_engine(without=["no_such_fix"], template=template)
    _, _, known = str(refused.value).partition("known: ")
    assert set(known.split(", ")) == {claim.fix for claim in CLAIMS}


def test_the_document_gives_the_reason_of_every_fix() -> None:
    rows = re.findall(r"^\| `(\w+)` \| \S", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted({claim.fix for claim in CLAIMS})
