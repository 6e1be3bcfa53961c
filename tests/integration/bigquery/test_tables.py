import datetime as dt
import threading

import pytest

from libs.bigquery.client import BigQuery
from libs.bigquery.columns import COLUMN_TYPES
from libs.bigquery.datasets import dataset_owner, drop_dataset, ensure_dataset, list_datasets
from libs.bigquery.failures import DatasetNotOwned, TableNotFound
from libs.bigquery.ids import DatasetId
from libs.bigquery.jobs import query
from libs.bigquery.tables import (
    Column,
    EnsuredTable,
    add_columns,
    drop_table,
    ensure_table,
    get_columns,
    get_table,
    list_tables,
    set_expiration,
)

COLUMNS = (Column("n", "INT64", "REQUIRED"), Column("day", "DATE"))


def test_a_table_of_every_type_is_made_once_with_its_layout(
    bq: BigQuery, dataset: DatasetId
) -> None:
    table = dataset.table("t")
    columns = tuple(Column(f"c_{type_.lower()}", type_) for type_ in COLUMN_TYPES)
    labels = {"run": "r1"}
    first = ensure_table(
        bq, table, columns, partition_by="c_date", cluster_by=["c_string"], labels=labels
    )
    assert first == EnsuredTable(created=True, columns=columns)
    assert ensure_table(bq, table, COLUMNS) == EnsuredTable(created=False, columns=columns)
    facts = get_table(bq, table)
    assert (facts.partition_by, facts.cluster_by, facts.labels) == ("c_date", ("c_string",), labels)


def test_of_racing_makers_all_get_the_table(bq: BigQuery, dataset: DatasetId) -> None:
    table, results = dataset.table("t"), []
    makers = [
        threading.Thread(target=lambda: results.append(ensure_table(bq, table, COLUMNS)))
        for _ in range(6)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [result.columns for result in results] == [COLUMNS] * 6
    assert sum(result.created for result in results) == 1


def test_added_columns_can_be_read_written_and_added_again(
    bq: BigQuery, dataset: DatasetId
) -> None:
    table = dataset.table("t")
    ensure_table(bq, table, COLUMNS)
    more = (Column("cost", "NUMERIC"), Column("tags", "STRING", "REPEATED"))
    for _ in range(2):
        assert add_columns(bq, table, more) == (*COLUMNS, *more)
    query(bq, f"INSERT INTO {table.sql} (n, cost) VALUES (1, NUMERIC '1.123456789')")
    (row,) = query(bq, f"SELECT n, CAST(cost AS STRING) AS cost, tags FROM {table.sql}")
    assert row == {"n": 1, "cost": "1.123456789", "tags": []}


def test_a_required_column_cannot_be_added(bq: BigQuery, dataset: DatasetId) -> None:
    with pytest.raises(ValueError, match="x: a column added to a table cannot be REQUIRED"):
        add_columns(bq, dataset.table("t"), [Column("x", "INT64", "REQUIRED")])


def test_a_missing_table_is_not_found_and_dropping_it_is_fine(
    bq: BigQuery, dataset: DatasetId
) -> None:
    table = dataset.table("nope")
    with pytest.raises(TableNotFound) as error:
        get_columns(bq, table)
    assert error.value.metadata == {"table": str(table)}
    with pytest.raises(TableNotFound):
        ensure_table(bq, DatasetId(dataset.project, "nope").table("t"), COLUMNS, timeout=5)
    drop_table(bq, table)


def test_tables_are_listed_until_dropped(bq: BigQuery, dataset: DatasetId) -> None:
    tables = [dataset.table(name) for name in ("b", "a")]
    for table in tables:
        ensure_table(bq, table, COLUMNS)
    for wanted in (dt.datetime(2099, 1, 1, tzinfo=dt.UTC), None):
        set_expiration(bq, tables[0], wanted)
        assert get_table(bq, tables[0]).expires_at == wanted
    assert list_tables(bq, dataset) == (tables[1], tables[0])
    drop_table(bq, tables[0])
    assert list_tables(bq, dataset) == (tables[1],)
    assert list_tables(bq, DatasetId(dataset.project, "nope")) == ()


def test_a_dataset_belongs_to_the_tenant_of_its_label_alone(
    bq: BigQuery, dataset: DatasetId
) -> None:
    assert dataset_owner(bq, dataset) == "acme"
    assert ensure_dataset(bq, dataset, tenant="acme") is False
    for tenant in ("acme_corp", ""):
        with pytest.raises(DatasetNotOwned) as error:
            ensure_dataset(bq, dataset, tenant=tenant)
        assert error.value.metadata == {"dataset": str(dataset), "tenant": tenant}
    with pytest.raises(DatasetNotOwned):
        drop_dataset(bq, dataset, tenant="acme_corp")
    assert dataset in list_datasets(bq, tenant="acme")
    assert dataset not in list_datasets(bq, tenant="acme_corp")


def test_a_dataset_without_a_label_is_refused_to_tenants(bq: BigQuery) -> None:
    unlabelled = DatasetId(bq.connection.project, "acme_by_hand")
    assert ensure_dataset(bq, unlabelled) is True
    assert ensure_dataset(bq, unlabelled) is False
    with pytest.raises(DatasetNotOwned, match="lacks the label"):
        ensure_dataset(bq, unlabelled, tenant="acme")
    with pytest.raises(DatasetNotOwned):
        drop_dataset(bq, unlabelled, tenant="acme")
    drop_dataset(bq, unlabelled, tenant="")
    assert dataset_owner(bq, unlabelled) is None
