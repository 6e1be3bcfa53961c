"""Parquet: any row groups, every value as a text that loses nothing."""

import datetime as dt
import gc
import io
import json
import struct
import uuid
import weakref
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.failures import ColumnMissing, MemoryExceeded, SourceEmpty, SourceMalformed
from services.ingest.sources import parquet_batches, parquet_file
from services.ingest.sources.parquet_pages import pages
from services.ingest.stores.store import Blob
from tests.support.examples import examples
from tests.unit.ingest.reading import columns, files, read_all, read_bytes, reading, splitting


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


def cell_of(value: object, type_: pa.DataType, column: str) -> object:
    """Return what one value of a type is handed over as to a schema's column."""
    data = parquet(pa.table({"a": pa.array([value], type_)}))
    ((found,),) = read_bytes("parquet", data, columns(f"a {column}")).texts
    return found


@given(
    values=st.lists(st.integers(0, 99) | st.none(), min_size=1, max_size=30),
    group=st.integers(1, 10),
    chunk_bytes=st.sampled_from([1, 100, 1_000_000]),
)
@settings(deadline=None, max_examples=examples(40))
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


def test_a_footer_goes_with_its_chunk_and_awaits_no_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footers: list[weakref.ref[object]] = []

    class Noted(parquet_batches.Batches):
        def __init__(self, blob: Blob, name: str, metadata: pq.FileMetaData, *rest: Any) -> None:
            footers.append(weakref.ref(metadata))
            super().__init__(blob, name, metadata, *rest)

    monkeypatch.setattr(parquet_file, "Batches", Noted)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(parquet(pa.table({"a": list(range(9))})))
    gc.disable()
    try:
        assert len(read_all(files(tmp_path, "parquet"), columns("a")).rows) == 9
    finally:
        gc.enable()
    assert [footer() for footer in footers] == [None, None]


def doubles(code: str, size: int) -> st.SearchStrategy[float]:
    """Return any finite floats by their bits."""
    bits = st.binary(min_size=size, max_size=size)
    return bits.map(lambda raw: float(struct.unpack(code, raw)[0])).filter(
        lambda v: v == v and abs(v) != float("inf")
    )


@given(value=doubles("d", 8))
@settings(deadline=None, max_examples=examples(60))
def test_a_double_is_the_shortest_decimal_that_is_it_again(value: float) -> None:
    text = text_of(value, pa.float64())
    assert text is not None
    assert float(text) == value
    assert Decimal(text) == Decimal(repr(value))


@given(value=doubles("f", 4))
@settings(deadline=None, max_examples=examples(60))
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
@settings(deadline=None, max_examples=examples(60))
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
        ([("k", "a"), ("k", "b")], pa.map_(pa.string(), pa.string()), '{"k":"a","k":"b"}'),
        ([("k", [1]), ("k", [])], pa.map_(pa.string(), pa.list_(pa.int8())), '{"k":[1],"k":[]}'),
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


def test_a_row_is_shown_as_the_texts_of_all_its_columns(tmp_path: Path) -> None:
    data = parquet(
        pa.table({"z": [str(i) for i in range(9)], "a": range(9), "y": [[i] for i in range(9)]}),
        row_group_size=4,
    )
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(data)
    source = files(tmp_path, "parquet")
    (chunk,) = source.plan(splitting(columns("a"))).chunks
    shown = [
        batch.raw_rows([i for i, number in enumerate(batch.row_numbers) if number in {1, 3, 8}])
        for batch in source.read(chunk, reading(columns("a")))
    ]
    assert [json.loads(row) for rows in shown for row in rows] == [
        {"z": str(i), "a": str(i), "y": f"[{i}]"} for i in (1, 3, 8)
    ]


def test_columns_that_nobody_asks_for_are_not_read(tmp_path: Path) -> None:
    table = pa.table({"a": range(5), "z": ["x" * 1000] * 5, "b.c": range(5), "b": range(5)})
    data = bytearray(parquet(table, compression="none", use_dictionary=False))
    at = data.index(b"xxxx")
    data[at - 30 : at + 40] = bytes(70)
    found = read_bytes("parquet", bytes(data), columns("a", "b.c STRING", "b"))
    assert found.texts == [(str(i),) * 3 for i in range(5)]


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


UTC = dt.UTC
DAY = dt.date(2026, 11, 1)
MOMENT = dt.datetime(2026, 11, 1, 1, 2, 3, 456789)  # noqa: DTZ001 a column without zone


