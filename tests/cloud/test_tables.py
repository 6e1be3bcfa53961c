"""What is believed of datasets and tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core.exceptions import Conflict, NotFound
from google.cloud import bigquery

from tests.cloud.scratch import LABEL, SCRATCH, SECONDS, Scratch
from tests.support.appending import ONCE

AT_ONCE = 6


@pytest.fixture
def other(at: Scratch) -> Iterator[str]:
    """The name of a dataset that a check makes; it is deleted if it does not."""
    name = f"{at.dataset}_other"
    try:
        yield name
    finally:
        at.client.delete_dataset(name, delete_contents=True, not_found_ok=True, timeout=SECONDS)


def made(at: Scratch, name: str) -> bigquery.Dataset:
    """Create a dataset with labels."""
    wanted = bigquery.Dataset(name)
    wanted.location, wanted.labels = at.client.location, {LABEL: SCRATCH, "tenant": "acme"}
    return at.client.create_dataset(wanted, retry=ONCE, timeout=SECONDS)


def test_of_many_who_create_a_table_at_once_one_does(at: Scratch) -> None:
    table = bigquery.Table(at.named(), [bigquery.SchemaField("n", "INT64")])

    def created() -> bool:
        try:
            at.client.create_table(table, retry=ONCE, timeout=SECONDS)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE) as threads:
        won = list(threads.map(lambda _: created(), range(AT_ONCE)))
    assert won.count(True) == 1


def test_creating_a_dataset_that_is_there_is_a_conflict(at: Scratch, other: str) -> None:
    made(at, other)
    with pytest.raises(Conflict):
        made(at, other)


def test_a_dataset_has_its_labels_as_soon_as_it_is_there_in_lists_too(
    at: Scratch, other: str
) -> None:
    made(at, other)
    found = at.client.get_dataset(other, retry=ONCE, timeout=SECONDS)
    assert found.labels == {LABEL: SCRATCH, "tenant": "acme"}
    listed = {one.dataset_id: one.labels for one in at.client.list_datasets(timeout=SECONDS)}
    assert listed[other.partition(".")[2]]["tenant"] == "acme"


def test_deleting_a_dataset_with_what_it_holds_removes_its_tables(at: Scratch, other: str) -> None:
    made(at, other)
    at.run(f"CREATE TABLE `{other}.t` AS SELECT 1 AS n")
    at.client.delete_dataset(other, delete_contents=True, retry=ONCE, timeout=SECONDS)
    with pytest.raises(NotFound):
        at.client.get_table(f"{other}.t", retry=ONCE, timeout=SECONDS)
    with pytest.raises(NotFound):
        at.client.get_dataset(other, retry=ONCE, timeout=SECONDS)


def test_adding_a_column_that_is_there_changes_nothing(at: Scratch) -> None:
    table = at.table(("n", "INT64"), ("text", "STRING"))
    for _ in range(2):
        at.run(f"ALTER TABLE `{table}` ADD COLUMN IF NOT EXISTS text STRING")
    found = at.client.get_table(table, retry=ONCE, timeout=SECONDS)
    assert [field.name for field in found.schema] == ["n", "text"]


def test_a_table_keeps_its_layout_and_labels(at: Scratch) -> None:
    wanted = bigquery.Table(
        at.named(), [bigquery.SchemaField("day", "DATE"), bigquery.SchemaField("k", "STRING")]
    )
    wanted.time_partitioning = bigquery.TimePartitioning(field="day")
    wanted.clustering_fields, wanted.labels = ["k"], {"run": "r1"}
    at.client.create_table(wanted, retry=ONCE, timeout=SECONDS)
    found = at.client.get_table(wanted.reference, retry=ONCE, timeout=SECONDS)
    assert found.time_partitioning.field == "day"
    assert (found.clustering_fields, found.labels) == (["k"], {"run": "r1"})


def test_the_expiration_of_a_table_can_be_set_and_moved(at: Scratch) -> None:
    table = at.client.get_table(at.table(), retry=ONCE, timeout=SECONDS)
    for hours in (2, 5):
        wanted = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=hours)
        table.expires = wanted
        table = at.client.update_table(table, ["expires"], retry=ONCE, timeout=SECONDS)
        assert at.client.get_table(table.reference, timeout=SECONDS).expires == wanted


def test_a_table_that_is_not_there_is_not_found(at: Scratch) -> None:
    with pytest.raises(NotFound):
        at.client.get_table(at.named(), retry=ONCE, timeout=SECONDS)
