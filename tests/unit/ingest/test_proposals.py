"""What the fast caster proposes is what the exact caster gives, for whatever texts stand together."""

import dataclasses
import datetime as dt
import json
import random

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.ingest.casting.cast import cast
from services.ingest.casting.exact import cast_exactly, coercions
from services.ingest.casting.json_cells import GROUP, proven_json, proven_lists
from services.ingest.casting.proposals import LEAF, propose
from services.ingest.columns import TargetColumn
from tests.support.examples import examples

EDITS = "0123456789+-.,:;TtZz eE/\t\n_xu\\\"'[]{}aN\u00a0\u0663\u2212é\x00"
NUMBERS = (
    "0", "-0", "+0", "-0.0", "00", "007", "+5", "-5", "10.0", "10.", ".5", "-.5", ".", "-", "+", "--1", "1_0",
    "1e3", "1E-3", "1e0003", "1e+05", "1e-324", "9e-324", "5e-324", "1e400", "0e999", "1e-10", "0x10", "1,5",
    "0.1234567891", "0.1234567895", "0.1234567890", "0.12345678949999", "1.000000000000000000", "9" * 19,
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "9" * 20, "9" * 29, "9" * 30, "9" * 38, "9" * 39, f"{'9' * 29}.{'9' * 9}", f"{'9' * 20}.{'9' * 18}",
    "0" * 199 + "1", "0" * 200 + "1", f"0.{'0' * 330}1", "nan", "NaN", "inf", "-inf", "Infinity", "٣", "\u22125",
    "1764979200", "1764979200.5", "1764979200.123456", "1764979200.1234567", "1764979200000", "-62135596800",
    "-62135596801", "253402300799", "253402300800", "253402300799.999999", "86400", "86399", "-0.0000005",
)  # fmt: skip
MOMENTS = (
    "2026-11-01", "20261101", "0001-01-01", "0000-01-01", "9999-12-31", "2026-02-29", "2024-02-29", "2026-13-01",
    "2026-11-01T10:20:30Z", "2026-11-01 10:20:30", "2026-11-01t10:20:30z", "2026-11-01T10:20", "2026-11-01 10",
    "2026-11-01T10Z", "2026-11-01T10:20:30.5", "2026-11-01T10:20.5", "2026-11-01T10:20:30,5Z",
    "2026-11-01T10:20:30.123456Z", "2026-11-01T10:20:30.1234567Z", "2026-11-01T10:20:30.1234560Z",
    "2026-11-01 10:20:30.123456789", "2026-11-01 10:20:30.123456000", "2026-11-01T10:20:30.Z",
    "2026-11-01T23:59:60Z", "2026-11-01T24:00:00Z", "2026-11-01 00:00:00", "2026-11-01T00:00:00.000Z",
    "2026-11-01T10:20:30+05:30", "2026-11-01T10:20:30-0800", "2026-11-01T10:20:30+14", "2026-11-01T10:20:30+15:00",
    "2026-11-01T10:20:30 UTC", "2026-11-01 10:20:30 +0000", "2026-11-01T10:20:30+05:60", "2026-11-01 10:20:30ZZ",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "20261101T102030Z",
    "20261101T1020", "20261101T102030.5+0530", "20261101T10:20:30", "2026-11-01T102030", "2026-1-1", "+026-11-01",
    "10:20", "10:20:30", "10:20:30.5", "10:20:30.1234567", "24:00:00", "10:20:60", "10:20:30Z", "1020", "10:20:30,5",
)  # fmt: skip
DOCUMENTS = (
    "{}", "[]", "null", "true", "1", "-1.50", "1e999", '"x"', '"a:b"', '{"k":1}', '{"k":1,"k":2}', '{"k" : {"k":1}}',
    '{"k":{"a":1,"a":2}}', '{"k":1', "1,2", "1],[2", '"a', 'b"', '{"a":"\\u0022:","a":1}', '{"a":1,"a":"\\u0022:"}',
    '{"a":1,"\\u0061":2}', '"\\ud800"', '"\\ud83d\\ude00"', "NaN", "Infinity", "01", "1.", ".5", "'x'", "[1,]", '{"a":1,}',
    "[" * 100 + "]" * 100, "[" * 101 + "]" * 101, "[" * 2000 + "]" * 2000, '["[[[["]', '{"a":"x:y"}', '"\x01"', '"\t"',
    '["a",""]', '["a",1]', "[null]", '[["a"]]', '["a"],["b"]', '["\\u00e9"]', '["é"]', "[ ]", "9" * 400, "\ufeff1",
)  # fmt: skip
OTHERS = (
    "true",
    "false",
    "TRUE",
    "False",
    "1",
    "0",
    "yes",
    "YWJj",
    "YWI=",
    "YWJ=",
    "YWI",
    "YW Jj",
    "YW-_",
    "====",
)


