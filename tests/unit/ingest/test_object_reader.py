"""Records read by their shapes give what reading them one by one gives."""

import json
import random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.ingest import exact_json
from services.ingest.casting.cast import cast
from services.ingest.columns import TargetColumn
from services.ingest.sources import nested_values
from services.ingest.sources.lines import Records
from services.ingest.sources.object_reader import ObjectReader
from services.ingest.sources.source import RawBatch
from tests.support.examples import examples
from tests.unit.ingest.reading import columns

NEVER = 1_000_000_000
SCHEMAS = [
    columns("a", "b JSON", "c", "extra JSON"),
    columns("a JSON", "b", "C", "d"),
    columns("a", "b INT64", "extra"),
    columns(*(f"n{i}" for i in range(20)), "a", "b JSON"),
]

NUMBERS = st.sampled_from(
    [
        "0",
        "-0",
        "1",
        "10",
        "-1.50",
        "1e5",
        "1E-7",
        "0.1000",
        "1e400",
        "12345678901234567890123456789012345678901",
    ]
)
TEXTS = st.text(alphabet=st.sampled_from('ab"\\/{}[],:é😀\n\t\r\u2028\x7f '), max_size=6)
ESCAPED = st.sampled_from(
    ['"\\u00e9"', '"\\ud83d\\ude00"', '"\\/"', '"\\ud800"', '"\\u0000"', '"\\n\\"x\\""', '"\\ud83d\\u0041"', '"\\\\"']
)  # fmt: skip
BROKEN = st.sampled_from(
    [
        "NaN",
        "01",
        "-",
        "1.",
        "'a'",
        '"\t"',
        "tru",
        "",
        "[1,]",
        '{"k":1,"k":2}',
        "{]",
        '"\\x"',
        "1 2",
    ]
)
BLANKS = st.sampled_from(["", "", "", " ", "\t", "  "])
NAMES = st.sampled_from(["a", "b", "c", "d", "A", "extra", "z", "é", "", 'q"', "n3", "n19"])


def values() -> st.SearchStrategy[str]:
    """Return the JSON texts of values, some of them broken."""
    texts = st.builds(json.dumps, TEXTS, ensure_ascii=st.booleans())
    plain = st.sampled_from(["true", "false", "null"])
    leaves = st.one_of(NUMBERS, texts, texts, plain, ESCAPED)
    return st.one_of(leaves, leaves, st.recursive(leaves, _nested, max_leaves=6), BROKEN)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.tuples(BLANKS, st.lists(inner, max_size=3)).map(
        lambda found: f"[{found[0]}{','.join(found[1])}]"
    )
    return lists | st.lists(st.tuples(NAMES, inner), max_size=3).map(
        lambda pairs: f"{{{','.join(f'{json.dumps(k)}:{v}' for k, v in pairs)}}}"
    )


