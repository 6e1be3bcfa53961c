import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.bigquery.batches import Gathering, conform, serialized_bytes
from libs.bigquery.failures import RowTooLarge
from tests.support.examples import examples

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])
TARGET, CAP = 2_000, 4_000


def table(texts: list[str], start: int = 0) -> pa.Table:
    return pa.table({"n": range(start, start + len(texts)), "text": texts}, schema=SCHEMA)


def gather(tables: list[pa.Table]) -> list[pa.RecordBatch]:
    gathering = Gathering(SCHEMA, target=TARGET, cap=CAP)
    requests = [batch for rows in tables for batch in gathering.add(rows)]
    return [*requests, *gathering.rest()]


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.lists(st.integers(0, 3_000), max_size=30), max_size=8))
def test_cutting_and_joining_keeps_every_row_in_order_and_every_request_small(
    lengths: list[list[int]],
) -> None:
    tables, start = [], 0
    for part in lengths:
        tables.append(table(["x" * length for length in part], start))
        start += len(part)
    requests = gather(tables)
    assert [n for batch in requests for n in batch.column("n").to_pylist()] == list(range(start))
    for batch in requests:
        assert batch.num_rows
        assert serialized_bytes(batch) <= (TARGET if batch.num_rows > 1 else CAP)


def test_small_batches_travel_together() -> None:
    tables = [table(["x"], number) for number in range(5)]
    assert [batch.num_rows for batch in gather(tables)] == [5]


@pytest.mark.parametrize("rows", [60, 150, 400])
def test_of_a_batch_that_is_cut_nothing_is_kept(rows: int) -> None:
    gathering = Gathering(SCHEMA, target=TARGET, cap=CAP)
    whole = table(["x" * 20] * rows)
    assert sum(batch.num_rows for batch in gathering.add(whole)) == rows
    assert not list(gathering.rest())


def test_a_row_between_target_and_cap_travels_alone() -> None:
    requests = gather([table(["x", "y" * 3_000, "z"])])
    assert [batch.num_rows for batch in requests] == [1, 1, 1]


def test_a_row_beyond_the_cap_is_refused_with_both_sizes() -> None:
    with pytest.raises(RowTooLarge) as error:
        gather([table(["x", "y" * 5_000])])
    assert int(error.value.metadata["bytes"]) > CAP
    assert error.value.metadata["allowed"] == str(CAP)


def test_rows_are_brought_to_the_tables_types_and_order() -> None:
    rows = pa.table({"text": pa.array(["a"], pa.large_string()), "n": pa.array([1], pa.int32())})
    assert conform(rows, SCHEMA).to_pydict() == {"n": [1], "text": ["a"]}
    coded = pa.table({"n": [1], "text": pa.array(["a"]).dictionary_encode()})
    assert conform(coded, SCHEMA).schema == SCHEMA


def test_money_is_carried_over_exactly() -> None:
    money = pa.array(["0.123456789012345678"]).cast(pa.decimal128(38, 18))
    wide = conform(pa.table({"m": money}), pa.schema([("m", pa.decimal256(76, 38))]))
    assert str(wide.column("m")[0].as_py()).rstrip("0") == "0.123456789012345678"


@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"n": [1]}),
        pa.table({"n": [1], "text": ["a"], "more": [1]}),
        pa.table({"n": ["many"], "text": ["a"]}),
        pa.table({"n": [[1]], "text": ["a"]}),
    ],
)
def test_rows_of_another_table_are_refused(rows: pa.Table) -> None:
    with pytest.raises(ValueError, match=r".+"):
        conform(rows, SCHEMA)
