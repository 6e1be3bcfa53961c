"""A FOCUS cost table as each released version of FOCUS shows it."""

from typing import Final

from libs.focus.columns import TABLE, focus_columns

ADDED: Final = {
    "1.3": frozenset({
        "AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId",
        "AllocatedResourceName", "AllocatedTags", "ContractApplied", "HostProviderName",
        "ServiceProviderName",
    }),
    "1.4": frozenset({"CommitmentProgramEligibilityDetails", "InvoiceDetailId"}),
}  # fmt: skip
"""Columns by the version that brought them."""

REMOVED: Final = {"1.4": frozenset({"ProviderName", "PublisherName"})}
"""Columns by the first version without them."""

VERSIONS: Final = ("1.2", "1.4")


def view_name(version: str) -> str:
    """Return the view's name for a version: `focus_costs_v1_4`."""
    return f"{TABLE}_v{version.replace('.', '_')}"


def columns_of(version: str) -> tuple[str, ...]:
    """Return the columns that a version has, in the table's order, then the `x_` columns."""
    later = {name for since, names in ADDED.items() if since > version for name in names}
    gone = {name for since, names in REMOVED.items() if since <= version for name in names}
    return tuple(column.name for column in focus_columns() if column.name not in later | gone)


def view_sql(version: str, table: str) -> str:
    """Return the SELECT of a version's view over `table` (`dataset.table`)."""
    names = ",\n  ".join(f"`{name}`" for name in columns_of(version))
    return f"SELECT\n  {names}\nFROM `{table}`"


def create_view_sql(version: str, table: str) -> str:
    """Return the statement that makes or replaces a version's view beside `table`."""
    dataset, _, _ = table.rpartition(".")
    return f"CREATE OR REPLACE VIEW `{dataset}.{view_name(version)}` AS\n{view_sql(version, table)}"
