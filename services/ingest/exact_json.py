"""JSON with its numbers kept as the text that they were, and nothing in it said twice."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

MOST_DEPTH: Final = 100
"""Objects and lists inside one another; more is refused."""


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Number(str):
    """A number's text."""

    __slots__ = ()


def loads(text: str) -> Any:
    """Read JSON; numbers come as Number.

    Raises:
        ValueError: no JSON (NaN and Infinity are none), a name that stands twice in an object, a
            nesting of more than 100 levels, or half of a surrogate pair, which no UTF-8 has.
    """
    try:
        found = json.loads(
            text,
            parse_float=Number,
            parse_int=Number,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > MOST_DEPTH and _depth(found) > MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
    if "\\u" in text and _SURROGATE.search(dumps(found)):
        raise ValueError("half of a surrogate pair")
    return found


_TOO_DEEP: Final = f"more than {MOST_DEPTH} levels of objects and lists"


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:80]!r} stands twice in an object")
    return found


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        level = [item for one in level for item in _items(one)]
        depth += 1
    return depth


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def dumps(value: Any) -> str:
    """Write what `loads` read, numbers as they were."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(str(k))}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def cell(value: Any) -> str | None:
    """Return a value as the text of a cell; null is None, objects and lists are JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    return dumps(value)