@pytest.mark.parametrize(
    ("value", "type_", "column", "cell"),
    [
        (7, pa.int8(), "INT64", 7),
        (2**63 - 1, pa.uint64(), "INT64", 2**63 - 1),
        (2**63, pa.uint64(), "INT64", "9223372036854775808"),
        (10.0, pa.float64(), "INT64", 10),
        (1e16, pa.float64(), "INT64", 10**16),
        (-0.0, pa.float64(), "INT64", 0),
        (-(2.0**63), pa.float64(), "INT64", -(2**63)),
        (2.0**63, pa.float64(), "INT64", "9.223372036854776e+18"),
        (1.5, pa.float64(), "INT64", "1.5"),
        (float("nan"), pa.float64(), "INT64", "nan"),
        (0.1, pa.float64(), "FLOAT64", 0.1),
        (0.1, pa.float32(), "FLOAT64", "0.1"),
        (0.5, pa.float16(), "FLOAT64", "0.5"),
        (3, pa.int64(), "FLOAT64", 3.0),
        (True, pa.bool_(), "BOOL", True),
        (1, pa.int8(), "BOOL", "1"),
        (Decimal("1.50"), pa.decimal32(9, 2), "NUMERIC", Decimal("1.5")),
        (Decimal("1.50"), pa.decimal64(18, 2), "NUMERIC(9,2)", Decimal("1.5")),
        (Decimal("1.500"), pa.decimal128(38, 18), "NUMERIC", Decimal("1.5")),
        (Decimal("0.0000000001"), pa.decimal128(38, 18), "NUMERIC", "0.000000000100000000"),
        (Decimal(10) ** 20, pa.decimal128(38, 9), "BIGNUMERIC", "1" + "0" * 20 + "." + "0" * 9),
        (Decimal("-1.50"), pa.decimal256(76, 20), "BIGNUMERIC", Decimal("-1.5")),
        (Decimal(10) ** 50, pa.decimal256(76, 20), "BIGNUMERIC", "1" + "0" * 50 + "." + "0" * 20),
        (2**64 - 1, pa.uint64(), "BIGNUMERIC", Decimal(2**64 - 1)),
        (0.1, pa.float64(), "BIGNUMERIC", "0.1"),
        (DAY, pa.date32(), "DATE", DAY),
        (DAY, pa.date64(), "DATE", DAY),
        (DAY, pa.date32(), "TIMESTAMP", "2026-11-01"),
        (MOMENT, pa.timestamp("us"), "DATETIME", MOMENT),
        (MOMENT, pa.timestamp("us"), "TIMESTAMP", MOMENT.replace(tzinfo=UTC)),
        (MOMENT, pa.timestamp("us", "Asia/Tokyo"), "TIMESTAMP", MOMENT.replace(tzinfo=UTC)),
        (MOMENT, pa.timestamp("us", "UTC"), "DATETIME", "2026-11-01 01:02:03.456789Z"),
        (MOMENT, pa.timestamp("ns", "UTC"), "TIMESTAMP", MOMENT.replace(tzinfo=UTC)),
        (1, pa.timestamp("ns"), "DATETIME", "1970-01-01 00:00:00.000000001"),
        (2**58, pa.timestamp("ms"), "TIMESTAMP", "<value out of range: 288230376151711744>"),
        (dt.time(1, 2, 3, 4), pa.time64("us"), "TIME", dt.time(1, 2, 3, 4)),
        (dt.time(1, 2, 3), pa.time32("s"), "TIME", dt.time(1, 2, 3)),
        (1, pa.time64("ns"), "TIME", "00:00:00.000000001"),
        (b"\xff", pa.binary(), "BYTES", b"\xff"),
        (b"ab", pa.binary(2), "BYTES", b"ab"),
        (["x", None], pa.list_(pa.string()), "STRING REPEATED", ["x", None]),
        ([1], pa.list_(pa.int64()), "STRING REPEATED", "[1]"),
        (["x"], pa.list_(pa.string()), "JSON", '["x"]'),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_a_value_that_a_column_holds_as_it_is_goes_on_in_its_type(
    value: object, type_: pa.DataType, column: str, cell: object
) -> None:
    found = cell_of(value, type_, column)
    assert type(found) is type(cell)
    assert found == cell


@given(value=doubles("d", 8))
@settings(deadline=None, max_examples=examples(200))
def test_a_double_of_money_is_the_shortest_decimal_that_is_it_again(value: float) -> None:
    assert Decimal(str(cell_of(value, pa.float64(), "BIGNUMERIC"))) == Decimal(repr(value))


@pytest.mark.parametrize("column", ["INT64", "NUMERIC", "TIMESTAMP", "TIME"])
def test_one_cell_that_does_not_fit_leaves_those_beside_it_what_they_are(column: str) -> None:
    arrays = {
        "INT64": pa.array([1.0, 1e17, 0.5, None]),
        "NUMERIC": pa.array([Decimal(1), Decimal("1E-10"), None], pa.decimal128(38, 10)),
        "TIMESTAMP": pa.array([1000, 1, None], pa.timestamp("ns", "UTC")),
        "TIME": pa.array([1000, 1, None], pa.time64("ns")),
    }
    texts = {
        "INT64": ["1", "100000000000000000", "0.5", None],
        "NUMERIC": ["1.0000000000", "0.0000000001", None],
        "TIMESTAMP": ["1970-01-01 00:00:00.000001000Z", "1970-01-01 00:00:00.000000001Z", None],
        "TIME": ["00:00:00.000001000", "00:00:00.000000001", None],
    }
    data = parquet(pa.table({"a": arrays[column]}))
    found = read_bytes("parquet", data, columns(f"a {column}")).texts
    assert [cell for (cell,) in found] == texts[column]


def test_int96_moments_are_exact_in_any_year() -> None:
    moments = pa.array([0, 10**9 + 5_000, -(10**9), None], pa.timestamp("ns"))
    data = parquet(
        pa.table({"a": moments}),
        use_deprecated_int96_timestamps=True,
        use_dictionary=False,
        compression="none",
    )
    found = read_bytes("parquet", data, columns("a DATETIME")).texts
    epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001 a column without zone
    micros = [0, 10**6 + 5, -(10**6)]
    assert found == [*((epoch + dt.timedelta(microseconds=m),) for m in micros), (None,)]
    # Day 5373484 of the Julian calendar is 9999-12-31, beyond what 64 bits of nanoseconds reach.
    last = struct.pack("<qi", 86_399_999_999_000, 5_373_484)
    far = data.replace(struct.pack("<qi", 0, 2_440_588), last)
    ((first,), *_) = read_bytes("parquet", far, columns("a TIMESTAMP")).batches[0].rows.rows()
    assert first == dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    fine = data.replace(struct.pack("<qi", 0, 2_440_588), struct.pack("<qi", 1, 5_373_484))
    (first, second, *_) = read_bytes("parquet", fine, columns("a DATETIME")).texts
    assert first == ("9999-12-31 00:00:00.000000001",)
    assert second == ("1970-01-01 00:00:01.000005000",)


def test_broken_checksums_fail_the_chunk() -> None:
    table = pa.table({"a": range(100)})
    data = bytearray(
        parquet(table, write_page_checksum=True, compression="none", use_dictionary=False)
    )
    data[data.index(struct.pack("<q", 50))] ^= 1
    with pytest.raises(SourceMalformed, match="cannot be read"):
        read_bytes("parquet", bytes(data), columns("a"))


def test_a_row_group_of_any_size_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_batches, "MOST_PAGE_BYTES", 3000)
    table = pa.table({"a": [f"{i:0100d}" for i in range(1000)]})
    small_pages: dict[str, Any] = {"data_page_size": 2000, "write_batch_size": 10}
    data = parquet(table, use_dictionary=False, compression="none", **small_pages)
    found = read_bytes("parquet", data, columns("a"))
    assert len(found.plan.chunks) == 1
    assert found.texts == [(f"{i:0100d}",) for i in range(1000)]


def test_a_page_that_is_too_large_is_refused_when_it_is_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet_batches, "MOST_PAGE_BYTES", 3000)
    table = pa.table({"b": range(1000), "a": [f"{i:0100d}" for i in range(1000)]})
    data = parquet(table, use_dictionary=False, row_group_size=500)
    with pytest.raises(
        MemoryExceeded, match=r"row group 0 has a page of 5[0-9]{4} bytes in a"
    ) as no:
        read_bytes("parquet", data, columns("a"))
    assert no.value.metadata["allowed"] == "3000 bytes"


