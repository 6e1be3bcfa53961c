"""A Great Expectations suite, read strictly: what cannot be compiled is refused by name."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from libs.common.errors import InvalidRequest
from services.quality.expectations import (
    EXPECTATIONS,
    Column,
    Expectation,
    KwargRefused,
    suggestion,
)

SEVERITIES: Final = ("critical", "warning", "info")
SUITE_KEYS: Final = frozenset({"name", "id", "expectations", "meta", "notes"})
EXPECTATION_KEYS: Final = frozenset(
    {"type", "kwargs", "meta", "id", "severity", "notes", "description", "rendered_content"}
)
REFUSED_EVERYWHERE: Final = frozenset({"row_condition", "condition_parser"})


class SuiteInvalid(InvalidRequest):
    """A suite that cannot be compiled; one violation per expectation and kwarg."""

    reason = "SUITE_INVALID"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A compiled suite: its expectations in order, bound to a table's columns."""

    name: str
    expectations: tuple[Expectation, ...]
    columns: tuple[Column, ...]


def parse(document: str, columns: Sequence[Column]) -> Suite:
    """Return the suite of a document for a table's columns.

    Raises:
        SuiteInvalid: with every expectation that cannot be compiled.
    """
    violations: dict[str, str] = {}
    suite = _load(document)
    _keys("", suite, SUITE_KEYS, violations)
    listed = suite.get("expectations")
    if not isinstance(listed, list):
        found = type(listed).__name__
        raise SuiteInvalid({"expectations": f"found {found}; allowed is a list of expectations"})
    known = {column.name: column for column in columns}
    made: list[Expectation] = []
    for i, item in enumerate(listed):
        expectation = _expectation(f"expectations[{i}]", item, known, violations)
        if expectation is not None:
            made.append(expectation)
    if violations:
        raise SuiteInvalid(violations, expectation=next(iter(violations)))
    named = tuple(_unique_ids(made))
    return Suite(name=str(suite.get("name", "")), expectations=named, columns=tuple(columns))


def _load(document: str) -> dict[str, Any]:
    try:
        suite = json.loads(document, parse_float=Decimal, parse_constant=_no_constant)
    except ValueError as error:
        raise SuiteInvalid(
            {"suite": f"no JSON: {error}; write it as Great Expectations does"}
        ) from error
    if not isinstance(suite, dict):
        raise SuiteInvalid({"suite": "allowed is an object with `name` and `expectations`"})
    return suite


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _keys(
    place: str, found: Mapping[str, object], allowed: frozenset[str], violations: dict[str, str]
) -> None:
    for key in sorted(set(found) - allowed):
        field = f"{place}.{key}".lstrip(".")
        violations[field] = f"unknown key; allowed are {', '.join(sorted(allowed))}"


def _expectation(
    place: str, item: object, columns: Mapping[str, Column], violations: dict[str, str]
) -> Expectation | None:
    if not isinstance(item, dict):
        violations[place] = f"found {type(item).__name__}; allowed is an object"
        return None
    type_ = str(item.get("type", ""))
    kind = EXPECTATIONS.get(type_)
    if kind is None:
        hint = suggestion(type_, EXPECTATIONS)
        violations[f"{place}.type"] = f"{type_ or 'nothing'} is not compiled; {hint}"
        return None
    place = f"{place} {type_}"
    before = len(violations)
    _keys(place, item, EXPECTATION_KEYS, violations)
    severity = str(item.get("severity", "critical"))
    if severity not in SEVERITIES:
        violations[f"{place}.severity"] = f"found {severity}; allowed are {', '.join(SEVERITIES)}"
    kwargs = item.get("kwargs", {})
    if not isinstance(kwargs, dict):
        violations[f"{place}.kwargs"] = "allowed is an object"
        return None
    quarantines = _quarantines(place, item.get("meta"), kind.about_rows, violations)
    for key in sorted(set(kwargs) - set(kind.kwargs)):
        why = "is not compiled" if key in REFUSED_EVERYWHERE else "is no kwarg of it"
        violations[f"{place}.{key}"] = f"{key} {why}; allowed are {', '.join(sorted(kind.kwargs))}"
    if len(violations) > before:
        return None
    try:
        bound = kind.bind(kwargs, columns)
    except KwargRefused as refused:
        violations[f"{place}.{refused.kwarg}"] = str(refused)
        return None
    return Expectation(
        rule_id=str(item.get("id") or _hash(type_, kwargs)),
        type=type_,
        severity=severity,
        kwargs=json.dumps(kwargs, default=str, sort_keys=True),
        quarantines=quarantines,
        check=bound,
    )


def _quarantines(place: str, meta: object, about_rows: bool, violations: dict[str, str]) -> bool:
    wanted = meta.get("quarantine", False) if isinstance(meta, dict) else False
    if not isinstance(wanted, bool):
        violations[f"{place}.meta.quarantine"] = f"found {wanted!r}; allowed are true and false"
        return False
    if wanted and not about_rows:
        violations[f"{place}.meta.quarantine"] = "allowed only for expectations about single rows"
    return wanted


def _hash(type_: str, kwargs: Mapping[str, object]) -> str:
    text = json.dumps([type_, kwargs], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unique_ids(made: Sequence[Expectation]) -> list[Expectation]:
    seen: dict[str, int] = {}
    named = []
    for expectation in made:
        number = seen[expectation.rule_id] = seen.get(expectation.rule_id, 0) + 1
        rule_id = expectation.rule_id if number == 1 else f"{expectation.rule_id}-{number}"
        named.append(dataclasses.replace(expectation, rule_id=rule_id))
    return named
