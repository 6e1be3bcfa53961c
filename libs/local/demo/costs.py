"""Reads a tenant's cost table and draws it."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from libs.bigquery.client import BigQuery
from libs.bigquery.jobs import Row, query
from libs.local.demo.bills import plain
from libs.local.mesh.plans import ROOT

QUERIES: Final = ROOT / "examples" / "queries"
VIEWS: Final = (
    ("Cost by service", "cost_by_service", "service"),
    ("Cost by day", "cost_by_day", "day"),
    ("Cost by model", "cost_by_model", "model"),
)
BAR: Final = 28
EIGHTHS: Final = " ▏▎▍▌▋▊▉"
MOST_ROWS: Final = 10


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
    for title, name, label in VIEWS:
        rows = query(bq, (QUERIES / f"{name}.sql").read_text().replace("{tenant}", tenant))
        if rows:
            yield chart(f"{title}, {tenant}", rows, label)


def chart(title: str, rows: Sequence[Row], label: str) -> Table:
    """Return rows with their exact cost and a bar; those beyond the first ten are added up."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    made.add_column(label, max_width=44, no_wrap=True)
    made.add_column("cost", justify="right", no_wrap=True)
    made.add_column("", no_wrap=True)
    shown = [(_label(row, label), _decimal(row["billed_cost"]), _currency(row)) for row in rows]
    kept, rest = shown[:MOST_ROWS], shown[MOST_ROWS:]
    if rest:
        kept.append((f"… {len(rest)} more", sum((cost for _, cost, _ in rest), Decimal(0)), ""))
    largest = max((abs(cost) for _, cost, _ in kept), default=Decimal(0))
    for name, cost, currency in kept:
        made.add_row(Text(name), f"{plain(cost)} {currency}".rstrip(), bar(cost, largest))
    return made


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
