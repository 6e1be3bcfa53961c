"""Several services at once: nothing hangs, fails, is lost, or is answered with another's rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.engine.warehouse import CALL_SECONDS, Warehouse, opened, record
from tests.support.appending import COMMITTED, append, open_stream
from tests.support.engine import Engine, stored_engine
from tests.support.engine_template import Template

ROUNDS = 15
ROWS = 100
KEYS = 50


@pytest.fixture(scope="module")
def kept(template: Template) -> Iterator[Engine]:
    """An engine on a directory, as the mesh has it."""
    with stored_engine(template=template) as running:
        yield running


@pytest.fixture
def warehouse(kept: Engine) -> Iterator[Warehouse]:
    with opened(kept) as made:
        yield made


def read(warehouse: Warehouse, key: int) -> None:
    """Look up rows that nobody changes."""
    with warehouse.again() as own:
        for number in range(ROUNDS):
            wanted = (key + number) % KEYS
            found = own.rows(f"SELECT k, v FROM `{{d}}.fixed` WHERE k = {wanted}")
            assert found == [(wanted, f"v{wanted}")]


def insert(warehouse: Warehouse) -> None:
    with warehouse.again() as own:
        for _ in range(ROUNDS):
            assert own.run("INSERT INTO `{d}.t` (i) VALUES (-1)").num_dml_affected_rows == 1


def append_to_default(warehouse: Warehouse, table: str) -> None:
    project, dataset, name = table.split(".")
    stream = f"projects/{project}/datasets/{dataset}/tables/{name}/streams/_default"
    with warehouse.again() as own:
        for _ in range(ROUNDS):
            (answer,) = append(own.writer, stream, record(i=[1] * ROWS))
            assert not answer.error.code, answer.error.message


def append_to_journal(warehouse: Warehouse, table: str) -> None:
    with warehouse.again() as own:
        stream = open_stream(own.writer, table, COMMITTED)
        for number in range(ROUNDS):
            (answer,) = append(own.writer, stream, record(i=[2] * ROWS), offset=number * ROWS)
            assert not answer.error.code, answer.error.message
        assert own.seal(stream) == ROUNDS * ROWS


def commit_batches(warehouse: Warehouse, table: str) -> None:
    with warehouse.again() as own:
        for _ in range(ROUNDS):
            own.load(table, record(i=[3] * ROWS))


def add_columns(warehouse: Warehouse) -> None:
    """Change the table under the appends, as the product does."""
    with warehouse.again() as own:
        for number in range(3):
            own.run(f"ALTER TABLE `{{d}}.t` ADD COLUMN IF NOT EXISTS c{number} INT64")
            own.relist("t", ("i", "INT64"), *((f"c{n}", "INT64") for n in range(number + 1)))


def test_many_clients_at_once_lose_nothing(warehouse: Warehouse) -> None:
    table = warehouse.table("t", ("i", "INT64"))
    warehouse.run(
        "CREATE TABLE `{d}.fixed` AS SELECT k, CONCAT('v', CAST(k AS STRING)) AS v "
        f"FROM UNNEST(GENERATE_ARRAY(0, {KEYS - 1})) AS k"
    )
    with ThreadPoolExecutor(8) as threads:
        work = [
            *(threads.submit(read, warehouse, key) for key in (0, 17)),
            threads.submit(insert, warehouse),
            threads.submit(add_columns, warehouse),
            threads.submit(append_to_default, warehouse, table),
            threads.submit(append_to_journal, warehouse, table),
            *(threads.submit(commit_batches, warehouse, table) for _ in range(2)),
        ]
        for done in work:
            done.result(5 * CALL_SECONDS)
    counts = "SELECT i, COUNT(*) AS n FROM `{d}.t` GROUP BY i ORDER BY i"
    appended = ROUNDS * ROWS
    expected = [(-1, ROUNDS), (1, appended), (2, appended), (3, 2 * appended)]
    assert warehouse.rows(counts) == expected
    assert list(warehouse.column_types("t")) == ["i", "c0", "c1", "c2"]
