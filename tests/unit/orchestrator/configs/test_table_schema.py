"""Schemas are BigQuery's own JSON; what the platform cannot hold is refused column by column."""

import json

import pytest

from services.orchestrator.configs.documents import read_json
from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.configs.parsing import Wrong
from services.orchestrator.configs.table_schema import read_columns
from services.orchestrator.specs import ColumnSpec


def columns(*fields: object) -> tuple[ColumnSpec, ...]:
    return read_columns(read_json(json.dumps(list(fields), indent=1), "t/schemas/s.json"))


def refused(*fields: object) -> tuple[FileError, ...]:
    with pytest.raises(Wrong) as caught:
        columns(*fields)
    return caught.value.errors


@pytest.mark.parametrize(
    ("field", "type_"),
    [
        ({"type": "STRING"}, "STRING"),
        ({"type": "integer"}, "INT64"),
        ({"type": "FLOAT"}, "FLOAT64"),
        ({"type": "BOOLEAN"}, "BOOL"),
        ({"type": "BIGDECIMAL"}, "BIGNUMERIC"),
        ({"type": "NUMERIC(10,2)"}, "NUMERIC(10,2)"),
        ({"type": "NUMERIC( 10 , 2 )"}, "NUMERIC(10,2)"),
        ({"type": "NUMERIC", "precision": "10", "scale": "2"}, "NUMERIC(10,2)"),
        ({"type": "NUMERIC", "precision": 38, "scale": 9}, "NUMERIC(38,9)"),
        ({"type": "BIGNUMERIC(38,18)"}, "BIGNUMERIC(38,18)"),
        ({"type": "STRING", "maxLength": "50"}, "STRING(50)"),
        ({"type": "JSON"}, "JSON"),
    ],
)
def test_types_are_read_in_every_spelling_that_bigquery_prints(
    field: dict[str, object], type_: str
) -> None:
    (column,) = columns({"name": "a", **field})
    assert column.type == type_


def test_modes_and_descriptions_are_kept() -> None:
    (column,) = columns({"name": "a", "type": "STRING", "mode": "REQUIRED", "description": "x"})
    assert (column.mode, column.description) == ("REQUIRED", "x")


@pytest.mark.parametrize(
    ("field", "path", "allowed"),
    [
        ({"name": "a", "type": "STRNG"}, "1.type", "STRING"),
        ({"name": "a", "type": "RECORD"}, "1.type", "STRING"),
        ({"name": "a", "type": "GEOGRAPHY"}, "1.type", "JSON"),
        ({"name": "a", "type": "STRING", "fields": []}, "1.fields", "precision"),
        ({"name": "a", "type": "STRING", "mod": "REQUIRED"}, "1.mod", "mode"),
        ({"name": "a", "type": "STRING", "mode": "required"}, "1.mode", "REQUIRED"),
        ({"type": "STRING"}, "1.name", "required"),
        ({"name": "a"}, "1.type", "required"),
        ({"name": "a b", "type": "STRING"}, "1.name", "a column name"),
        ({"name": "1a", "type": "STRING"}, "1.name", "a column name"),
        ({"name": "_run_id", "type": "STRING"}, "1.name", "names other than"),
        ({"name": "_RUN_ID", "type": "STRING"}, "1.name", "names other than"),
        ({"name": "ingestion_date", "type": "DATE"}, "1.name", "names other than"),
        ({"name": "_attempt", "type": "INT64"}, "1.name", "names other than"),
        ({"name": "_TABLE_x", "type": "STRING"}, "1.name", "BigQuery"),
        ({"name": "FIRST", "type": "STRING"}, "1.name", "once"),
        ({"name": "a", "type": "NUMERIC(30,0)"}, "1.type", "29 digits"),
        ({"name": "a", "type": "NUMERIC(10,10)"}, "1.type", "9 after"),
        ({"name": "a", "type": "NUMERIC(2,5)"}, "1.type", "digits"),
        ({"name": "a", "type": "BIGNUMERIC(39,18)"}, "1.type", "20 digits before"),
        ({"name": "a", "type": "BIGNUMERIC(38,38)"}, "1.type", "18 after"),
        ({"name": "a", "type": "INT64(5)"}, "1.type", "others without"),
        ({"name": "a", "type": "STRING(0)"}, "1.type", "1 or more"),
        ({"name": "a", "type": "NUMERIC", "maxLength": "5"}, "1.type", "others without"),
        ({"name": "a", "type": "STRING", "precision": "5"}, "1.type", "others without"),
        ({"name": "a", "type": "NUMERIC(5,2)", "precision": "6"}, "1.type", "once"),
        ({"name": "a", "type": "NUMERIC", "precision": "five"}, "1.precision", "whole number"),
        ({"name": "reasons", "type": "NUMERIC"}, "1.name", "quarantine"),
        ("a", "1", "keys"),
    ],
)
def test_a_wrong_column_is_named_by_its_index_field_and_line(
    field: object, path: str, allowed: str
) -> None:
    (error,) = refused({"name": "first", "type": "STRING"}, field)
    assert (error.file, error.field) == ("t/schemas/s.json", path)
    assert allowed in error.allowed
    assert error.line >= 6


def test_a_decimal_may_not_share_its_name_with_the_text_of_another() -> None:
    fields = [{"name": "cost", "type": "NUMERIC"}, {"name": "cost__text", "type": "NUMERIC"}]
    assert "cost__text" in refused(*fields)[0].found


def test_wrong_columns_are_named_together() -> None:
    errors = refused({"name": "a"}, {"name": "b", "type": "X"}, {"name": "c", "type": "STRING"})
    assert [error.field for error in errors] == ["0.type", "1.type"]


@pytest.mark.parametrize("text", ["{}", "[]", '"x"', "null", '{"fields": []}'])
def test_a_schema_is_a_list_of_columns(text: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_columns(read_json(text, "s.json"))
    assert "bq show --schema" in caught.value.errors[0].advice
