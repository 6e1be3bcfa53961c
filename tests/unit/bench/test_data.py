"""The generated rows are the same in every format, and their sums are those of their texts."""

import csv
import decimal
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench import data, money

ROWS = 700


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (data, money):
        monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(data, "BLOCK_ROWS", 300)
    return tmp_path


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_formats_hold_the_same_rows_and_their_exact_sums(folder: Path) -> None:
    made = {format_: data.usage(ROWS, format_) for format_ in data.FORMATS}
    texts = csv_rows(made["csv"].path)
    objects = [
        json.loads(line, parse_float=Decimal)
        for line in made["ndjson"].path.read_text().splitlines()
    ]
    parquet = pq.read_table(made["parquet"].path).to_pylist()
    assert len(texts) == len(objects) == len(parquet) == ROWS
    for text, found, typed in zip(texts, objects, parquet, strict=True):
        for name in ("event_id", "model", "note"):
            assert (text[name] or None) == found[name] == typed[name]
        assert json.loads(text["labels"]) == found["labels"] == json.loads(typed["labels"])
        assert Decimal(text["cost"]) == found["cost"] == typed["cost"]
        assert int(text["input_tokens"]) == found["input_tokens"] == typed["input_tokens"]
    for column in data.MONEY:
        total = sum((Decimal(row[column]) for row in texts), Decimal(0))
        assert all(source.sums[column] == total for source in made.values())


def test_rows_have_what_makes_files_hard(folder: Path) -> None:
    rows = csv_rows(data.usage(ROWS, "csv").path)
    assert any("\n" in row["note"] for row in rows)
    assert any('"' in row["note"] for row in rows)
    assert any(not row["cached_tokens"] for row in rows)
    assert any(row["cost"].startswith("-") for row in rows)
    assert len({row["event_id"] for row in rows}) == ROWS


def test_blocks_of_any_size_give_the_same_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = data.usage(ROWS, "csv").path.read_bytes()
    (folder / f"usage-{ROWS}.csv.json").unlink()
    monkeypatch.setattr(data, "BLOCK_ROWS", 64)
    assert data.usage(ROWS, "csv").path.read_bytes() == first


def test_a_parquet_file_has_several_row_groups(folder: Path) -> None:
    assert pq.ParquetFile(data.usage(ROWS, "parquet").path).num_row_groups == 3


@pytest.mark.parametrize("format_", data.FORMATS)
def test_charges_have_up_to_18_digits_and_some_that_cannot_land(
    folder: Path, format_: data.Format
) -> None:
    _, wanted = money.charges(ROWS, format_)
    assert wanted.rows == ROWS
    assert wanted.quarantined == (14 if format_ == "parquet" else 22)


def test_charges_sum_to_their_texts(folder: Path) -> None:
    path, wanted = money.charges(ROWS, "csv")
    rows = csv_rows(path)
    assert max(len(row["amount"].rpartition(".")[2]) for row in rows) == 19
    with decimal.localcontext(prec=100):
        for column, total in wanted.sums.items():
            assert sum((Decimal(row[column]) for row in rows), Decimal(0)) == total
