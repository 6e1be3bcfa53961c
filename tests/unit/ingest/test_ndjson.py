"""NDJSON: one object a line, every number as it was written."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.failures import SourceEmpty
from tests.support.examples import examples
from tests.unit.ingest.reading import Row, columns, read_bytes

CUTS = st.sampled_from([3, 16, 64, 1000])
TEXTS = st.text(alphabet=st.sampled_from('ab"\\é😀\n\r\u2028\ufeff\x00 '), max_size=6)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[Row], bytes]:
    """Return rows of two texts and a file that has them, blank lines between."""
    table = draw(st.lists(st.tuples(TEXTS | st.none(), TEXTS | st.none()), min_size=1, max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    ascii_only = draw(st.booleans())
    text = draw(st.sampled_from(["", "\ufeff"]))
    for a, b in table:
        text += draw(st.sampled_from(["", end, f"  {end}"]))
        text += json.dumps({"a": a, "b": b}, ensure_ascii=ascii_only) + end
    return list(table), (text.removesuffix(end) if draw(st.booleans()) else text).encode()


@given(file=files(), chunk_bytes=CUTS, block_bytes=CUTS)
@settings(deadline=None, max_examples=examples(60))
def test_any_objects_cut_anywhere_are_read_once_each(
    file: tuple[list[Row], bytes], chunk_bytes: int, block_bytes: int
) -> None:
    table, data = file
    found = read_bytes(
        "ndjson", data, columns("a", "b"), chunk_bytes=chunk_bytes, block_bytes=block_bytes
    )
    assert found.rows == list(enumerate(table))
    assert found.rejects == []
    assert sum(c.expected_row_count or 0 for c in found.plan.chunks) == len(table)


NOISE = st.lists(
    st.sampled_from(
        [b'{"a":', b'"x"', b"}", b"\n", b"\r\n", b"[", b"1e5", b"\xff", b"null", b'{"a":1}\n', b" "]
    ),
    max_size=25,
).map(b"".join)


@given(noise=NOISE, chunk_bytes=CUTS, block_bytes=CUTS)
@settings(deadline=None, max_examples=examples(60))
def test_whatever_the_bytes_every_line_is_a_row_or_rejected_wherever_it_is_cut(
    noise: bytes, chunk_bytes: int, block_bytes: int
) -> None:
    data = b'{"a":0}\n' + noise
    whole = read_bytes("ndjson", data, columns("a"))
    cut = read_bytes("ndjson", data, columns("a"), chunk_bytes=chunk_bytes, block_bytes=block_bytes)
    assert (cut.rows, cut.rejects) == (whole.rows, whole.rejects)
    assert whole.numbers == list(range(sum(c.expected_row_count or 0 for c in whole.plan.chunks)))


def one(value: str, type_: str = "STRING") -> str | None:
    """Return the text that field `a` of this JSON value has."""
    ((found,),) = read_bytes("ndjson", f'{{"a":{value}}}\n'.encode(), columns(f"a {type_}")).texts
    return found


@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        "-0",
        "1e400",
        "1E-7",
        "10.00",
        "0.12345678901234567890123456789",
        "123456789012345678901234567890",
    ],
)
def test_a_number_is_the_text_that_it_was(number: str) -> None:
    assert one(number) == number
    assert one(f'{{"deep":[{number}]}}') == f'{{"deep":[{number}]}}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("null", None),
        ("true", "true"),
        ('""', ""),
        ('"\\u00e9\\ud83d\\ude00"', "é😀"),
        ('{"k": [1.50, "x", null]}', '{"k":[1.50,"x",null]}'),
        ("[]", "[]"),
    ],
    ids=["null", "bool", "nothing", "escapes", "object", "list"],
)
def test_other_values_are_their_text_or_their_json(value: str, text: str | None) -> None:
    assert one(value) == text


@pytest.mark.parametrize("value", ['"x"', '"1"', '"null"', "1", "true", '{"k":1}', "[]"])
def test_for_a_json_column_a_text_stays_a_json_text(value: str) -> None:
    assert one(value, "JSON") == value


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"x", "Expecting value"),
        (b'{"a":1', "Expecting"),
        (b'{"a":1} {"a":2}', "Extra data"),
        (b"[1]", "no object but [1]"),
        (b"null", "no object but null"),
        (b'{"a":NaN}', "NaN is no JSON number"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'{"a":{"k":1,"k":2}}', "'k' stands twice"),
        (b'{"a":"\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udc00":1}', "half of a surrogate pair"),
        (b'{"a":"\xed\xa0\x80"}', "no UTF-8"),
        (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", "more than 100 levels"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "more than 100 levels"),
        (b'{"A":1,"\xc3\xa4":1,"b":2,"B":3,"C":1,"c":2,"AA":1,"aA":2}', "aa stands there as AA"),
        (b'\xef\xbb\xbf{"a":1}', "BOM"),
    ],
    ids=[
        "no JSON",
        "cut off",
        "two on a line",
        "a list",
        "null",
        "NaN",
        "a name twice",
        "a name twice inside",
        "half a surrogate",
        "half a surrogate as name",
        "no UTF-8",
        "too deep",
        "far too deep",
        "two spellings",
        "a mark inside the file",
    ],
)
def test_a_line_that_is_no_object_is_rejected_and_its_neighbours_are_not(
    line: bytes, why: str
) -> None:
    data = b'{"a":1}\n' + line + b'\n{"a":2}\n'
    found = read_bytes("ndjson", data, columns("a", "aa"))
    assert found.rows == [(0, ("1", None)), (2, ("2", None))]
    (reject,) = found.rejects
    assert (reject.row_number, reject.kind) == (1, "MALFORMED")
    assert why in reject.detail
    assert reject.raw == line.decode(errors="replace")


def test_a_hundred_levels_are_read() -> None:
    value = "[" * 99 + "]" * 99
    assert one(value) == value


def test_many_lists_side_by_side_are_not_deep() -> None:
    value = f"[{','.join(['[]'] * 300)}]"
    assert one(value) == value


def test_names_are_matched_without_case_where_no_field_has_the_very_name() -> None:
    data = b'{"A":1}\n{"a":2,"A":3}\n{"b":4}\n'
    assert read_bytes("ndjson", data, columns("a")).texts == [("1",), ("2",), (None,)]


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ('{"a":1}', None),
        ('{"a":1,"z":1.50,"y":null}', '{"z":1.50,"y":null}'),
        ('{"a":1,"extra":{"k":2}}', '{"k":2}'),
        ('{"a":1,"extra":null}', None),
        ('{"a":1,"extra":{"k":2},"z":3}', '{"extra":{"k":2},"z":3}'),
    ],
    ids=["nothing else", "unknown fields", "its own", "its own is null", "both"],
)
def test_fields_that_the_schema_lacks_are_kept_in_extra(line: str, extra: str | None) -> None:
    found = read_bytes("ndjson", line.encode(), columns("a", "extra JSON"))
    assert found.texts == [("1", extra)]


@pytest.mark.parametrize(
    "data", [b"", b"\n \r\n", b"\xef\xbb\xbf\n"], ids=["none", "blank", "mark"]
)
def test_a_file_without_an_object_is_refused_when_it_is_planned(data: bytes) -> None:
    with pytest.raises(SourceEmpty, match="f has no row"):
        read_bytes("ndjson", data, columns("a"))


def test_a_row_is_shown_as_its_line() -> None:
    found = read_bytes("ndjson", b'{"a":1.50}\n x\n{"z":[1]}\n', columns("a"))
    assert found.batches[0].raw_rows([1, 0]) == ['{"z":[1]}', '{"a":1.50}']
