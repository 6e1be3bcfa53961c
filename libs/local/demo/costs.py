"""Reads a tenant's cost table and draws it."""

import dataclasses
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType

from libs.bigquery.client import BigQuery
from libs.bigquery.jobs import Row, query
from libs.client.cli.listings import Listing
from libs.client.cli.output import table
from libs.common.money import total
from libs.local.demo.bills import plain
from libs.local.mesh.plans import ROOT

QUERIES: Final = ROOT / "examples" / "queries"
BAR: Final = 20
EIGHTHS: Final = " ▏▎▍▌▋▊▉"
MOST_ROWS: Final = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A query of `examples/queries`, and which of its rows are shown when they are many."""

    title: str
    query: str
    label: str
    newest: bool = False
    """Rows come in order of time: the last ones are shown, not the first."""


VIEWS: Final = (
    View(title="Cost by service", query="cost_by_service", label="service"),
    View(title="Cost by day", query="cost_by_day", label="day", newest=True),
    View(title="Cost by model", query="cost_by_model", label="model"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """What one line of a chart says."""

    label: str
    cost: Decimal
    currency: str


def billed(bq: BigQuery, tenant: str, pipeline: str) -> Decimal:
    """Return the exact sum of BilledCost that `pipeline` brought into the tenant's cost table."""
    sql = (
        f"SELECT SUM(BilledCost) AS total FROM `{tenant}_silver_cost.focus_costs` "
        "WHERE _pipeline_id = @pipeline"
    )
    (row,) = query(bq, sql, {"pipeline": pipeline})
    return _decimal(row["total"])


def views(bq: BigQuery, tenant: str) -> Iterator[RenderableType]:
    """Yield a table with a bar chart for each view of the tenant's cost table that has rows."""
    for view in VIEWS:
        sql = (QUERIES / f"{view.query}.sql").read_text().replace("{tenant}", tenant)
        rows = query(bq, sql)
        if rows:
            yield chart(tenant, view, rows)


def chart(tenant: str, view: View, rows: Sequence[Row]) -> Listing:
    """Return rows with their exact cost and a bar; what is not shown is added up by currency."""
    lines = [
        Line(_label(row, view.label), _decimal(row["billed_cost"]), _currency(row)) for row in rows
    ]
    kept, rest = lines[:MOST_ROWS], lines[MOST_ROWS:]
    if view.newest:
        kept, rest = lines[-MOST_ROWS:], lines[:-MOST_ROWS]
    added = list(_added_up(rest, "earlier" if view.newest else "more"))
    shown = [*added, *kept] if view.newest else [*kept, *added]
    largest = max(abs(line.cost) for line in kept)
    drawn = [
        (line.label, f"{plain(line.cost)} {line.currency}".rstrip(), _bar(line, added, largest))
        for line in shown
    ]
    return table(drawn, view.label, "cost", "", title=f"{view.title}, {tenant}", right=["cost"])


def _bar(line: Line, added: Sequence[Line], largest: Decimal) -> str:
    return "" if line in added else bar(line.cost, largest)


def _added_up(lines: Sequence[Line], what: str) -> Iterator[Line]:
    """Yield one line a currency: sums of different currencies mean nothing."""
    for currency in dict.fromkeys(line.currency for line in lines):
        costs = [line.cost for line in lines if line.currency == currency]
        yield Line(f"… {len(costs)} {what}", total(costs), currency)


def bar(value: Decimal, largest: Decimal) -> str:
    """Return a bar whose length is the share of `value` in `largest`; negative ones are hollow."""
    if not largest:
        return ""
    eighths = int(abs(value) * BAR * 8 / largest)
    whole, part = divmod(eighths, 8)
    if value < 0:
        return "░" * max(whole, 1)
    return ("█" * whole + EIGHTHS[part]).rstrip() or "▏"


def _label(row: Row, label: str) -> str:
    provider = row.get("provider")
    name = str(row[label] if row[label] is not None else "(none)")
    return f"{name} ({provider})" if provider else name


def _currency(row: Row) -> str:
    return str(row.get("currency") or "")


def _decimal(value: Any) -> Decimal:
    return Decimal(0) if value is None else Decimal(str(value))
