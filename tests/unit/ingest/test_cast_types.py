"""Every type's forms: each text is its value, or it is named and nothing lands."""

import dataclasses
import datetime as dt
import json
import math
import struct

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.casting.cast import CastBatch, cast
from services.ingest.casting.exact import CUT
from services.ingest.columns import TargetColumn
from services.ingest.verdicts import Verdicts
from tests.support.examples import examples
from tests.unit.ingest.reading import lost

UTC = dt.UTC


def cast_texts(spec: str, *texts: str | None) -> CastBatch:
    """Cast texts to one column `c` of `TYPE` or `TYPE MODE`."""
    frame = pl.DataFrame({"c": pl.Series(list(texts), dtype=pl.String)})
    return cast(frame, [TargetColumn.parse("c", *spec.split())])


def day(*parts: int) -> dt.datetime:
    return dt.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 civil times have no zone


def moment(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        ("STRING", "", ""),
        ("STRING", " x ", " x "),
        ("STRING(2)", "é😀", "é😀"),
        ("INT64", "-0", 0),
        ("INT64", " +007 ", 7),
        ("INT64", "10.0", 10),
        ("INT64", "10.", 10),
        ("INT64", "9223372036854775807", 2**63 - 1),
        ("INT64", "-9223372036854775808", -(2**63)),
        ("FLOAT64", "0.1", 0.1),
        ("FLOAT64", "-1e308", -1e308),
        ("FLOAT64", "5e-324", 5e-324),
        ("FLOAT64", "0.0e-999", 0.0),
        ("FLOAT64", "-inf", -math.inf),
        ("BOOL", "TRUE", True),
        ("BOOL", "false", False),
        ("BOOL", "1", True),
        ("BOOL", "0", False),
        ("DATE", "0001-01-01", dt.date(1, 1, 1)),
        ("DATE", "9999-12-31", dt.date(9999, 12, 31)),
        ("DATE", "2024-02-29", dt.date(2024, 2, 29)),
        ("DATE", "2026-11-01T00:00:00Z", dt.date(2026, 11, 1)),
        ("DATE", "2026-11-01 00:00", dt.date(2026, 11, 1)),
        ("DATETIME", "2026-11-01", day(2026, 11, 1)),
        ("DATETIME", "2026-11-01 10:20", day(2026, 11, 1, 10, 20)),
        ("DATETIME", "2026-11-01T10:20:30.123456000", day(2026, 11, 1, 10, 20, 30, 123456)),
        ("DATETIME", "9999-12-31 23:59:59.999999", day(9999, 12, 31, 23, 59, 59, 999999)),
        ("TIMESTAMP", "2026-11-01", moment(2026, 11, 1)),
        ("TIMESTAMP", "2026-11-01 10:20:30", moment(2026, 11, 1, 10, 20, 30)),
        ("TIMESTAMP", "2026-11-01T10:20:30.5Z", moment(2026, 11, 1, 10, 20, 30, 500000)),
        ("TIMESTAMP", "2026-11-01 10:20:30 UTC", moment(2026, 11, 1, 10, 20, 30)),
        ("TIMESTAMP", "2026-11-01T10:20+05:30", moment(2026, 11, 1, 4, 50)),
        ("TIMESTAMP", "2026-11-01T10:20:30-0800", moment(2026, 11, 1, 18, 20, 30)),
        ("TIMESTAMP", "2026-11-01 10:20:30 +14", moment(2026, 10, 31, 20, 20, 30)),
        ("DATE", "20261101", dt.date(2026, 11, 1)),
        ("TIMESTAMP", "20261101T102030Z", moment(2026, 11, 1, 10, 20, 30)),
        ("TIMESTAMP", "20261101T1020+0530", moment(2026, 11, 1, 4, 50)),
        ("DATETIME", "20261101T102030.5", day(2026, 11, 1, 10, 20, 30, 500000)),
        ("TIMESTAMP", "2026-11-01T10:20:30,5Z", moment(2026, 11, 1, 10, 20, 30, 500000)),
        ("TIMESTAMP", "1969-12-31 23:59:59.999999", moment(1969, 12, 31, 23, 59, 59, 999999)),
        ("TIME", "10:20", dt.time(10, 20)),
        ("TIME", "00:00:00", dt.time(0)),
        ("TIME", "23:59:59.999999", dt.time(23, 59, 59, 999999)),
        ("TIME", "10:20:30.5000000", dt.time(10, 20, 30, 500000)),
        ("JSON", ' {"k": 1.50} ', '{"k": 1.50}'),
        ("JSON", "null", "null"),
        ("JSON", '"x"', '"x"'),
        ("BYTES", "YWJj", b"abc"),
        ("BYTES(3)", "YWJj", b"abc"),
        ("STRING REPEATED", '["a", ""]', ["a", ""]),
        ("STRING REPEATED", "[ ]", []),
    ],
    ids=str,
)
def test_a_text_is_its_value(spec: str, text: str, value: object) -> None:
    found = cast_texts(spec, text)
    (cell,) = found.frame["c"].to_list()
    assert (cell, type(cell)) == (value, type(value))
    assert lost(found) == {}


