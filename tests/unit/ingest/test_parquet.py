"""Parquet: any row groups, every value as a text that loses nothing."""

import datetime as dt
import io
import json
import struct
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.failures import ColumnMissing, SourceEmpty, SourceMalformed
from tests.unit.ingest.reading import columns, read_bytes


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Return a table as a file's bytes."""
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def text_of(value: object, type_: pa.DataType) -> str | None:
    """Return the text that one value of a type is read as."""
    data = parquet(pa.table({"a": pa.array([value], type_)}))
    ((found,),) = read_bytes("parquet", data, columns("a")).texts
    return found


@given(
    values=st.lists(st.integers(0, 99) | st.none(), min_size=1, max_size=30),
    group=st.integers(1, 10),
    chunk_bytes=st.sampled_from([1, 100, 1_000_000]),
)
@settings(deadline=None, max_examples=40)
def test_row_groups_cut_anywhere_are_read_once_each(
    values: list[int | None], group: int, chunk_bytes: int
) -> None:
    table = pa.table({"a": pa.array(values, pa.int64()), "b": [str(v) for v in values]})
    found = read_bytes(
        "parquet",
        parquet(table, row_group_size=group),
        columns("b", "a"),
        chunk_bytes=chunk_bytes,
    )
    texts = [(str(v), None if v is None else str(v)) for v in values]
    assert found.rows == list(enumerate(texts))
    assert sum(c.expected_row_count or 0 for c in found.plan.chunks) == len(values)


def test_small_row_groups_are_put_together_and_large_ones_stand_alone() -> None:
    data = parquet(pa.table({"a": list(range(100))}), row_group_size=10)
    assert len(read_bytes("parquet", data, columns("a"), chunk_bytes=1).plan.chunks) == 10
    assert len(read_bytes("parquet", data, columns("a")).plan.chunks) == 1


def doubles(code: str, size: int) -> st.SearchStrategy[float]:
    """Return any finite floats by their bits."""
    bits = st.binary(min_size=size, max_size=size)
    return bits.map(lambda raw: float(struct.unpack(code, raw)[0])).filter(
        lambda v: v == v and abs(v) != float("inf")
    )


@given(value=doubles("d", 8))
@settings(deadline=None, max_examples=60)
def test_a_double_is_the_shortest_decimal_that_is_it_again(value: float) -> None:
    text = text_of(value, pa.float64())
    assert text is not None
    assert float(text) == value
    assert Decimal(text) == Decimal(repr(value))


@given(value=doubles("f", 4))
@settings(deadline=None, max_examples=60)
def test_a_float_of_32_bits_is_the_decimal_of_at_most_nine_digits(value: float) -> None:
    text = text_of(value, pa.float32())
    assert text is not None
    assert struct.unpack("f", struct.pack("f", float(text)))[0] == value
    assert len(Decimal(text).normalize().as_tuple().digits) <= 9


