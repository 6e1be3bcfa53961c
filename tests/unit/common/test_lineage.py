"""Columns of the platform: in targets, in staging and in quarantine."""

import pytest

from libs.common.lineage import (
    LINEAGE,
    PlatformColumn,
    base_type,
    quarantine_columns,
    staging_columns,
    target_columns,
)

DECLARED = (
    PlatformColumn("usage_date", "DATE"),
    PlatformColumn("cost", "BIGNUMERIC(38, 18)"),
    PlatformColumn("tax", "NUMERIC", "REQUIRED"),
    PlatformColumn("parts", "NUMERIC", "REPEATED"),
    PlatformColumn("score", "FLOAT64"),
)


def test_a_target_has_the_declared_columns_then_lineage() -> None:
    names = [column.name for column in target_columns(DECLARED)]
    assert names == [
        *("usage_date", "cost", "tax", "parts", "score"),
        *("_tenant_id", "_pipeline_id", "_run_id", "_chunk_id", "_row_number", "_source"),
        *("_snapshot", "_ingested_at", "ingestion_date"),
    ]


def test_staging_also_knows_the_try_that_wrote_a_row() -> None:
    *target, attempt = staging_columns(DECLARED)
    assert tuple(target) == target_columns(DECLARED)
    assert attempt == PlatformColumn("_attempt", "INT64", "REQUIRED")


def test_every_row_says_where_it_came_from() -> None:
    assert {column.mode for column in LINEAGE} == {"REQUIRED"}


def test_quarantine_keeps_money_as_text_and_as_a_number_that_may_be_missing() -> None:
    columns = {column.name: column for column in quarantine_columns(DECLARED)}
    assert list(columns)[len(LINEAGE) :] == [
        *("_attempt", "_scope", "reasons", "raw_row"),
        *("cost", "cost__text", "tax", "tax__text"),
    ]
    for name in ("cost", "tax"):
        assert columns[name] == PlatformColumn(name, "BIGNUMERIC", "NULLABLE")
        assert columns[f"{name}__text"] == PlatformColumn(f"{name}__text", "STRING", "NULLABLE")


@pytest.mark.parametrize(
    ("type_", "base"),
    [("NUMERIC(10,2)", "NUMERIC"), ("string", "STRING"), ("BIGNUMERIC (38, 18)", "BIGNUMERIC")],
)
def test_a_type_without_its_parameters(type_: str, base: str) -> None:
    assert base_type(type_) == base
