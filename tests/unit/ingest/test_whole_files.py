"""Files that are compressed, or encoded otherwise than as UTF-8: one chunk, the same rows."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.chunks import WholeFile
from services.ingest.failures import ColumnMissing, SourceChanged, SourceEmpty, SourceMalformed
from tests.support.examples import examples
from tests.unit.ingest.reading import (
    Found,
    columns,
    files,
    read_all,
    read_chunk,
    reading,
    splitting,
)

AB = columns("a", "b")
PACK: Final[dict[str, Callable[[bytes], bytes]]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
}
CELLS = st.text(alphabet=st.sampled_from('ab"\\,é語😀\n '), max_size=5)


def read(root: Path, format_: Literal["csv", "ndjson"], data: bytes, **options: Any) -> Found:
    (root / "acme").mkdir(exist_ok=True)
    (root / "acme" / "f").write_bytes(data)
    return read_all(files(root, format_, **options), AB)


def text_of(format_: str, table: list[tuple[str, str]]) -> str:
    if format_ == "ndjson":
        return "".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\n" for a, b in table)
    quoted = [[cell.replace('"', '""') for cell in row] for row in [("a", "b"), *table]]
    return "".join(f'"{a}","{b}"\r\n' for a, b in quoted)


@given(
    table=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    format_=st.sampled_from(["csv", "ndjson"]),
    compression=st.sampled_from(["none", "gzip", "zstd"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    block_bytes=st.sampled_from([3, 17, 1000]),
)
@settings(deadline=None, max_examples=examples(80))
def test_any_rows_are_read_once_each_however_the_file_is_written(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    format_: Literal["csv", "ndjson"],
    compression: Literal["none", "gzip", "zstd"],
    codec: str,
    block_bytes: int,
) -> None:
    data = PACK[compression](text_of(format_, table).encode(codec))
    found = read(
        tmp_path_factory.mktemp("f"),
        format_,
        data,
        compression=compression,
        encoding="utf-8" if codec.startswith("utf-8") else "utf-16",
        block_bytes=block_bytes,
    )
    assert found.rows == list(enumerate(table))
    assert found.rejects == []
    assert sum(batch.read_bytes for batch in found.batches) <= len(data)


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_latin1_is_read_as_its_characters(
    tmp_path: Path, format_: Literal["csv", "ndjson"]
) -> None:
    table = [("Größe", "naïve £"), ("x", "\xa0\x85ÿ")]
    data = text_of(format_, table).encode("latin-1")
    assert read(tmp_path, format_, data, encoding="latin-1").texts == table


@pytest.mark.parametrize(
    ("format_", "data"), [("csv", b"a,b\n1,2\n"), ("ndjson", b'{"a":"1","b":"2"}\n')]
)
def test_a_file_without_boundaries_is_one_chunk_of_an_unknown_number_of_rows(
    tmp_path: Path, format_: Literal["csv", "ndjson"], data: bytes
) -> None:
    packed = gzip.compress(data)
    found = read(tmp_path, format_, packed, compression="gzip")
    (chunk,) = found.plan.chunks
    assert chunk.part == WholeFile()
    assert (chunk.expected_row_count, chunk.estimated_bytes) == (None, len(packed))
    assert found.rows == [(0, ("1", "2"))]


def test_the_ending_of_the_name_says_how_a_file_is_compressed(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "x.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    (tmp_path / "acme" / "y.csv.zst").write_bytes(zstd.compress(b"a,b\n3,4\n"))
    (tmp_path / "acme" / "z.csv").write_bytes(b"a,b\n5,6\n")
    found = read_all(files(tmp_path, "csv", "*"), AB)
    assert found.texts == [("1", "2"), ("3", "4"), ("5", "6")]


def test_a_plan_reads_the_beginning_only(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000, compresslevel=1)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "f").write_bytes(packed[:-9])
    source = files(tmp_path, "csv", compression="gzip")
    plan = source.plan(splitting(AB))
    assert [type(chunk.part) for chunk in plan.chunks] == [WholeFile]
    with pytest.raises(SourceMalformed, match=f"ends after byte {len(packed) - 9}"):
        read_chunk(source, plan.chunks[0], AB)


def test_a_header_is_checked_when_the_file_is_planned(tmp_path: Path) -> None:
    with pytest.raises(ColumnMissing, match="lacks b of the schema"):
        read(tmp_path, "csv", gzip.compress(b"a,c\n1,2\n"), compression="gzip")


@pytest.mark.parametrize(
    ("format_", "data"),
    [("csv", b""), ("csv", b"a,b\n"), ("csv", b"a,b\n\n\n"), ("ndjson", b""), ("ndjson", b" \n\n")],
)
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_packed_file_without_rows_is_empty(
    tmp_path: Path,
    format_: Literal["csv", "ndjson"],
    data: bytes,
    compression: Literal["gzip", "zstd"],
) -> None:
    with pytest.raises(SourceEmpty):
        read(tmp_path, format_, PACK[compression](data), compression=compression)
    with pytest.raises(SourceEmpty):
        read(tmp_path, format_, b"", compression=compression)


def test_a_plain_file_called_packed_is_refused_at_planning(tmp_path: Path) -> None:
    with pytest.raises(SourceMalformed, match=r"is no whole gzip member|no gzip member"):
        read(tmp_path, "csv", b"a,b\n1,2\n", compression="gzip")


def test_half_of_a_pair_costs_its_own_record(tmp_path: Path) -> None:
    data = "a,b\n1,".encode("utf-16-le") + b"\x3d\xd8" + "\n3,4\n".encode("utf-16-le")
    found = read(tmp_path, "csv", data, encoding="utf-16")
    assert found.rows == [(1, ("3", "4"))]
    assert [(r.row_number, r.kind) for r in found.rejects] == [(0, "MALFORMED")]


def test_a_file_that_is_written_again_while_it_is_read_is_changed_not_broken(
    tmp_path: Path,
) -> None:
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000, compresslevel=1)
    (tmp_path / "acme").mkdir()
    path = tmp_path / "acme" / "f"
    path.write_bytes(packed)
    source = files(tmp_path, "csv", compression="gzip", block_bytes=1 << 16)
    (chunk,) = source.plan(splitting(AB)).chunks
    batches = source.read(chunk, reading(AB))
    next(iter(batches))
    with path.open("r+b") as file:
        file.truncate(len(packed) // 2)
    with pytest.raises(SourceChanged):
        list(batches)