@pytest.mark.parametrize(
    ("spec", "text", "allowed"),
    [
        ("STRING(2)", "abc", "at most 2 characters"),
        *(
            ("INT64", text, "a whole number of 64 bits")
            for text in (
                "1.5",
                "1e3",
                "+-5",
                "++5",
                "1_000",
                "0x10",
                "9223372036854775808",
                "٣",
                "x",
            )
        ),
        *(
            ("FLOAT64", text, "a number from 5e-324 to 1.8e308, 0, nan or inf")
            for text in ("1e400", "-1e400", "1e-400", "1,5", "1_0", "0x1p3", "x")
        ),
        *(("BOOL", text, "true or false") for text in ("yes", "t", "2", "1.0")),
        *(
            ("DATE", text, "YYYY-MM-DD")
            for text in (
                "0000-01-01",
                "2026-02-30",
                "2026-1-1",
                "01.02.2026",
                "2026-01-01 10:00",
                "x",
            )
        ),
        *(
            ("DATETIME", text, "YYYY-MM-DD HH:MM:SS with at most 6 fraction digits and no offset")
            for text in (
                "2026-11-01T10:20:30Z",
                "2026-11-01 10:20:30.1234567",
                "0000-01-01 00:00",
                "x",
            )
        ),
        *(
            (
                "TIMESTAMP",
                text,
                "YYYY-MM-DD HH:MM:SS with at most 6 fraction digits and an offset or none",
            )
            for text in (
                "2026-11-01 10:20:30.1234567",
                "2026-11-01 24:00:00",
                "2026-11-01 10:20.5",
                "2026-11-01 10",
                "20261101",
                "20261101T10:20:30",
                "2026-11-01 23:59:60",
                "2026-11-01 10:20:30+15:00",
                "2026-11-01 10:20:30+05:60",
                "2026-11-01 10:20:30 CET",
                "9999-12-31T23:59:59-05:00",
                "0001-01-01T00:00:00+05:00",
                "1764979200",
            )
        ),
        *(
            ("TIME", text, "HH:MM:SS with at most 6 fraction digits and no offset")
            for text in (
                "10",
                "1020",
                "T10:20",
                "24:00",
                "10:20:30+02:00",
                "10:20:30.1234567",
                "10:20:60",
            )
        ),
        *(
            ("JSON", text, "a JSON value, no name twice in an object, at most 100 levels")
            for text in ("x", "{", "NaN", '{"k":1,"k":2}', "[" * 101 + "]" * 101, '"\\ud800"')
        ),
        ("BYTES", "abc", "base64"),
        ("BYTES", "YW Jj", "base64"),
        ("BYTES(2)", "YWJj", "at most 2 bytes, as base64"),
        *(
            ("STRING REPEATED", text, "a JSON array of texts")
            for text in ("x", '["a",1]', "[null]", '{"a":"b"}', '["a"')
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_text_that_does_not_fit_is_named_with_what_is_allowed(
    spec: str, text: str, allowed: str
) -> None:
    found = cast_texts(spec, text)
    assert found.frame["c"].to_list() == [[] if "REPEATED" in spec else None]
    assert lost(found) == {0: [f"CAST c: found {text[:80]!r}; allowed is {allowed}"]}


ALL = ("STRING", "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL", "DATE", "DATETIME", "TIME",
       "TIMESTAMP", "JSON", "BYTES")  # fmt: skip


@pytest.mark.parametrize("type_", ALL)
def test_an_absent_value_is_null_and_no_misfit(type_: str) -> None:
    found = cast_texts(type_, None)
    assert (found.frame["c"].to_list(), lost(found)) == ([None], {})


@pytest.mark.parametrize("type_", [type_ for type_ in ALL if type_ != "STRING"])
@pytest.mark.parametrize("text", ["", "  "], ids=["nothing", "blanks"])
def test_an_empty_text_is_null_for_every_type_but_string(type_: str, text: str) -> None:
    found = cast_texts(type_, text)
    assert (found.frame["c"].to_list(), lost(found)) == ([None], {})


@pytest.mark.parametrize("type_", ALL)
def test_an_absent_value_of_a_required_column_is_named(type_: str) -> None:
    found = cast_texts(f"{type_} REQUIRED", None)
    assert list(lost(found)) == [0]
    assert lost(found)[0][0].startswith("CAST c: found nothing; allowed is ")


def test_an_absent_list_is_empty() -> None:
    assert cast_texts("STRING REPEATED", None, "").frame["c"].to_list() == [[], []]


def test_a_row_of_several_misfits_names_each_and_blames_the_first() -> None:
    columns = [TargetColumn.parse("a", "INT64"), TargetColumn.parse("b", "DATE")]
    frame = pl.DataFrame({"a": ["1", "x", None], "b": ["2026-01-01", "y", "z"]})
    found = cast(frame, columns)
    assert lost(found) == {
        1: [
            "CAST a: found 'x'; allowed is a whole number of 64 bits",
            "CAST b: found 'y'; allowed is YYYY-MM-DD",
        ],
        2: ["CAST b: found 'z'; allowed is YYYY-MM-DD"],
    }
    verdicts = Verdicts()
    verdicts.misfits(found.misfits)
    assert verdicts.blamed == {("CAST", "a"): 1, ("CAST", "b"): 1}


@pytest.mark.parametrize(
    ("type_", "texts", "count"),
    [
        ("INT64", ["10.0", "10", "1.", "x.0"], 2),
        ("BOOL", ["1", "0", "true", "2"], 2),
        ("DATE", ["2026-01-01 00:00", "2026-01-01", "2026-01-01 10:00"], 1),
        ("STRING", ["10.0"], 0),
    ],
    ids=["INT64", "BOOL", "DATE", "STRING"],
)
def test_cells_that_are_read_as_another_type_without_loss_are_counted(
    type_: str, texts: list[str], count: int
) -> None:
    expected = {("c", f"read as {type_}"): count} if count else {}
    assert cast_texts(type_, *texts).coerced == expected


@given(value=st.integers(-(2**63), 2**63 - 1))
@settings(deadline=None, max_examples=examples(100))
def test_any_integer_of_64_bits_is_itself(value: int) -> None:
    assert cast_texts("INT64", str(value)).frame["c"].to_list() == [value]


@given(raw=st.binary(min_size=8, max_size=8))
@settings(deadline=None, max_examples=examples(100))
def test_any_double_is_itself(raw: bytes) -> None:
    (value,) = struct.unpack("d", raw)
    (found,) = cast_texts("FLOAT64", repr(value)).frame["c"].to_list()
    assert found == value or (math.isnan(found) and math.isnan(value))


@given(value=st.datetimes(timezones=st.just(UTC)), hours=st.integers(-11, 14))
@settings(deadline=None, max_examples=examples(100))
def test_any_moment_is_itself_whatever_its_offset(value: dt.datetime, hours: int) -> None:
    if not 2 <= value.year <= 9998:
        hours = 0
    text = value.astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat()
    assert cast_texts("TIMESTAMP", text).frame["c"].to_list() == [value]


@given(value=st.datetimes())
@settings(deadline=None, max_examples=examples(100))
def test_any_civil_time_its_day_and_its_time_are_themselves(value: dt.datetime) -> None:
    assert cast_texts("DATETIME", value.isoformat()).frame["c"].to_list() == [value]
    assert cast_texts("DATE", value.date().isoformat()).frame["c"].to_list() == [value.date()]
    assert cast_texts("TIME", value.time().isoformat()).frame["c"].to_list() == [value.time()]


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
@settings(deadline=None, max_examples=examples(100))
def test_any_json_value_stays_its_text(value: object) -> None:
    text = json.dumps(value)
    assert cast_texts("JSON", text).frame["c"].to_list() == [text]


def cast_times(
    type_: str, texts: list[str | None], *, unit: int = 0, truncates: bool = False
) -> CastBatch:
    column = TargetColumn.parse("c", type_)
    column = dataclasses.replace(column, epoch_micros=unit, truncates=truncates)
    return cast(pl.DataFrame({"c": pl.Series(texts, dtype=pl.String)}), [column])


SECONDS, MILLIS, MICROS = 1_000_000, 1_000, 1
AT = moment(2025, 12, 6, 0, 0, 0, 123456)


@pytest.mark.parametrize(
    ("type_", "unit", "text", "value"),
    [
        ("TIMESTAMP", SECONDS, "1764979200.123456", AT),
        ("TIMESTAMP", SECONDS, " 1764979200.123456000 ", AT),
        ("TIMESTAMP", MILLIS, "1764979200123.456", AT),
        ("TIMESTAMP", MICROS, "1764979200123456", AT),
        ("TIMESTAMP", SECONDS, "1.764979200123456E9", AT),
        ("TIMESTAMP", SECONDS, "-0.000001", moment(1969, 12, 31, 23, 59, 59, 999999)),
        ("TIMESTAMP", SECONDS, "-62135596800", moment(1, 1, 1)),
        ("TIMESTAMP", SECONDS, "253402300799.999999", moment(9999, 12, 31, 23, 59, 59, 999999)),
        ("TIMESTAMP", SECONDS, "2025-12-06T00:00:00.123456Z", AT),
        ("DATETIME", SECONDS, "1764979200", day(2025, 12, 6)),
        ("DATE", SECONDS, "1764979200", dt.date(2025, 12, 6)),
        ("DATE", MILLIS, "-86400000", dt.date(1969, 12, 31)),
        ("DATE", SECONDS, "2025-12-06", dt.date(2025, 12, 6)),
    ],
)
def test_numbers_are_times_where_they_are_said_to_be(
    type_: str, unit: int, text: str, value: object
) -> None:
    found = cast_times(type_, [text], unit=unit)
    assert (found.frame["c"].to_list(), found.misfits, found.coerced) == ([value], (), {})


@pytest.mark.parametrize(
    ("type_", "unit", "text"),
    [
        ("TIMESTAMP", SECONDS, "1764979200.1234567"),
        ("TIMESTAMP", MICROS, "0.5"),
        ("TIMESTAMP", SECONDS, "253402300800"),
        ("TIMESTAMP", SECONDS, "-62135596801"),
        ("TIMESTAMP", SECONDS, "1e300"),
        ("DATE", SECONDS, "1764979201"),
        ("TIMESTAMP", SECONDS, "now"),
    ],
)
def test_numbers_that_are_no_time_of_the_type_are_named(type_: str, unit: int, text: str) -> None:
    found = cast_times(type_, [text], unit=unit)
    assert found.frame["c"].to_list() == [None]
    assert "allowed is seconds since 1970" in lost(found)[0][0] or unit == MICROS


def test_long_fractions_are_cut_off_and_counted_where_that_is_asked_for() -> None:
    texts = [
        "2026-11-01T10:20:30.123456789Z",
        "2026-11-01T10:20:30.1234560Z",
        "2026-11-01T10:20:30.123456Z",
        "1969-12-31T23:59:59.9999999Z",
    ]
    kept = cast_times("TIMESTAMP", [*texts], truncates=True)
    assert kept.frame["c"].to_list() == [
        *[moment(2026, 11, 1, 10, 20, 30, 123456)] * 3,
        moment(1969, 12, 31, 23, 59, 59, 999999),
    ]
    assert kept.coerced == {("c", CUT): 2}
    assert [misfit.row for misfit in cast_times("TIMESTAMP", [*texts]).misfits] == [0, 3]


def test_long_fractions_of_numbers_are_cut_off_towards_1970() -> None:
    found = cast_times("TIMESTAMP", ["0.0000019", "-0.0000019", "1"], unit=SECONDS, truncates=True)
    assert found.frame["c"].to_list() == [
        moment(1970, 1, 1, 0, 0, 0, 1),
        moment(1969, 12, 31, 23, 59, 59, 999999),
        moment(1970, 1, 1, 0, 0, 1),
    ]
    assert found.coerced == {("c", CUT): 2}
