"""Columns that a source has and the schema lacks, by the contract of the source."""

import dataclasses
import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.ingest.chunks import Plan
from services.ingest.failures import ContractBroken
from services.ingest.sources.evolving import MOST_COLUMNS, evolved, joined, type_of
from services.ingest.sources.source import ColumnMode
from tests.unit.ingest.reading import Format, columns, files, splitting

WANTED = columns("id", "cost NUMERIC")


def _plan(root: Path, format_: Format, unknown: ColumnMode, **contents: bytes) -> Plan:
    (root / "acme").mkdir(exist_ok=True)
    for name, data in contents.items():
        (root / "acme" / name).write_bytes(data)
    asked = dataclasses.replace(splitting(WANTED), unknown=unknown)
    return files(root, format_, "*").plan(asked)


def _columns(plan: Plan) -> list[tuple[str, str, str]]:
    return [(c.name, c.declared, c.mode) for c in plan.evolved_columns]


def test_new_columns_of_texts_are_string(tmp_path: Path) -> None:
    plan = _plan(tmp_path, "csv", "evolve", a=b"id,cost,tax\n1,2,3\n", b=b"note,ID,cost\nx,1,2\n")
    assert _columns(plan) == [("tax", "STRING", "NULLABLE"), ("note", "STRING", "NULLABLE")]
    assert plan.extra_columns == ("tax", "note")


def test_fields_are_found_in_every_record_if_they_have_a_value(tmp_path: Path) -> None:
    lines = b'{"id":1,"cost":2}\n' * 5000 + b'{"id":1,"late":{"a":1},"never":null}\nbroken\n'
    plan = _plan(tmp_path, "ndjson", "evolve", a=lines)
    assert _columns(plan) == [("late", "STRING", "NULLABLE")]


def test_keys_that_are_data_break_the_contract_before_all_of_them_are_kept(tmp_path: Path) -> None:
    lines = b"".join(b'{"id":1,"k%d":1}\n' % i for i in range(3 * MOST_COLUMNS))
    with pytest.raises(ContractBroken, match="new columns"):
        _plan(tmp_path, "ndjson", "evolve", a=lines)


def test_columns_of_parquet_keep_their_types(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(
            {
                "id": ["1"],
                "cost": pa.array([Decimal("1.5")], pa.decimal128(10, 2)),
                "tax": pa.array([Decimal("1.5")], pa.decimal128(20, 9)),
                "wide": pa.array([Decimal("1.5")], pa.decimal128(38, 18)),
                "seen": pa.array([dt.datetime(2026, 11, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
                "tags": pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string())),
            }
        ),
        sink,
    )  # fmt: skip
    plan = _plan(tmp_path, "parquet", "evolve", a=sink.getvalue().to_pybytes())
    assert [(name, type_) for name, type_, _ in _columns(plan)] == [
        ("tax", "NUMERIC"),
        ("wide", "BIGNUMERIC"),
        ("seen", "TIMESTAMP"),
        ("tags", "JSON"),
    ]


@pytest.mark.parametrize(
    ("type_", "column"),
    [
        (pa.bool_(), "BOOL"), (pa.int8(), "INT64"), (pa.uint32(), "INT64"), (pa.uint64(), "STRING"),
        (pa.float32(), "FLOAT64"), (pa.date32(), "DATE"), (pa.time64("us"), "TIME"), (pa.time64("ns"), "STRING"),
        (pa.timestamp("ms"), "DATETIME"), (pa.timestamp("ns", "UTC"), "STRING"), (pa.binary(), "BYTES"),
        (pa.dictionary(pa.int8(), pa.string()), "STRING"), (pa.decimal256(50, 2), "STRING"),
        (pa.decimal128(29, 0), "NUMERIC"), (pa.decimal128(38, 18), "BIGNUMERIC"), (pa.list_(pa.int8()), "JSON"),
        (pa.large_string(), "STRING"), (pa.duration("s"), "STRING"),
    ],
)  # fmt: skip
def test_a_type_holds_all_values_of_the_files(type_: pa.DataType, column: str) -> None:
    assert type_of(type_) == column


def test_files_that_disagree_about_a_type_make_it_string() -> None:
    assert joined([{"a": "INT64", "b": "DATE"}, {"a": "FLOAT64"}, {"a": "INT64"}]) == {
        "a": "STRING",
        "b": "DATE",
    }


def test_names_in_another_case_are_one_over_files_and_two_within_one() -> None:
    assert joined([{"Tax": "INT64"}, {"tax": "INT64"}, {"TAX": "DATE"}]) == {"Tax": "STRING"}
    assert joined([{"a": "DATE"}, {"Tax": "DATE", "tax": "DATE"}]) == {
        "a": "DATE",
        "Tax": "DATE",
        "tax": "DATE",
    }
    assert joined([{"Tax": "DATE"}, {"tax": "DATE", "Tax": "DATE"}]) == {
        "Tax": "DATE",
        "tax": "DATE",
    }


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_nothing_evolves_unless_the_contract_says_so(tmp_path: Path, format_: Format) -> None:
    data = {"csv": b"id,cost,tax\n1,2,3\n", "ndjson": b'{"id":1,"cost":2,"tax":3}\n'}[format_]
    assert _plan(tmp_path, format_, "discard_value", a=data).evolved_columns == ()
    assert _plan(tmp_path, format_, "discard_row", a=data).evolved_columns == ()


def test_freeze_refuses_a_header_that_the_schema_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="tax, note, which the schema lacks"):
        _plan(tmp_path, "csv", "freeze", a=b"id,tax,cost,note\n1,2,3,4\n")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("total cost", "allowed are letters, digits and _"), ("1st", "allowed are letters"), ("", "allowed are letters"),
        ("größe", "allowed are letters"), ("a" * 301, "at most 300"), ("_PARTITIONTIME", "BigQuery keeps names"),
        ("_table_suffix", "BigQuery keeps names"), ("_run_id", "the platform has a column"), ("_Attempt", "the platform has"),
        ("tokens__v_text", "the platform has a column"), ("Tokens__V_Text", "the platform has a column"),
    ],
)  # fmt: skip
def test_a_name_that_no_column_can_have_breaks_the_contract(name: str, why: str) -> None:
    with pytest.raises(ContractBroken, match=why) as broken:
        evolved("bills/*.csv", {"fine": "STRING", name: "STRING"})
    assert broken.value.metadata["column"] == name[:80]


def test_names_that_differ_in_case_only_and_too_many_break_the_contract() -> None:
    with pytest.raises(ContractBroken, match="stands there as Tax too"):
        evolved("a.csv", {"Tax": "STRING", "tax": "STRING"})
    with pytest.raises(ContractBroken, match=r"1001 new columns.*allowed are 1000"):
        evolved("a.csv", {f"c{i}": "STRING" for i in range(MOST_COLUMNS + 1)})
