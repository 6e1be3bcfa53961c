import pyarrow as pa
import pytest

from libs.bigquery.columns import COLUMN_TYPES, Column, arrow_schema, arrow_type

EXPECTED = {
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "BOOL": pa.bool_(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "JSON": pa.string(),
}


@pytest.mark.parametrize("type_", COLUMN_TYPES)
def test_every_type_has_the_arrow_type_that_keeps_its_values(type_: str) -> None:
    assert arrow_type(Column("c", type_)) == EXPECTED[type_]
    assert arrow_type(Column("c", type_, "REPEATED")) == pa.list_(EXPECTED[type_])


@pytest.mark.parametrize("type_", COLUMN_TYPES)
def test_a_column_survives_json_and_the_clients_form(type_: str) -> None:
    column = Column("c", type_, "REQUIRED", "what it is")
    assert Column.from_json(column.to_json()) == column
    assert Column.from_field(column.to_field()) == column


def test_both_spellings_of_a_type_are_one_type() -> None:
    assert Column("c", "integer") == Column("c", "INT64")
    assert Column("c", "BIGDECIMAL") == Column("c", "BIGNUMERIC")
    assert Column("c", "NUMERIC(10, 2)") == Column("c", "NUMERIC")


def test_an_unknown_type_is_refused_with_the_ones_that_exist() -> None:
    with pytest.raises(ValueError, match=r"column c: type RECORD is none of STRING, .*JSON"):
        Column("c", "RECORD")
    with pytest.raises(ValueError, match="mode OPTIONAL is none of NULLABLE"):
        Column("c", "STRING", "OPTIONAL")


def test_a_record_in_schema_json_is_refused_by_name() -> None:
    inner = {"name": "x", "type": "STRING"}
    with pytest.raises(ValueError, match="column r: RECORD columns are not supported"):
        Column.from_json({"name": "r", "type": "RECORD", "fields": [inner]})


def test_only_required_columns_refuse_nulls_in_arrow() -> None:
    schema = arrow_schema([Column("a", "INT64", "REQUIRED"), Column("b", "INT64")])
    assert [field.nullable for field in schema] == [False, True]
