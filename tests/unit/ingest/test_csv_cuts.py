"""Wherever a CSV file is cut, every record of it is read once."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.sources.records import Dialect
from tests.support.examples import examples
from tests.unit.ingest.reading import Row, columns, read_bytes

NAMES = ("a", "b", "c")
DIALECTS = (Dialect(), Dialect(delimiter=";", quote="'"), Dialect(delimiter="\t"))
PIECES = st.sampled_from(
    ["x", "é", "😀", " ", ",", ";", "\t", '"', "'", "\n", "\r\n", "\r", "\ufeff", "\x00", "NULL"]
)
CELLS = st.lists(PIECES, max_size=6).map("".join)
CUTS = st.sampled_from([3, 16, 64, 1000])


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Return rows of one to three cells; in tables of one column no cell is absent."""
    width = draw(st.integers(1, 3))
    cell = CELLS if width == 1 else CELLS | st.none()
    return draw(st.lists(st.tuples(*[cell] * width), min_size=1, max_size=8))


@st.composite
def written(draw: st.DrawFn, table: list[Row], dialect: Dialect) -> bytes:
    """Return a table as bytes: blank lines, quotes where none are needed, any line break."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    file = io.StringIO(newline="")
    file.write(draw(st.sampled_from(["", "\ufeff"])))
    file.write(dialect.delimiter.join(NAMES[: len(table[0])]) + end)
    for row in table:
        file.write(end * draw(st.integers(0, 1)))
        file.write(dialect.delimiter.join(_cell(draw, cell, dialect) for cell in row) + end)
    text = file.getvalue()
    return (text.removesuffix(end) if draw(st.booleans()) else text).encode()


def _cell(draw: st.DrawFn, cell: str | None, dialect: Dialect) -> str:
    if cell is None:
        return ""
    quote = dialect.quote
    needed = cell == "" or any(c in cell for c in (quote, dialect.delimiter, "\n", "\r"))
    if needed or draw(st.booleans()):
        return quote + cell.replace(quote, quote * 2) + quote
    return cell


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Row], Dialect, bytes]:
    table, dialect = draw(tables()), draw(st.sampled_from(DIALECTS))
    return table, dialect, draw(written(table, dialect))


@given(case=cases(), chunk_bytes=CUTS, block_bytes=CUTS)
@settings(deadline=None, max_examples=examples(40))
def test_any_table_cut_anywhere_is_read_as_it_was_written(
    case: tuple[list[Row], Dialect, bytes], chunk_bytes: int, block_bytes: int
) -> None:
    table, dialect, data = case
    found = read_bytes(
        "csv",
        data,
        columns(*NAMES[: len(table[0])]),
        chunk_bytes=chunk_bytes,
        block_bytes=block_bytes,
        dialect=dialect,
    )
    assert found.rows == list(enumerate(table))
    assert found.rejects == []


@given(case=cases(), chunk_bytes=CUTS, block_bytes=CUTS)
@settings(deadline=None, max_examples=examples(20))
def test_chunks_follow_one_another_and_say_how_many_rows_they_have(
    case: tuple[list[Row], Dialect, bytes], chunk_bytes: int, block_bytes: int
) -> None:
    table, dialect, data = case
    found = read_bytes(
        "csv",
        data,
        columns(*NAMES[: len(table[0])]),
        chunk_bytes=chunk_bytes,
        block_bytes=block_bytes,
        dialect=dialect,
    )
    begun = 0
    for chunk in found.plan.chunks:
        assert chunk.part.first_row_number == begun  # type: ignore[union-attr]
        assert chunk.expected_row_count
        begun += chunk.expected_row_count
    assert begun == len(table)
    assert len({chunk.chunk_id for chunk in found.plan.chunks}) == len(found.plan.chunks)


NOISE = st.lists(
    st.sampled_from([b"a", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\xff", b"x,y\n", b" "]),
    max_size=25,
).map(b"".join)


@given(noise=NOISE, chunk_bytes=CUTS, block_bytes=CUTS)
@settings(deadline=None, max_examples=examples(40))
def test_whatever_the_bytes_every_record_is_a_row_or_rejected_wherever_it_is_cut(
    noise: bytes, chunk_bytes: int, block_bytes: int
) -> None:
    data = b"a,b\nfirst,row\n" + noise
    whole = read_bytes("csv", data, columns("a", "b"))
    cut = read_bytes(
        "csv", data, columns("a", "b"), chunk_bytes=chunk_bytes, block_bytes=block_bytes
    )
    assert cut.rows == whole.rows
    assert sorted(cut.rejects, key=str) == sorted(whole.rejects, key=str)
    assert whole.numbers == list(range(sum(c.expected_row_count or 0 for c in whole.plan.chunks)))


@pytest.mark.parametrize("cut", [1, 7, 16, 64])
def test_a_record_is_not_told_apart_from_what_casts_doubt_on_it(cut: int) -> None:
    data = (
        b'id,cost,note\n1,1.5,""""\n4,",,4.5,","\n5,5.5,"\n"\n6,6.5,""\n"7","7.5","last,"\n8,1,x\n'
    )
    wanted = columns("id", "cost", "note")
    whole = read_bytes("csv", data, wanted)
    found = read_bytes("csv", data, wanted, chunk_bytes=cut, block_bytes=cut)
    assert found.rows == whole.rows
    assert {reject.row_number for reject in found.rejects} == {
        reject.row_number for reject in whole.rejects
    }
    assert found.numbers == whole.numbers
