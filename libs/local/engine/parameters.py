"""Query parameters reach DuckDB with their declared type."""

from __future__ import annotations

import base64
import re
from typing import Any

from bqemulator.jobs import executor
from bqemulator.sql import parameters

Parameter = dict[str, Any]
STRINGS = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
NAMED = re.compile(rf"{STRINGS}|[@$](?P<name>\w+)")
POSITIONAL = re.compile(rf"{STRINGS}|(?P<mark>\?)")


def typed_parameters() -> None:
    """Bind each parameter as its declared type, and never inside a quoted text.

    Stock lets DuckDB guess (an empty ARRAY<DATE> has no type, a decimal is as wide as its value),
    hands over BYTES as base64 and replaces `@name` within strings too.
    """
    parameters._SCALAR_CONVERTERS["BYTES"] = base64.b64decode
    executor.bind_parameters = _bind


def _bind(sql: str, given: list[Parameter] | None = None) -> tuple[str, list[Any]]:
    """Return `sql` with `?` marks, and the values in the order of the marks."""
    if not given:
        return sql, []
    values: list[Any] = []

    def mark(parameter: Parameter) -> str:
        values.append(parameters._extract_value(parameter))
        declared = parameters._bq_to_duckdb_type(parameter.get("parameterType", {}))
        return f"CAST(? AS {declared})" if declared else "?"

    if given[0].get("name"):
        named = {parameter["name"]: parameter for parameter in given}
        folded = {name.lower(): parameter for name, parameter in named.items()}

        def by_name(match: re.Match[str]) -> str:
            parameter = folded.get((match["name"] or "").lower())
            return mark(parameter) if parameter else match[0]

        return NAMED.sub(by_name, sql), values
    rest = iter(given)

    def by_position(match: re.Match[str]) -> str:
        parameter = next(rest, None) if match["mark"] else None
        return mark(parameter) if parameter else match[0]

    return POSITIONAL.sub(by_position, sql), values