def test_headers_that_are_none_refuse_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_batches, "MOST_PAGE_BYTES", 100)
    table = pa.table({"a": [f"{i:0100d}" for i in range(100)]})
    data = bytearray(parquet(table, use_dictionary=False, compression="none"))
    for junk in (b"\xff" * 30, b"\x1c" * 30, b"\x00" * 30, b"\x15\x01" * 15):
        data[4:34] = junk
        with pytest.raises(SourceMalformed, match="row group 0 cannot be read"):
            read_bytes("parquet", bytes(data), columns("a"))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_page_of_a_column_is_found(version: str) -> None:
    table = pa.table({"a": [f"{i % 400:030d}" for i in range(5000)], "b": [None, *range(4999)]})
    data = parquet(table, data_page_size=1000, write_batch_size=100, data_page_version=version)
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    for i in range(2):
        chunk = group.column(i)
        start = chunk.dictionary_page_offset
        found = list(pages(io.BytesIO(data), start, start + chunk.total_compressed_size))
        assert len(found) > 5
        assert sum(page.value_count for page in found[1:]) == 5000


def test_a_few_large_rows_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_batches, "BATCH_BYTES", 100_000)
    texts = ["x"] * 5000 + ["y" * 50_000] * 40
    data = parquet(pa.table({"a": texts}), use_dictionary=False, compression="none")
    found = read_bytes("parquet", data, columns("a"))
    assert found.texts == [(text,) for text in texts]
    assert max(batch.read_bytes for batch in found.batches) < 500_000
