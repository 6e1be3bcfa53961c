"""Claims about what SIGKILL leaves between the two halves of a change."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from requests import RequestException

from tests.integration.engine.warehouse import Warehouse, record
from tests.support.pausing import paused


def killed_half_way(warehouse: Warehouse, change: Callable[[], object], *, name: str = "t") -> None:
    """Kill the engine between the halves of `change` of a table or job, and start it again."""
    assert warehouse.engine.pauses is not None
    with ThreadPoolExecutor(1) as threads, paused(warehouse.engine.pauses, name) as pause:
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


def a_job_killed_before_its_answer_runs_once(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE `{d}.t` (i INT64)")
    insert = "INSERT INTO `{d}.t` (i) VALUES (1)"
    killed_half_way(warehouse, lambda: warehouse.run(insert, job_id="job"), name="job")
    with warehouse.again() as restarted:
        again = restarted.run(insert, job_id="job")
        assert again.num_dml_affected_rows == 1
        assert restarted.rows("SELECT i FROM `{d}.t`") == [(1,)]
