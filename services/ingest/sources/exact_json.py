"""JSON with its numbers kept as the text that they were."""

import json
from typing import Any


class Number(str):
    """A number's text."""

    __slots__ = ()


def loads(text: str | bytes) -> Any:
    """Read JSON; numbers come as Number. Raises ValueError for NaN and Infinity too."""
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_refuse)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


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
