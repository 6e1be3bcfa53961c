"""What a CSV file may hold, and what of it is refused or quarantined."""

import dataclasses
from pathlib import Path

import pytest

from libs.common.errors import ServiceError
from services.ingest.chunks import Input
from services.ingest.failures import ColumnMissing, SourceChanged, SourceEmpty, SourceMalformed
from services.ingest.sources.csv_reader import LONGEST_RECORD
from services.ingest.sources.files import Files
from services.ingest.sources.records import Dialect
from services.ingest.stores.local_files import LocalFiles
from tests.unit.ingest.reading import columns, read_bytes, splitting

AB = columns("a", "b")


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n1,2\n", [("1", "2")]),
        (b"a,b\n1,2", [("1", "2")]),
        (b"a,b\r\n1,2\r\n", [("1", "2")]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")]),
        (b"\n\r\na,b\n1,2\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        (b"b,a\n1,2\n", [("2", "1")]),
        (b"B,A\n1,2\n", [("2", "1")]),
        (b'"a","b"\n1,2\n', [("1", "2")]),
        (b'a,b\n"x\ny","p\r\nq"\n', [("x\ny", "p\r\nq")]),
        (b'a,b\n"say ""hi""",""""\n', [('say "hi"', '"')]),
        (b'a,b\n,""\n', [(None, "")]),
        (b"a,b\n 1 ,2\n", [(" 1 ", "2")]),
        ("a,b\né,😀\n".encode(), [("é", "😀")]),
        ("a,b\n\ufeffx,1\n".encode(), [("\ufeffx", "1")]),
        (b"a,b,c\n1,2,3\n", [("1", "2")]),
    ],
    ids=[
        "plain",
        "no line break at the end",
        "CR LF",
        "byte order mark",
        "blank lines",
        "other order",
        "other case",
        "quoted header",
        "line breaks in quotes",
        "doubled quotes",
        "nothing is null, quoted nothing is not",
        "blanks stay",
        "unicode",
        "a mark that belongs to a cell",
        "a column that the schema lacks",
    ],
)
def test_a_file_is_read_as_rfc_4180_says(data: bytes, rows: list[tuple[str, ...]]) -> None:
    found = read_bytes("csv", data, AB)
    assert found.texts == rows
    assert found.rejects == []


def test_another_delimiter_and_quote_are_used_throughout() -> None:
    dialect = Dialect(delimiter="|", quote="'")
    found = read_bytes("csv", b"a|b\n'x|''y'|1,5\n", AB, dialect=dialect)
    assert found.texts == [("x|'y", "1,5")]


def test_texts_that_mean_null_are_null_quoted_or_not() -> None:
    data = b'a,b\nNULL,"NULL"\n\\N,null\nNULLs,""\n'
    found = read_bytes("csv", data, AB, null_values=("NULL", "\\N", ""))
    assert found.texts == [(None, None), (None, "null"), ("NULLs", None)]


def test_a_row_of_another_width_is_rejected_with_its_text_and_number() -> None:
    found = read_bytes("csv", b"a,b\n1,2\n3\n4,5,6\n7,8\n", AB)
    assert found.rows == [(0, ("1", "2")), (3, ("7", "8"))]
    assert [(r.row_number, r.kind, r.detail, r.raw) for r in found.rejects] == [
        (1, "RAGGED", "found 1 cells; allowed are 2, as the header has", "3"),
        (2, "RAGGED", "found 3 cells; allowed are 2, as the header has", "4,5,6"),
    ]


@pytest.mark.parametrize(
    ("record", "raw"),
    [
        (b'3,"4\n5,6\n', '3,"4\n5,6\n'),
        (b'x"y,4\n', 'x"y,4'),
        (b'x "y" z,4\n', 'x "y" z,4'),
        (b'"x"y,4\n', '"x"y,4'),
        (b'"x" ,4\n', '"x" ,4'),
        (b"x\ry,4\n", "x\ry,4"),
        (b"\xff,4\n", "\ufffd,4"),
    ],
    ids=[
        "never closed",
        "in an open cell",
        "pair in an open cell",
        "text after it",
        "blank after it",
        "lone carriage return",
        "no UTF-8",
    ],
)
def test_a_record_that_is_no_csv_is_rejected_whole_and_no_byte_of_it_lands(
    record: bytes, raw: str
) -> None:
    found = read_bytes("csv", b'a,b\n1,"2"\n' + record, AB)
    assert found.texts == [("1", "2")]
    assert [(r.row_number, r.kind, r.raw) for r in found.rejects] == [(1, "MALFORMED", raw)]


def test_a_stray_quote_costs_its_own_record_and_not_those_after_it() -> None:
    data = b'a,b\n5" pipe,1\n6,2\n"7"" pipe\nand more",3\n8" pipe,4\n9,5\n'
    found = read_bytes("csv", data, AB)
    assert found.rows == [(1, ("6", "2")), (2, ('7" pipe\nand more', "3")), (4, ("9", "5"))]
    assert [(r.row_number, r.raw) for r in found.rejects] == [(0, '5" pipe,1'), (3, '8" pipe,4')]


