"""A Great Expectations suite, read strictly: what cannot be compiled is refused by name."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from libs.common.errors import InvalidRequest
from services.quality.checks import Check, Column
from services.quality.expectations import EXPECTATIONS, Expectation, Kind
from services.quality.kwargs import KwargRefused, shown, suggestion

SEVERITIES: Final = ("critical", "warning", "info")
SUITE_KEYS: Final = frozenset({"name", "id", "expectations", "meta", "notes"})
EXPECTATION_KEYS: Final = frozenset(
    {"type", "kwargs", "meta", "id", "severity", "notes", "description", "rendered_content"}
)
NOT_COMPILED: Final = frozenset(
    {"row_condition", "condition_parser", "result_format", "catch_exceptions", "batch_id"}
)
"""Kwargs that Great Expectations knows and that would change what an expectation means."""

_JSON_TYPES: Final = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


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
        SuiteInvalid: with everything that cannot be compiled, by its path in the document.
    """
    suite = _load(document)
    listed = suite.get("expectations")
    if not isinstance(listed, list):
        text = f"found {_json_type(listed)}; allowed is a list of expectations"
        raise SuiteInvalid({"expectations": text}, expectation="expectations")
    reading = _Reading({column.name: column for column in columns})
    reading.keys("", suite, SUITE_KEYS)
    name = suite.get("name", "")
    if not isinstance(name, str):
        reading.violations["name"] = f"found {_json_type(name)}; allowed is a text"
    made = [reading.expectation(f"expectations[{i}]", item) for i, item in enumerate(listed)]
    if reading.violations:
        raise SuiteInvalid(reading.violations, expectation=next(iter(reading.violations)))
    whole = tuple(expectation for expectation in made if expectation is not None)
    return Suite(name=name, expectations=whole, columns=tuple(columns))


def _load(document: str) -> dict[str, Any]:
    try:
        suite = json.loads(
            document,
            parse_float=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_each_key_once,
        )
        json.dumps(suite, default=str, ensure_ascii=False).encode()
    except (ValueError, ArithmeticError, RecursionError) as error:
        why = str(error) or type(error).__name__
        text = f"found no JSON that can be read: {why}; allowed is what Great Expectations writes"
        raise SuiteInvalid({"suite": text}, expectation="suite") from error
    if not isinstance(suite, dict):
        text = f"found {_json_type(suite)}; allowed is an object with `name` and `expectations`"
        raise SuiteInvalid({"suite": text}, expectation="suite")
    return suite


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice!r} stands twice in an object")
    return found


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "a number")


class _Reading:
    """Reads expectations one after another and collects what is wrong with them."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.violations: dict[str, str] = {}
        self._columns = columns
        self._places: dict[str, str] = {}

    def keys(self, place: str, found: Mapping[str, object], allowed: frozenset[str]) -> None:
        for key in sorted(set(found) - allowed):
            text = f"found the key {key!r}, which is not known; allowed are {_listed(allowed)}"
            self.violations[f"{place}.{key}".lstrip(".")] = text

    def expectation(self, place: str, item: object) -> Expectation | None:
        """Return the expectation; None, with a violation at least, if it cannot be compiled."""
        before = len(self.violations)
        if not isinstance(item, dict):
            self.violations[place] = f"found {_json_type(item)}; allowed is an object"
            return None
        kind = self._kind(place, item.get("type"))
        self.keys(place, item, EXPECTATION_KEYS)
        severity = self._severity(place, item.get("severity", "critical"))
        kwargs = item.get("kwargs", {})
        if not isinstance(kwargs, dict):
            found = _json_type(kwargs)
            self.violations[f"{place}.kwargs"] = f"found {found}; allowed is an object"
        if kind is None or not isinstance(kwargs, dict):
            return None
        quarantines = self._quarantines(place, item.get("meta"), kind)
        rule_id = self._rule_id(place, item, kwargs)
        check = self._check(place, item["type"], kind, kwargs)
        if check is None or len(self.violations) > before:
            return None
        return Expectation(
            rule_id=rule_id,
            type=item["type"],
            severity=severity,
            kwargs=_json(kwargs),
            quarantines=quarantines,
            check=check,
        )

    def _kind(self, place: str, type_: object) -> Kind | None:
        kind = EXPECTATIONS.get(type_) if isinstance(type_, str) else None
        if kind is None:
            hint = suggestion(str(type_ or ""), EXPECTATIONS)
            text = f"found {shown(type_)}, which is not compiled; {hint}"
            self.violations[f"{place}.type"] = text
        return kind

    def _severity(self, place: str, severity: object) -> str:
        if severity in SEVERITIES:
            return str(severity)
        text = f"found {shown(severity)}; allowed are {', '.join(SEVERITIES)}"
        self.violations[f"{place}.severity"] = text
        return ""

    def _quarantines(self, place: str, meta: object, kind: Kind) -> bool:
        field = f"{place}.meta.quarantine"
        if meta is not None and not isinstance(meta, dict):
            self.violations[f"{place}.meta"] = f"found {_json_type(meta)}; allowed is an object"
            return False
        wanted: object = (meta or {}).get("quarantine", False)
        if not isinstance(wanted, bool):
            self.violations[field] = f"found {shown(wanted)}; allowed are true and false"
            return False
        if wanted and not kind.about_rows:
            self.violations[field] = (
                "found true; allowed is false: this expectation is not about single rows"
            )
        return wanted

    def _rule_id(self, place: str, item: Mapping[str, Any], kwargs: Mapping[str, Any]) -> str:
        """Return the expectation's id: its own, or a hash of what it says. Neither stands twice."""
        given = item.get("id")
        if given is not None and (not isinstance(given, str) or not given):
            self.violations[f"{place}.id"] = f"found {shown(given)}; allowed is a text"
            return ""
        hashed = _hash(item["type"], kwargs)
        rule_id = given or hashed
        same = self._places.setdefault(f"said {hashed}", place)
        first = self._places.setdefault(f"id {rule_id}", place)
        if same != place:
            text = f"found the same type and kwargs as {same}; allowed is every expectation once"
            self.violations[place] = text
        elif first != place:
            text = f"found {rule_id}, the id of {first}; allowed is an id of its own"
            self.violations[f"{place}.id"] = text
        return str(rule_id)

    def _check(self, place: str, type_: str, kind: Kind, kwargs: Mapping[str, Any]) -> Check | None:
        unknown = sorted(set(kwargs) - kind.kwargs)
        for key in unknown:
            why = "is not compiled" if key in NOT_COMPILED else f"is no kwarg of {type_}"
            text = f"found {key}, which {why}; allowed are {_listed(kind.kwargs)}"
            self.violations[f"{place}.kwargs.{key}"] = text
        if unknown:
            return None
        try:
            return kind.bind(kwargs, self._columns)
        except KwargRefused as refused:
            self.violations[f"{place}.kwargs.{refused.kwarg}"] = str(refused)
            return None


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _json(kwargs: Mapping[str, object]) -> str:
    """Return kwargs as JSON, numbers as they were written."""
    return json.dumps(kwargs, default=_number, sort_keys=True)


def _number(value: object) -> object:
    assert isinstance(value, Decimal)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _hash(type_: str, kwargs: Mapping[str, object]) -> str:
    text = json.dumps([type_, kwargs], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
