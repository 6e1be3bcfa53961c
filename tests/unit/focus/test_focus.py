"""FOCUS columns and versions are those of the specification."""

import pytest

from libs.focus.columns import focus_columns
from libs.focus.views import columns_of, create_view_sql, view_name, view_sql


def focus_only(names: tuple[str, ...]) -> set[str]:
    return {name for name in names if not name.startswith("x_")}


@pytest.mark.parametrize(("version", "count"), [("1.2", 57), ("1.4", 65)])
def test_each_version_has_as_many_columns_as_the_specification(version: str, count: int) -> None:
    assert len(focus_only(columns_of(version))) == count


def test_versions_differ_by_what_the_specification_says() -> None:
    older, newer = focus_only(columns_of("1.2")), focus_only(columns_of("1.4"))
    assert older - newer == {"ProviderName", "PublisherName"}
    assert newer - older == {
        "AllocatedMethodDetails",
        "AllocatedMethodId",
        "AllocatedResourceId",
        "AllocatedResourceName",
        "AllocatedTags",
        "CommitmentProgramEligibilityDetails",
        "ContractApplied",
        "HostProviderName",
        "InvoiceDetailId",
        "ServiceProviderName",
    }


def test_the_table_has_every_column_of_every_version_once() -> None:
    names = [column.name for column in focus_columns()]
    assert len(names) == len({name.casefold() for name in names})
    assert set(names) == set(columns_of("1.2")) | set(columns_of("1.4"))
    assert names == sorted(names, key=lambda name: (name.startswith("x_"), name))


def test_types_hold_money_exactly_times_in_utc_and_keys_as_json() -> None:
    types = {column.name: column.type for column in focus_columns()}
    for name, type_ in types.items():
        if name.endswith(("Cost", "UnitPrice", "Quantity")):
            assert type_ == "BIGNUMERIC", name
        if name.endswith(("PeriodStart", "PeriodEnd")):
            assert type_ == "TIMESTAMP", name
    assert types["Tags"] == types["SkuPriceDetails"] == types["ContractApplied"] == "JSON"
    assert types["ChargeCategory"] == types["x_SourceObject"] == "STRING"


def test_every_column_is_nullable_and_described() -> None:
    for column in focus_columns():
        assert column.mode == "NULLABLE"
        assert column.description.endswith(".")
        assert column.custom == column.name.startswith("x_")


def test_a_view_selects_the_columns_of_its_version() -> None:
    assert view_name("1.4") == "focus_costs_v1_4"
    sql = view_sql("1.4", "acme_silver_cost.focus_costs")
    assert sql.startswith("SELECT\n  `AllocatedMethodDetails`,")
    assert sql.endswith("FROM `acme_silver_cost.focus_costs`")
    assert "`ProviderName`" not in sql
    assert "`x_CostStatus`" in sql
    made = create_view_sql("1.2", "acme_silver_cost.focus_costs")
    assert made.startswith("CREATE OR REPLACE VIEW `acme_silver_cost.focus_costs_v1_2` AS\nSELECT")
