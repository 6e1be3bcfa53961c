"""JSON as regular expressions of Rust's `regex`, each told by the next byte alone.

A pattern that never looks ahead is matched in one pass that also says where its groups are, as long as
it has no more than `MOST_GROUPS`. What the patterns match is JSON; not all JSON is matched.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from services.ingest import exact_json

MOST_GROUPS: Final = 16
BLANKS: Final = r"[ \t\n\r]*"
NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
PLAIN: Final = f"(?:{NUMBER}|true|false)"
"""A number or a truth value."""

_H: Final = "[0-9A-Fa-f]"
_PAIR: Final = rf"[89ABab]{_H}{_H}\\u[Dd][C-Fc-f]{_H}{_H}"
_CODE: Final = rf"u(?:[0-9A-CE-Fa-ce-f]{_H}{{3}}|[Dd](?:[0-7]{_H}{_H}|{_PAIR}))"
INSIDE: Final = rf'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|{_CODE}))*'
"""What stands between the quotes of a string: no half of a surrogate pair."""

STRING: Final = f'"{INSIDE}"'
_UNESCAPED: Final = r'"[^"\\\x00-\x1f]*"'
_SCALAR: Final = f"(?:{_UNESCAPED}|{PLAIN}|null)"
_DEEPEST: Final = 4
LONGEST: Final = 8_000
"""Characters of a pattern."""


class _NoPattern(Exception):
    """A name is written with an escape, or the pattern would be long."""


def _bracketed(depth: int) -> str:
    inner = f"|{_bracketed(depth - 1)}" if depth > 1 else ""
    return rf'[\[{{](?:[^"\[\]{{}}]|"(?:[^"\\]|\\[^\x00])*"{inner})*[\]}}]'


NESTED: Final = _bracketed(_DEEPEST)
"""From a bracket to the one that closes it; what is between them is not looked at."""


def name(text: str, blanks: str = BLANKS) -> str:
    """Return the pattern of a field's name as it is mostly written, up to its value."""
    return re.escape(json.dumps(text, ensure_ascii=False)) + f"{blanks}:{blanks}"


def structure(value: Any, blanks: str = BLANKS) -> str | None:
    """Return a pattern of nested values that are built as this one is.

    None if it would be long, or if a name is written with an escape.

    What it matches is JSON without an escape, and no name stands in it twice.

    Args:
        value: An object or list, as `exact_json.loads` reads it.
        blanks: What may stand around its tokens, nothing in compact JSON.
    """
    try:
        return f"^{_structure(value, blanks)}$"
    except (RecursionError, _NoPattern):
        return None


def _structure(value: Any, blanks: str) -> str:
    """Return the pattern of a value. What lists hold stands in it twice: each level may double its length."""
    found = "".join(_parts(value, blanks))
    if len(found) > LONGEST:
        raise _NoPattern
    return found


def _parts(value: Any, blanks: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield rf"\{{{blanks}"
        for i, (key, item) in enumerate(value.items()):
            yield f"{blanks},{blanks}" if i else ""
            yield _unescaped(key, blanks)
            yield _structure(item, blanks)
        yield rf"{blanks}\}}"
    elif isinstance(value, list):
        item = _either(_structure(item, blanks) for item in value)
        yield rf"\[{blanks}(?:{item}(?:{blanks},{blanks}{item})*{blanks})?\]"
    else:
        yield _SCALAR


def _either(patterns: Iterable[str]) -> str:
    found: dict[str, None] = {}
    size = 0
    for pattern in patterns:
        if pattern not in found:
            found[pattern] = None
            size += len(pattern)
        if size > LONGEST:
            break
    return f"(?:{'|'.join(found) or _SCALAR})"


def _unescaped(key: str, blanks: str) -> str:
    if "\\" in exact_json.dumps(key):
        raise _NoPattern
    return name(key, blanks)