def test_a_bad_record_changes_nothing_about_its_neighbours() -> None:
    neighbours = b'"",\n"x\n",y\n'
    alone = read_bytes("csv", b"a,b\n" + neighbours, AB)
    beside = read_bytes("csv", b"a,b\n" + neighbours + b"\xff,1\n" + neighbours, AB)
    assert beside.texts == alone.texts * 2 == [("", None), ("x\n", "y")] * 2


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", SourceEmpty),
        (b"\xef\xbb\xbf", SourceEmpty),
        (b" \n\n", SourceEmpty),
        (b"a,b", SourceEmpty),
        (b"a,b\n\n\r\n", SourceEmpty),
        (b"a,b,a\n1,2,3\n", SourceMalformed),
        (b"\xff,b\n1,2\n", SourceMalformed),
        (b"a,b\r1,2\r", SourceMalformed),
        (b'a,"b\n1,2\n', SourceMalformed),
        (b"a\n1\n", ColumnMissing),
    ],
    ids=[
        "no bytes",
        "only a mark",
        "only blanks",
        "header without line break",
        "header and blank lines",
        "a name twice",
        "header is no UTF-8",
        "line breaks of old",
        "header never ends",
        "a column missing",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_when_it_is_planned(
    data: bytes, error: type[ServiceError]
) -> None:
    with pytest.raises(error, match=r"^f\b"):
        read_bytes("csv", data, AB)


def test_a_column_in_two_spellings_is_refused_unless_one_is_the_schemas() -> None:
    with pytest.raises(SourceMalformed, match="cost stands there as COST and as Cost"):
        read_bytes("csv", b"COST,Cost\n1,2\n", columns("cost"))
    assert read_bytes("csv", b"COST,cost\n1,2\n", columns("cost")).texts == [("2",)]


def test_a_missing_column_is_named_with_what_the_file_has_instead() -> None:
    with pytest.raises(ColumnMissing) as refusal:
        read_bytes("csv", b"a,costs\n1,2\n", columns("a", "cost NUMERIC"))
    assert refusal.value.metadata == {"column": "cost"}
    assert str(refusal.value) == (
        "f lacks cost of the schema (did the file mean it by costs?); found a, costs; "
        "correct the schema or the file"
    )


@pytest.mark.parametrize(
    ("header", "extra"),
    [
        (b"a,z,y", '{"z":"2","y":"3"}'),
        (b"a,extra,y", '{"y":"3","extra":"2"}'),
    ],
    ids=["without its own", "beside its own"],
)
def test_columns_that_the_schema_lacks_are_kept_in_extra(header: bytes, extra: str) -> None:
    found = read_bytes("csv", header + b"\n1,2,3\n", columns("a", "extra JSON"))
    assert found.texts == [("1", extra)]


def test_a_column_extra_of_the_file_alone_stays_as_it_is() -> None:
    found = read_bytes("csv", b'a,extra\n1,"{""k"":1}"\n', columns("a", "extra JSON"))
    assert found.texts == [("1", '{"k":1}')]


def test_the_plan_names_columns_that_the_schema_lacks() -> None:
    assert read_bytes("csv", b"z,a,B\n1,2,3\n", columns("a", "b")).plan.extra_columns == ("z",)


def test_a_row_is_shown_as_the_texts_that_the_source_has() -> None:
    found = read_bytes("csv", b'a,Z\nNULL,"1,5"\n,x\n', columns("a"), null_values=("NULL",))
    assert found.batches[0].raw_rows([1, 0]) == [
        '{"a": null, "Z": "x"}',
        '{"a": "NULL", "Z": "1,5"}',
    ]


@pytest.mark.parametrize(
    ("delimiter", "quote"),
    [(",,", ""), ("é", ""), ("\n", ""), ("", "\r"), ('"', ""), (";", ";")],
    ids=["two", "not ASCII", "line feed", "carriage return", "the quote", "the same"],
)
def test_a_dialect_that_cannot_be_told_apart_is_refused(delimiter: str, quote: str) -> None:
    with pytest.raises(ValueError, match=r"allowed is|choose two"):
        Dialect.parse(delimiter, quote)


@dataclasses.dataclass(frozen=True, slots=True)
class WrittenMeanwhile(LocalFiles):
    """A folder in which a file is written again after it was read and before that is checked."""

    def check(self, planned: Input) -> None:
        with (self.root / self.tenant / planned.input_id).open("ab") as file:
            file.write(b"5,6\n")
        super(WrittenMeanwhile, self).check(planned)


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"a,a\n1,2\n", b"a,c\n1,2\n", b"", b"a,b\n"])
def test_a_file_that_is_written_while_it_is_planned_is_refused_as_changed(
    tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(data)
    store = WrittenMeanwhile(tmp_path, "acme")
    with pytest.raises(SourceChanged):
        Files(store=store, path="f", format="csv").plan(splitting(AB))


def test_a_record_of_more_than_64_mib_is_refused_by_name() -> None:
    with pytest.raises(SourceMalformed, match="f: a record of more than 64 MiB; a quote"):
        read_bytes("csv", b'a,b\n1,"' + b"x" * (LONGEST_RECORD + 1), AB)


def test_a_cell_of_nine_mib_is_read_whole() -> None:
    cell = "y" * (9 << 20)
    found = read_bytes("csv", f'a,b\n1,2\n3,"{cell}"\n5,6\n'.encode(), AB)
    assert found.texts == [("1", "2"), ("3", cell), ("5", "6")]


def test_columns_of_a_batch_are_in_one_piece_each() -> None:
    found = read_bytes("csv", b"a,b\n" + b"1,2\n" * 50_000, AB)
    assert {cells.n_chunks() for batch in found.batches for cells in batch.rows} == {1}