EVERY_TEXT = (*NUMBERS, *MOMENTS, *DOCUMENTS, *OTHERS)


def edited(text: str, seed: int) -> str:
    """Return a text with a few characters put in, taken out or replaced."""
    dice = random.Random(seed)
    for _ in range(dice.randint(1, 2)):
        at = dice.randint(0, len(text))
        text = text[:at] + dice.choice(("", *EDITS)) + text[at + dice.randint(0, 1) :]
    return text


def padded(text: str, pad: str) -> str:
    return pad[: len(pad) // 2] + text + pad[len(pad) // 2 :]


KNOWN = st.sampled_from(EVERY_TEXT)
TEXTS = st.one_of(
    KNOWN,
    st.builds(edited, KNOWN, st.integers(0, 10**9)),
    st.builds(padded, KNOWN, st.sampled_from([" ", "  ", "\t\t", "\u00a0 ", "\n\n"])),
    st.none(),
    st.sampled_from(["", " ", "\u2003"]),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats().map(repr),
    st.datetimes().map(dt.datetime.isoformat),
    st.datetimes(timezones=st.just(dt.UTC)).map(dt.datetime.isoformat),
    st.datetimes(timezones=st.just(dt.UTC)).map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z"),
    st.dates().map(dt.date.isoformat),
    st.times().map(dt.time.isoformat),
    st.text(EDITS, max_size=12),
)
SPECS = (
    "STRING", "STRING(3)", "INT64", "FLOAT64", "NUMERIC", "NUMERIC(10,2)", "NUMERIC(5)", "BIGNUMERIC", "BIGNUMERIC(38,18)",
    "BIGNUMERIC(4,4)", "BOOL", "DATE", "DATETIME", "TIME", "TIMESTAMP", "JSON", "BYTES", "BYTES(2)", "STRING REPEATED",
)  # fmt: skip
READINGS = [
    *((spec, {}) for spec in SPECS),
    *((spec, {"truncates": True}) for spec in ("TIMESTAMP", "DATETIME", "TIME")),
    *(
        (spec, {"epoch_micros": unit, "truncates": cut})
        for spec in ("TIMESTAMP", "DATETIME", "DATE")
        for unit in (1_000_000, 1_000, 1)
        for cut in (False, True)
    ),
]


def column_of(spec: str, fields: dict[str, int]) -> TargetColumn:
    return dataclasses.replace(TargetColumn.parse("c", *spec.split()), **fields)  # type: ignore[arg-type]


def held_against_the_exact_caster(texts: list[str | None], column: TargetColumn) -> None:
    rows = pl.DataFrame({"c": pl.Series(texts, dtype=pl.String)})
    exact = cast_exactly(rows["c"], column)
    proposed = propose(rows, [column])["c"]
    assert proposed.dtype == exact.dtype == column.dtype
    sure = proposed.is_not_null()
    assert same(proposed.filter(sure), exact.filter(sure)), proposed.to_list()
    assert coercions(rows["c"].filter(sure), proposed.filter(sure), column) == {}
    found = cast(rows, [column])
    absent = exact.fill_null(pl.Series([[]], dtype=column.dtype)) if column.repeated else exact
    assert same(found.frame["c"], absent)
    assert {k: n for (_, k), n in found.coerced.items()} == coercions(rows["c"], exact, column)
    blank = column.type != "STRING" or column.repeated
    there = [t is not None and (not blank or t.strip() != "") for t in texts]
    lost = [i for i, value in enumerate(exact.to_list()) if value is None and there[i]]
    assert [misfit.row for misfit in found.misfits] == lost


def same(one: pl.Series, other: pl.Series) -> bool:
    """Return whether two columns hold the same values; repr tells -0.0, and NaN is NaN."""
    return list(map(repr, one.to_list())) == list(map(repr, other.to_list()))


@pytest.mark.parametrize(("spec", "fields"), READINGS, ids=str)
@given(texts=st.lists(TEXTS, max_size=8))
@example(texts=list(NUMBERS))
@example(texts=list(MOMENTS))
@example(texts=list(DOCUMENTS))
@example(texts=list(OTHERS))
@settings(deadline=None, max_examples=examples(15))
def test_a_proposal_is_what_the_exact_caster_gives(
    spec: str, fields: dict[str, int], texts: list[str | None]
) -> None:
    held_against_the_exact_caster(texts, column_of(spec, fields))


@pytest.mark.parametrize(("spec", "fields"), READINGS, ids=str)
def test_each_text_alone_is_what_the_exact_caster_gives(spec: str, fields: dict[str, int]) -> None:
    column, rows = column_of(spec, fields), pl.DataFrame({"c": EVERY_TEXT})
    alone = [propose(rows.slice(at, 1), [column])["c"] for at in range(len(rows))]
    exact, proposed = cast_exactly(rows["c"], column), pl.concat(alone)
    sure = proposed.is_not_null()
    assert same(proposed.filter(sure), exact.filter(sure)), proposed.to_list()
    assert coercions(rows["c"].filter(sure), proposed.filter(sure), column) == {}


@pytest.mark.parametrize(("spec", "fields"), READINGS, ids=str)
def test_what_the_exact_caster_gives_for_a_text_depends_on_no_other(
    spec: str, fields: dict[str, int]
) -> None:
    column, texts = column_of(spec, fields), pl.Series(EVERY_TEXT)
    together = cast_exactly(texts, column)
    for every in (2, 7):
        apart = pl.concat(
            [cast_exactly(texts.gather_every(every, at), column) for at in range(every)]
        )
        places = [at for first in range(every) for at in range(first, len(texts), every)]
        assert same(apart, together.gather(places))


USUAL = {
    "INT64": ["5", "-7"],
    "FLOAT64": ["0.1", "0"],
    "NUMERIC": ["1.5", "-2.000000001"],
    "BIGNUMERIC(38,18)": ["1.5", "-2.000000000000000001"],
    "BOOL": ["true", "false"],
    "DATE": ["2026-11-01"],
    "DATETIME": ["2026-11-01T10:20:30", "2026-11-01 10:20:30.123456"],
    "TIMESTAMP": ["2026-11-01T10:20:30Z", "2026-11-01 10:20:30.123456Z"],
    "TIME": ["10:20:30.5"],
    "JSON": ['{"a":"x:y","b":[1,{"c":2}]}', "[]"],
    "STRING REPEATED": ['["a","é"]', "[]"],
}


USUAL_TAILS = {
    "TIMESTAMP": [
        "2026-11-01T10:20:30.1234560Z",
        "2026-11-01 10:20:30.123456000",
        "2026-11-01 10:20:30.123456000 UTC",
        "2026-11-01 10:20:30 UTC",
        "2026-11-01T10:20:30.5+00:00",
        "2026-11-01T10:20:30 +0000",
        " 2026-11-01T10:20:30Z ",
    ],
    "DATETIME": ["2026-11-01T10:20:30.0000000", "2026-11-01 10:20:30.123456000"],
}


@pytest.mark.parametrize(
    ("spec", "text"), [(spec, text) for spec, texts in USUAL_TAILS.items() for text in texts]
)
def test_moments_of_a_usual_tail_are_proposed(spec: str, text: str) -> None:
    column = column_of(spec, {})
    held_against_the_exact_caster([text] * 3, column)
    rows = pl.DataFrame({"c": [text, None, text, ""]})
    assert propose(rows, [column])["c"].null_count() == 2


@given(
    texts=st.lists(
        st.builds(
            "{}{}{}".format,
            st.sampled_from([text for texts in USUAL_TAILS.values() for text in texts]),
            st.sampled_from(["", "Z", " ", "0", "00", "UTC"]),
            st.sampled_from(["", "Z", " UTC", "+00:00", "+00"]),
        ),
        min_size=1,
        max_size=6,
    ),
    spec=st.sampled_from(["TIMESTAMP", "DATETIME"]),
)
@settings(deadline=None, max_examples=examples(40))
def test_moments_of_any_tails_are_what_the_exact_caster_gives(texts: list[str], spec: str) -> None:
    held_against_the_exact_caster([*texts], column_of(spec, {}))
    for text in texts:
        held_against_the_exact_caster([text, text], column_of(spec, {}))


@pytest.mark.parametrize("spec", USUAL)
@pytest.mark.parametrize("size", [1, LEAF, 3 * LEAF + 1, GROUP + 1])
def test_usual_texts_are_all_proposed_and_one_that_does_not_fit_costs_few_of_them(
    spec: str, size: int
) -> None:
    column = column_of(spec, {})
    texts = [USUAL[spec][i % len(USUAL[spec])] for i in range(size)]
    rows = pl.DataFrame({"c": texts})
    assert propose(rows, [column])["c"].null_count() == 0
    texts[size // 3] = "{x"
    rows = pl.DataFrame({"c": texts})
    proposed = propose(rows, [column])["c"]
    assert 1 <= proposed.null_count() <= LEAF
    exact = cast_exactly(rows["c"], column)
    assert same(proposed.drop_nulls(), exact.filter(proposed.is_not_null()))


@given(
    texts=st.lists(st.sampled_from(DOCUMENTS) | st.text('[]{},:"\\u0a1 ', max_size=6), max_size=8)
)
@settings(deadline=None, max_examples=examples(40))
def test_no_cell_borrows_from_its_neighbour(texts: list[str]) -> None:
    cells = pl.Series([text.strip() or None for text in texts], dtype=pl.String)
    alone = [proven_json(cells.slice(i, 1)).item() for i in range(len(cells))]
    for text, found in zip(alone, proven_json(cells).to_list(), strict=True):
        assert found is None or found == text
    lists = [proven_lists(cells.slice(i, 1)).to_list()[0] for i in range(len(cells))]
    for one, found in zip(lists, proven_lists(cells).to_list(), strict=True):
        assert found is None or found == one


@given(
    few=st.lists(
        st.none() | st.sampled_from(DOCUMENTS) | st.text('[]{},:"\\u0a1 ', max_size=6),
        min_size=1,
        max_size=4,
    ),
    times=st.integers(2, 4),
)
@settings(deadline=None, max_examples=examples(40))
def test_texts_that_repeat_are_what_the_exact_caster_gives(
    few: list[str | None], times: int
) -> None:
    held_against_the_exact_caster(few * times, column_of("JSON", {}))


@given(
    value=st.recursive(
        st.integers() | st.text(':"{\\a', max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(':"a', max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
@settings(deadline=None, max_examples=examples(100))
def test_json_without_escaped_letters_needs_no_second_look(value: object) -> None:
    text = json.dumps(value)
    assert proven_json(pl.Series([text, '{"a":1}'])).to_list() == [text, '{"a":1}']
