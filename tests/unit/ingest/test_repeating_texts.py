"""Parquet columns whose texts repeat: read as dictionaries of bounded size, landed as their texts."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.chunks import RowGroups
from services.ingest.sources import parquet_batches
from services.ingest.sources.parquet_batches import Batches
from tests.support.examples import examples
from tests.unit.ingest.memory_blob import MemoryBlob
from tests.unit.ingest.reading import columns, read_bytes
from tests.unit.ingest.test_parquet import parquet

TABLE = pa.table(
    {
        "few": [f"a text of some letters {i % 3}" for i in range(3000)],
        "more": [f"a text of some letters {i % 100}" for i in range(3000)],
        "all": [f"a text of some letters {i}" for i in range(3000)],
        "number": [i % 3 for i in range(3000)],
    }
)


def dictionaries(table: pa.Table) -> list[str]:
    """Return which columns of a file come as dictionaries."""
    with Batches.open(MemoryBlob(parquet(table)), "f") as batches:
        part = RowGroups(start=0, end=1, first_row_number=0)
        (batch,) = batches.read(part, table.column_names)
    return [field.name for field in batch.schema if pa.types.is_dictionary(field.type)]


def test_texts_that_repeat_come_as_dictionaries() -> None:
    assert dictionaries(TABLE) == ["few", "more"]


def test_dictionaries_take_no_more_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_batches, "LEAST_VALUE_BYTES", 0)
    monkeypatch.setattr(parquet_batches, "MOST_ROWS", 3000)
    monkeypatch.setattr(parquet_batches, "BATCH_BYTES", 3000)
    data = parquet(TABLE)
    with Batches.open(MemoryBlob(data), "f") as batches:
        part = RowGroups(start=0, end=1, first_row_number=0)
        batch = next(batches.read(part, TABLE.column_names))
    assert [f.name for f in batch.schema if pa.types.is_dictionary(f.type)] == ["few"]


@given(
    few=st.lists(st.none() | st.text(max_size=9), min_size=1, max_size=4),
    indexes=st.lists(st.integers(0, 3), min_size=1, max_size=99),
    group=st.integers(1, 99),
    page=st.sampled_from([1, 20, 1 << 20]),
)
@settings(deadline=None, max_examples=examples(60))
def test_texts_that_repeat_land_as_they_are(
    few: list[str | None], indexes: list[int], group: int, page: int
) -> None:
    texts = [few[index % len(few)] for index in indexes]
    table = pa.table({"a": pa.array(texts, pa.string()), "b": pa.array(texts, pa.string())})
    data = parquet(table, row_group_size=group, dictionary_pagesize_limit=page, write_batch_size=7)
    found = read_bytes("parquet", data, columns("a", "b JSON"))
    assert found.texts == [(text, text) for text in texts]