@given(
    digits=st.integers(-(10**38) + 1, 10**38 - 1),
    scale=st.integers(0, 38),
    wide=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_a_decimal_is_its_digits(digits: int, scale: int, wide: bool) -> None:
    value = Decimal(f"{digits}E-{scale}")
    type_ = pa.decimal256(76, scale) if wide else pa.decimal128(38, scale)
    text = text_of(value, type_)
    assert text is not None
    assert Decimal(text) == value


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (None, pa.string(), None),
        ("", pa.string(), ""),
        ("é", pa.large_string(), "é"),
        (True, pa.bool_(), "true"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (0.1, pa.float32(), "0.1"),
        (float("nan"), pa.float64(), "nan"),
        (dt.date(2026, 11, 1), pa.date32(), "2026-11-01"),
        (dt.date(2026, 11, 1), pa.date64(), "2026-11-01"),
        (dt.time(1, 2, 3, 4), pa.time64("us"), "01:02:03.000004"),
        (1, pa.time64("ns"), "00:00:00.000000001"),
        (1_000_004, pa.timestamp("us"), "1970-01-01 00:00:01.000004"),
        (1, pa.timestamp("ns"), "1970-01-01 00:00:00.000000001"),
        (
            dt.datetime(2026, 11, 1, 1, 2, 3, tzinfo=dt.UTC),
            pa.timestamp("ms", "Europe/Berlin"),
            "2026-11-01 01:02:03.000Z",
        ),
        (b"ab\xff", pa.binary(), "YWL/"),
        (b"ab", pa.binary(2), "YWI="),
        (["x", None], pa.list_(pa.string()), '["x",null]'),
        ([], pa.list_(pa.string()), "[]"),
        ([0.1], pa.list_(pa.float32()), "[0.1]"),
        (
            {"n": Decimal("1.10"), "f": 0.1, "b": b"a", "d": dt.date(2026, 1, 1)},
            pa.struct(
                {"n": pa.decimal128(9, 2), "f": pa.float64(), "b": pa.binary(), "d": pa.date32()}
            ),
            '{"n":1.10,"f":0.1,"b":"YQ==","d":"2026-01-01"}',
        ),
        ([("k", 1)], pa.map_(pa.string(), pa.int64()), '{"k":1}'),
        ([], pa.map_(pa.string(), pa.int64()), "{}"),
        (
            {"m": [("k", [Decimal("0.10")])]},
            pa.struct({"m": pa.map_(pa.string(), pa.list_(pa.decimal128(9, 2)))}),
            '{"m":{"k":[0.10]}}',
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_a_value_is_read_as_text(value: object, type_: pa.DataType, text: str | None) -> None:
    assert text_of(value, type_) == text


def test_a_dictionary_column_is_read_as_its_values() -> None:
    table = pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()})
    assert read_bytes("parquet", parquet(table), columns("a")).texts == [("x",), ("y",), ("x",)]


def test_a_uuid_is_read_as_people_write_it() -> None:
    value = uuid.UUID("12345678-1234-5678-1234-567812345678")
    storage = pa.array([value.bytes], pa.binary(16))
    table = pa.table({"a": pa.ExtensionArray.from_storage(pa.uuid(), storage)})
    assert read_bytes("parquet", parquet(table), columns("a")).texts == [(str(value),)]


def test_nested_nanoseconds_that_would_be_cut_refuse_the_file_by_name() -> None:
    data = parquet(pa.table({"a": pa.array([[1]], pa.list_(pa.timestamp("ns")))}))
    with pytest.raises(SourceMalformed, match="f: a column has a type that is not read"):
        read_bytes("parquet", data, columns("a"))


def test_unknown_columns_are_kept_in_extra_and_named_in_the_plan() -> None:
    data = parquet(pa.table({"A": ["1"], "z": [[1.5]], "y": ["q"]}))
    found = read_bytes("parquet", data, columns("a", "extra JSON"))
    ((a, extra),) = found.texts
    assert (a, json.loads(extra or "")) == ("1", {"z": "[1.5]", "y": "q"})
    assert found.plan.extra_columns == ("z", "y")


def test_a_row_is_shown_as_the_texts_of_all_its_columns() -> None:
    data = parquet(pa.table({"a": [1, 2], "z": ["x", None]}))
    shown = read_bytes("parquet", data, columns("a")).batches[0].raw_rows([1])
    assert shown == ['{"a": "2", "z": null}']


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", SourceMalformed),
        (b"PAR1 no PAR1", SourceMalformed),
        (parquet(pa.table({"a": pa.array([], pa.int64())})), SourceEmpty),
        (parquet(pa.table({"b": [1]})), ColumnMissing),
        (parquet(pa.table([[1], [2]], names=["a", "a"])), SourceMalformed),
    ],
    ids=["no bytes", "no Parquet", "no rows", "a column missing", "a name twice"],
)
def test_a_file_that_cannot_be_read_is_refused_when_it_is_planned(
    data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"^f\b"):
        read_bytes("parquet", data, columns("a"))


def test_broken_pages_fail_the_chunk_as_a_malformed_file() -> None:
    data = bytearray(
        parquet(pa.table({"a": ["some text that fills a page"] * 50}), compression="gzip")
    )
    data[8:60] = bytes(52)
    with pytest.raises(SourceMalformed, match="f: row groups 0 to 0 cannot be read"):
        read_bytes("parquet", bytes(data), columns("a"))
