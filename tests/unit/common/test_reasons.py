"""Every reason that is sent is one of ErrorReason, as its comment says; and each of those is sent."""

import re
from collections.abc import Iterable

import pytest
from convergence.common.v1.error_reason_pb2 import ErrorReason

from libs.client.cli import failures as client_failures
from libs.common.errors import ServiceError
from libs.local.edge import forwarding
from services.ingest import failures as ingest_failures
from services.orchestrator.runs.reasons import REASONS, reason_of
from tests.unit.common.sources import documented, modules, sent, subclasses

NAMES = ErrorReason.keys()
ENUM = {name.removeprefix("ERROR_REASON_") for name in NAMES} - {"UNSPECIFIED"}
DOCUMENTED = documented()


def test_a_reason_that_is_sent_is_one_of_the_enum() -> None:
    unknown = {place.where: place.reason for place in sent() if place.reason not in {"", *ENUM}}
    assert unknown == {}


def test_a_reason_of_the_enum_is_sent_by_somebody() -> None:
    assert {place.reason for place in sent()} - {""} == ENUM


def test_a_class_of_errors_has_a_reason_of_the_enum_or_leaves_it_to_who_raises_it() -> None:
    assert modules()
    wrong = {kind.__qualname__: kind.reason for kind in subclasses(ServiceError)}
    assert {name: reason for name, reason in wrong.items() if reason not in {"", *ENUM}} == {}


def test_an_error_that_is_raised_with_a_code_has_a_reason() -> None:
    # A channel's errors were a status before, which gives them their reason.
    places = [place for place in sent() if not place.where.startswith("libs/common/channel.py")]
    assert [place.where for place in places if not place.reason and place.code] == []


@pytest.mark.parametrize("reason", sorted(ENUM))
def test_the_comment_of_a_reason_names_the_codes_that_it_is_sent_with(reason: str) -> None:
    said = DOCUMENTED[reason]
    codes = {place.code for place in sent() if place.reason == reason} - {""}
    if said.of_runs:
        assert not said.codes - codes - {"INTERNAL"}
    else:
        assert codes == said.codes


@pytest.mark.parametrize("reason", sorted(ENUM))
def test_the_metadata_of_a_reason_is_in_its_comment(reason: str) -> None:
    places = {p.where: p.keys for p in sent() if p.reason == reason}
    undocumented = {
        where: sorted(keys - DOCUMENTED[reason].metadata)
        for where, keys in places.items()
        if keys - DOCUMENTED[reason].metadata
    }
    assert undocumented == {}


def test_keys_of_metadata_are_lower_camel_case() -> None:
    keys = {key for place in sent() for key in place.keys}
    assert {key for key in keys if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", key)} == set()


@pytest.mark.parametrize(
    "table",
    [
        REASONS,
        ingest_failures.CONFIG,
        ingest_failures.SOURCE,
        ingest_failures.PASSING,
        ingest_failures.OWN_ADVICE,
        client_failures.ADVICE,
        forwarding.UNREACHABLE.values(),
    ],
    ids=["runs", "config", "source", "passing", "worker's advice", "client's", "edge's"],
)
def test_a_table_by_reason_has_reasons_of_the_enum(table: Iterable[str]) -> None:
    assert set(table) - ENUM == set()


@pytest.mark.parametrize("reason", [r for r in sorted(ENUM) if DOCUMENTED[r].of_runs])
def test_a_run_fails_with_the_kind_that_the_comment_names(reason: str) -> None:
    found = re.search(r"\(kind (\w+)\)", DOCUMENTED[reason].comment)
    assert found
    assert reason_of(reason).kind == found[1]