@st.composite
def records(draw: st.DrawFn) -> list[bytes]:
    """Return lines of a few shapes, some of them changed."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.lists(NAMES, max_size=4))
        space = draw(BLANKS)
        for _ in range(draw(st.integers(1, 6))):
            pairs = (f"{json.dumps(n)}:{space}{draw(values())}" for n in names)
            line = f"{space}{{{f',{space}'.join(pairs)}{space}}}{space}".encode()
            if draw(st.integers(0, 5)) == 0:
                at = draw(st.integers(0, len(line)))
                noise = draw(st.sampled_from([b"", b",", b'"', b"}", b"\xff", b"\\", b"{", b" x"]))
                line = line[:at] + noise + line[at + draw(st.integers(0, 2)) :]
            if line.strip():
                found.append(line.replace(b"\n", b" "))
    return draw(st.permutations(found))


def told(batch: RawBatch) -> Any:
    """Return all that a batch says."""
    indexes = range(batch.rows.height)
    return (
        batch.rows.rows(),
        batch.row_numbers.to_list(),
        batch.raw_rows(list(indexes)),
        batch.rejects,
    )


def together(lines: list[bytes]) -> Records:
    """Return lines as the records of a block."""
    ends = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = ends - np.array([len(line) for line in lines], np.int64)
    return Records(b"\n".join(lines), starts, ends)


def read(lines: list[bytes], schema: tuple[TargetColumn, ...], fewest: int) -> list[Any]:
    """Return what a reader says of the lines, twice: it has learned from the first time."""
    reader = ObjectReader(schema, fewest=fewest)
    series = together(lines)
    return [told(reader.batch(series, 7, 0)) for _ in range(2)]


@given(lines=records(), schema=st.sampled_from(SCHEMAS), fewest=st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=examples(100))
@example(
    lines=[b'{"b":{"a:1":2,"a:2":3}}', b'{"b":{"a:1": 2, "a:1":3}}'], schema=SCHEMAS[0], fewest=1
)
@example(lines=[b'{"b":[1 2]}', b'{"b":[1, 2]}'], schema=SCHEMAS[0], fewest=1)
@example(lines=[b'{"b":{"k":"a""b"}}', b'{"b":{"k":"a"}}'], schema=SCHEMAS[0], fewest=1)
@example(lines=[b'{"b":"null"}', b'{"b":null}', b'{"b":1}'], schema=SCHEMAS[1], fewest=1)
@example(lines=[b'{"a":1,"":2}'], schema=SCHEMAS[0], fewest=1)
@example(lines=[b"{}", b"{ }", b"{}"], schema=SCHEMAS[0], fewest=1)
def test_shapes_say_what_one_record_after_the_other_says(
    lines: list[bytes], schema: tuple[TargetColumn, ...], fewest: int
) -> None:
    assert read(lines, schema, fewest) == read(lines, schema, NEVER)


@given(lines=records(), fewest=st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=examples(60))
def test_what_is_called_proven_json_the_caster_takes_as_it_is(
    lines: list[bytes], fewest: int
) -> None:
    schema = columns("a JSON", "b JSON", "extra JSON")
    reader = ObjectReader(schema, fewest=fewest)
    series = together(lines)
    for batch in (reader.batch(series, 0, 0), reader.batch(series, 0, 0)):
        assert batch.proven_json
        found = cast(batch.rows, schema)
        assert not found.misfits
        assert found.frame.rows() == batch.rows.rows()
        assert cast(batch.rows, schema, proven_json=True).frame.equals(found.frame)


def test_proven_json_is_not_parsed_again() -> None:
    rows = pl.DataFrame({"a": ["{"], "b": ["1"]})
    found = cast(rows, columns("a JSON", "b INT64"), proven_json=True)
    assert (found.frame.rows(), found.misfits) == ([("{", 1)], ())


def line(i: int) -> bytes:
    return f'{{"a":"t{i}","b":{{"k": {i}.50, "l":[{i},"x"]}},"c":{i},"z":"\\u00e9"}}'.encode()


def test_most_records_of_a_file_are_never_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line(i) for i in range(5000)]
    lines[17] = b'{"a":1,"a":2}'
    expected = read(lines, SCHEMAS[0], NEVER)
    seen: list[str] = []
    loads = exact_json.loads

    def counted(text: str) -> Any:
        seen.append(text)
        return loads(text)

    monkeypatch.setattr(exact_json, "loads", counted)
    assert read(lines, SCHEMAS[0], nested_values.FEWEST) == expected
    assert len(seen) < 60


def test_a_file_of_many_shapes_is_read_by_them() -> None:
    names = [f"n{i}" for i in range(20)]
    dice = random.Random(3)
    lines = [
        json.dumps(
            dict.fromkeys(dice.choice([names, names[:5], names[3:], ["a"], ["a", "zz"]]), i)
        ).encode()
        for i in range(2000)
    ]
    assert read(lines, SCHEMAS[3], 64) == read(lines, SCHEMAS[3], NEVER)
