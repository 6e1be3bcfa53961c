"""What a table that is there lacks for the rows of a schema, and what can never be added."""

import pytest

from libs.bigquery.columns import Column
from libs.bigquery.ids import TableId
from services.orchestrator.warehouse.bigquery_columns import compare, refuse_gone
from services.orchestrator.warehouse.warehouse import SchemaChanged

TABLE = TableId("local", "acme_raw", "t")
COST = Column("cost", "BIGNUMERIC")
DAY = Column("day", "DATE", "REQUIRED")


def test_columns_that_are_there_as_the_schema_says_lack_nothing() -> None:
    assert compare(TABLE, [Column("DAY", "DATE", "REQUIRED"), COST], [COST, DAY]) == []


def test_a_column_that_may_be_null_is_added() -> None:
    notes = Column("notes", "STRING", "REPEATED")
    assert compare(TABLE, [DAY], [DAY, COST, notes]) == [COST, notes]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (("STRING", "NULLABLE"), ("INT64", "NULLABLE"), "STRING NULLABLE, the schema says INT64"),
        (
            ("INT64", "NULLABLE"),
            ("INT64", "REPEATED"),
            "INT64 NULLABLE, the schema says INT64 REPE",
        ),
        (
            ("INT64", "NULLABLE"),
            ("INT64", "REQUIRED"),
            "INT64 NULLABLE, the schema says INT64 REQU",
        ),
        (
            ("INT64", "REQUIRED"),
            ("INT64", "NULLABLE"),
            "INT64 REQUIRED, the schema says INT64 NULL",
        ),
    ],
    ids=["type", "repeated", "required now", "required before"],
)
def test_a_column_is_never_retyped(old: tuple[str, str], new: tuple[str, str], said: str) -> None:
    with pytest.raises(SchemaChanged) as refused:
        compare(TABLE, [DAY, Column("n", *old)], [DAY, Column("n", *new)])
    assert f"local.acme_raw.t: column n is {said}" in str(refused.value)
    assert "leave it as it is in the schema" in str(refused.value)
    assert refused.value.metadata == {
        "table": "local.acme_raw.t", "column": "n", "found": " ".join(old), "wanted": " ".join(new),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "ways"),
    [
        (DAY, "make it NULLABLE in the schema, or publish to a new table"),
        (Column("_tenant_id", "STRING", "REQUIRED"), "get it: publish to a new table"),
    ],
    ids=["of the schema", "of the platform"],
)
def test_a_required_column_is_never_added(column: Column, ways: str) -> None:
    with pytest.raises(SchemaChanged) as refused:
        compare(TABLE, [COST], [COST, column])
    assert str(refused.value).endswith(ways)
    assert (refused.value.metadata["column"], refused.value.metadata["found"]) == (
        column.name,
        "none",
    )


def test_a_column_that_is_gone_since_it_was_made_to_fit_is_named_with_what_was_wanted() -> None:
    refuse_gone(TABLE, [])
    with pytest.raises(SchemaChanged, match="column cost is gone since the run was staged") as gone:
        refuse_gone(TABLE, [COST])
    assert gone.value.metadata == {
        "table": "local.acme_raw.t", "column": "cost", "found": "none", "wanted": "BIGNUMERIC NULLABLE",
    }  # fmt: skip
