"""What a table is asked for, in one statement: the port, its text, and tables in memory."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from libs.common.errors import NotFound, Unavailable
from libs.common.money import total
from services.quality.checks import Aggregate, Column, Duplicates, Ignore, Measure, TableCheck
from services.quality.values import EXACT

_NO_LABELS: Mapping[str, str] = {}


class TableMissing(NotFound):
    """No such table, or one of another tenant: the answer is the same."""

    reason = "TABLE_NOT_FOUND"

    def __init__(self, table: str) -> None:
        super().__init__(f"no table {table}", table=table)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the statement returned: `row_count`, and values by name, `{letter}{i}` for the i-th check.

    `u` unexpected rows, `x` rows left out, `v` the aggregate (a sum for a mean; None over no
    values), `n` rows with a value. NaN is no value.
    """

    row_count: int
    values: Mapping[str, object]


class TableStatistics(Protocol):
    """Somebody who can read a table."""

    async def read(
        self,
        table: str,
        checks: Sequence[TableCheck],
        *,
        maximum_bytes_billed: int = 0,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> Statistics:
        """Return the statistics that `checks` need, by one statement.

        Args:
            table: `project.dataset.table`.
            checks: What is asked; no other column is read.
            maximum_bytes_billed: 0 means no limit.
            labels: Of the job.

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
        column = _sql(check.column)
        summed = f"CAST({column} AS BIGNUMERIC)" if check.column.type in EXACT else column
        value = {
            Measure.SUM: f"SUM({summed})",
            Measure.MEAN: f"SUM({summed})",
            Measure.MIN: f"MIN({column})",
            Measure.MAX: f"MAX({column})",
        }[check.measure]
        return [f"{value} AS v{i}", f"COUNT({column}) AS n{i}"]
    return []


def _sql(column: Column) -> str:
    name = f"`{column.name}`"
    return f"IF(IS_NAN({name}), NULL, {name})" if column.type == "FLOAT64" else name


def _duplicates(table: str, i: int, check: Duplicates) -> list[str]:
    values = [_sql(column) for column in check.columns]
    left_out = {
        Ignore.ALL_MISSING: " AND ".join(f"{value} IS NULL" for value in values),
        Ignore.ANY_MISSING: " OR ".join(f"{value} IS NULL" for value in values),
        Ignore.NONE: "FALSE",
    }[check.ignore]
    keys = ", ".join(f"{value} AS k{j}" for j, value in enumerate(values))
    groups = (
        f"SELECT COUNT(*) AS size FROM (SELECT {keys} FROM {table} WHERE NOT ({left_out})) AS kept"
        f" GROUP BY {', '.join(f'k{j}' for j in range(len(values)))} HAVING COUNT(*) > 1"
    )
    return [
        f"(SELECT COALESCE(SUM(size), 0) FROM ({groups}) AS doubled) AS u{i}",
        f"COUNTIF({left_out}) AS x{i}",
    ]


Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One reading of tables in memory."""

    table: str
    maximum_bytes_billed: int
    labels: Mapping[str, str]


class MemoryTableStatistics:
    """Tables in memory, by name. Dial: `down` makes every reading raise Unavailable."""

    def __init__(self, tables: Mapping[str, Iterable[Row]] | None = None) -> None:
        self.tables = {name: list(rows) for name, rows in (tables or {}).items()}
        self.down = False
        self.asked: list[Asked] = []

    async def read(
        self,
        table: str,
        checks: Sequence[TableCheck],
        *,
        maximum_bytes_billed: int = 0,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> Statistics:
        self.asked.append(
            Asked(table=table, maximum_bytes_billed=maximum_bytes_billed, labels=labels)
        )
        if self.down:
            raise Unavailable("the tables are down by a dial", reason="WAREHOUSE_UNAVAILABLE")
        if table not in self.tables:
            raise TableMissing(table)
        rows = self.tables[table]
        values: dict[str, object] = {}
        for i, check in enumerate(checks):
            if isinstance(check, Duplicates):
                values |= _counted(i, check, rows)
            elif isinstance(check, Aggregate):
                values |= _aggregated(i, check, rows)
        return Statistics(row_count=len(rows), values=values)


def _value(row: Row, column: Column) -> Any:
    value = row[column.name]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 NaN


def _counted(i: int, check: Duplicates, rows: Sequence[Row]) -> dict[str, object]:
    keys = [tuple(_value(row, column) for column in check.columns) for row in rows]
    kept = [key for key in keys if not _left_out(key, check.ignore)]
    doubled = sum(size for size in Counter(kept).values() if size > 1)
    return {f"u{i}": doubled, f"x{i}": len(keys) - len(kept)}


def _left_out(key: tuple[object, ...], ignore: Ignore) -> bool:
    absent = [value is None for value in key]
    return {
        Ignore.ALL_MISSING: all(absent),
        Ignore.ANY_MISSING: any(absent),
        Ignore.NONE: False,
    }[ignore]


def _aggregated(i: int, check: Aggregate, rows: Sequence[Row]) -> dict[str, object]:
    found = [value for row in rows if (value := _value(row, check.column)) is not None]
    exact = check.column.type in EXACT
    answer: object = None
    if found and check.measure in {Measure.SUM, Measure.MEAN}:
        answer = total(map(Decimal, found)) if exact else sum(found)
    elif found:
        answer = min(found) if check.measure is Measure.MIN else max(found)
    return {f"v{i}": answer, f"n{i}": len(found)}
