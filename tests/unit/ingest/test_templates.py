"""Records written alike are taken apart by places, and say what one record after the other says."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.ingest.sources import marks, templates
from services.ingest.sources.shapes import Shape
from tests.support.examples import examples
from tests.unit.ingest.test_object_reader import NEVER, SCHEMAS, read, values

NAMES = st.sampled_from(
    ["a", "b", "c", "C", "extra", "n3", "long_name_of_a_field", "é", 'q"', "x,", ""]
)
STYLES = st.sampled_from([(",", ":"), (", ", ": "), (",", ": "), (", ", ":")])
TRICKY = st.sampled_from(
    ['"x,"', '",\\"b\\":"', '"\\\\"', '"\\"', '"a"b"', '"a":1', '"', '""', "nul", "null ", '{"k":[1,"b",{"c":2}]}',
     '{"k":1,"b":2}', '{"b":"}"}', "[]", "{", '{"k":1},"b":2', '"\x01"', '"\\u0041"', "-0.10", "+1", "1e5 "]
)  # fmt: skip


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Return lines of the same names, written in the same way, with any values."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    comma, colon = draw(STYLES)
    end = draw(st.sampled_from(["", "", "\r", " "]))
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        pairs = (
            json.dumps(name, ensure_ascii=False) + colon + draw(values() | TRICKY) for name in names
        )
        lines.append(f"{{{comma.join(pairs)}}}{end}".replace("\n", " ").encode())
    return lines


@given(lines=alike(), schema=st.sampled_from(SCHEMAS), most=st.sampled_from([1, 6, 1 << 18]))
@settings(deadline=None, max_examples=examples(150))
@example(lines=[b'{"a":"x","b":1}', b'{"a":"x"y","b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":"x","b":1}', b'{"a":"\\"y","b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":"x","b":1}', b'{"a":"\\x"z","b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":"x","b":1}', b'{"a":"x\\","b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":{"k":2},"b":1}', b'{"a":{"k":"2},"b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":{"k":2},"b":1}', b'{"a":{"k":2},"b":1,"b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":{"k":2},"b":1}', b'{"a":{"a":2,"b":1},"b":1}'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":1,"b":1}', b'{"a":01,"b":1}', b'{"a":1,"b":}'], schema=SCHEMAS[1], most=6)
@example(lines=[b'{"a":1,"b":1}', b'{"a":1,"b":'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":1,"b":1}', b'{"a":[1,"b'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"a":1}', b'{"a":'], schema=SCHEMAS[0], most=6)
@example(lines=[b'{"b":1}', b'{"b":"\t"}', b'{"b":1}\r\r'], schema=SCHEMAS[0], most=6)
def test_templates_say_what_one_record_after_the_other_says(
    lines: list[bytes], schema: Any, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "MOST_CELLS", most)
        assert read(lines, schema, 1) == read(lines, schema, NEVER)


@pytest.mark.parametrize("end", ["", "\r"], ids=["LF", "CR LF"])
@pytest.mark.parametrize("style", [(",", ":"), (", ", ": ")], ids=["compact", "spaced"])
def test_records_written_alike_need_no_pattern(
    style: tuple[str, str], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["t", "", 'say "so"', "two\nlines", "a, b", "back\\", "é😀", None]
    lines = [
        json.dumps(
            {"a": texts[i % 8], "b": {"k": [i, {"a": "x,"}], "d": i / 7}, "c": i % 3 == 0, "z": i},
            separators=style,
            ensure_ascii=i % 2 == 0,
        ).encode()
        + end.encode()
        for i in range(500)
    ]
    expected = read(lines, SCHEMAS[0], NEVER)

    def refused(_: Shape, records: pl.Series) -> None:
        raise AssertionError(f"read by a pattern: {records[0]}")

    monkeypatch.setattr(Shape, "read", refused)
    assert read(lines, SCHEMAS[0], 64) == expected


def test_a_name_far_behind_a_nested_value_is_left_to_the_pattern() -> None:
    wide = {f"k{i}": i for i in range(2 * templates.MOST_WITHIN)}
    lines = [json.dumps({"b": wide, "c": i}, separators=(",", ":")).encode() for i in range(70)]
    assert read(lines, SCHEMAS[0], 64) == read(lines, SCHEMAS[0], NEVER)


@pytest.mark.parametrize("levels", [3, 12, 30, 98])
def test_values_of_many_levels_are_read_as_one_record_after_the_other(levels: int) -> None:
    """A list's pattern says twice what the list holds: made without an end, it has 2^98 parts."""
    nested = "[" * levels + "1" + "]" * levels
    lines = [f'{{"a":{nested},"b":{i}}}'.encode() for i in range(70)]
    assert read(lines, SCHEMAS[0], 64) == read(lines, SCHEMAS[0], NEVER)


@given(st.sets(st.integers(0, 255)))
def test_the_bits_that_are_set_are_listed(positions: set[int]) -> None:
    data = np.zeros(256, np.uint8)
    data[sorted(positions)] = 7
    assert marks.positions(marks.where(data, 7)).tolist() == sorted(positions)
    assert marks.positions(marks.below(data, 7)).tolist() == sorted(set(range(256)) - positions)
