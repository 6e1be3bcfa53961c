"""What a table is asked for, in one statement: the port, and the statement's text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from services.quality.checks import Aggregate, Duplicates, Ignore, Measure, TableCheck

EXACT = frozenset({"INT64", "NUMERIC", "BIGNUMERIC"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the statement returned: `row_count`, and values by name, `{letter}{i}` for the i-th check.

    `u` unexpected rows, `x` rows left out, `v` the aggregate (a sum for a mean), `n` non-null rows.
    """

    row_count: int
    values: Mapping[str, object]


class TableStatistics(Protocol):
    """Somebody who can read a table."""

    async def read(
        self, table: str, checks: Sequence[TableCheck], *, maximum_bytes_billed: int
    ) -> Statistics:
        """Return the statistics that `checks` need, by one statement.

        Raises:
            NotFound: TABLE_NOT_FOUND.
            Unavailable: WAREHOUSE_UNAVAILABLE.
        """


def statement(table: str, checks: Sequence[TableCheck]) -> str:
    """Return one SELECT that answers every check over `table` (quoted)."""
    terms = [term for i, check in enumerate(checks) for term in _terms(table, i, check)]
    return f"SELECT {', '.join(['COUNT(*) AS row_count', *terms])} FROM {table}"


def _terms(table: str, i: int, check: TableCheck) -> list[str]:
    if isinstance(check, Duplicates):
        return _duplicates(table, i, check)
    if isinstance(check, Aggregate):
        column = f"`{check.column}`"
        summed = f"CAST({column} AS BIGNUMERIC)" if check.type in EXACT else column
        value = {
            Measure.SUM: f"SUM({summed})",
            Measure.MEAN: f"SUM({summed})",
            Measure.MIN: f"MIN({column})",
            Measure.MAX: f"MAX({column})",
        }[check.measure]
        return [f"{value} AS v{i}", f"COUNT({column}) AS n{i}"]
    return []


def _duplicates(table: str, i: int, check: Duplicates) -> list[str]:
    names = [f"`{name}`" for name in check.columns]
    left_out = {
        Ignore.ALL_MISSING: " AND ".join(f"{name} IS NULL" for name in names),
        Ignore.ANY_MISSING: " OR ".join(f"{name} IS NULL" for name in names),
        Ignore.NONE: "FALSE",
    }[check.ignore]
    groups = (
        f"SELECT COUNT(*) AS size FROM {table} WHERE NOT ({left_out})"
        f" GROUP BY {', '.join(names)} HAVING COUNT(*) > 1"
    )
    return [
        f"(SELECT COALESCE(SUM(size), 0) FROM ({groups}) AS doubled) AS u{i}",
        f"COUNTIF({left_out}) AS x{i}",
    ]
