"""Claims about what SIGKILL leaves between the two halves of a change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from requests import RequestException

from tests.integration.engine.warehouse import Warehouse, record
from tests.support.pausing import paused


def killed_half_way(warehouse: Warehouse, change: Callable[[], object]) -> None:
    """Kill the engine between the halves of `change` of table `t`, and start it again."""
    assert warehouse.engine.pauses is not None
    with ThreadPoolExecutor(1) as threads, paused(warehouse.engine.pauses, "t") as pause:
        unanswered = threads.submit(change)
        pause.reached()
        warehouse.engine.kill()
        assert isinstance(unanswered.exception(), RequestException)
    warehouse.engine.restart()


def a_table_half_made_can_be_made_again(warehouse: Warehouse) -> None:
    killed_half_way(warehouse, lambda: warehouse.table("t", ("i", "INT64")))
    table = warehouse.ensured_table("t", ("i", "INT64"))
    assert warehouse.column_types("t") == {"i": "INTEGER"}
    warehouse.load(table, record(i=[1]))
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]


def a_table_half_dropped_can_be_made_again(warehouse: Warehouse) -> None:
    table = warehouse.table("t", ("i", "INT64"))
    killed_half_way(warehouse, lambda: warehouse.drop(table))
    warehouse.load(warehouse.table("t", ("i", "INT64")), record(i=[1]))
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]
