"""Claims about statements, jobs, and what the engine needs to start."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from typing import Final

from google.api_core.exceptions import BadRequest, Conflict, NotFound

from tests.integration.engine.warehouse import CALL_SECONDS, Warehouse, failure_of
from tests.support.appending import ONCE
from tests.support.pausing import LOOKED, PARSED

MERGE_ROWS: Final = 300
ROWS: Final = "SELECT k, DATE '2026-01-02' AS day"
NUMBERED: Final = f"FROM UNNEST(GENERATE_ARRAY(1, {MERGE_ROWS})) AS k"
WIDEST_COLUMNS: Final = 600
STATEMENTS: Final = 20
TERMS: Final = 100
REPLACE: Final = (
    "MERGE `{{d}}.t` t USING `{{d}}.s` s ON {on} WHEN MATCHED THEN UPDATE SET v = s.v "
    "WHEN NOT MATCHED THEN INSERT (k, day, v) VALUES (s.k, s.day, s.v) "
    "WHEN NOT MATCHED BY SOURCE AND t.day IN (DATE '2026-01-02') THEN DELETE"
)


def nothing_is_fetched(warehouse: Warehouse) -> None:
    """The spatial extension is loaded from a package, not installed from a network."""
    spatial = (
        "SELECT loaded, COALESCE(install_path, '') AS path FROM duckdb_extensions() "
        "WHERE extension_name = 'spatial'"
    )
    assert warehouse.rows(spatial) == [(True, "")]


def duckdb_leaves_memory_to_others(warehouse: Warehouse) -> None:
    limits = "SELECT current_setting('threads') AS n, current_setting('memory_limit') AS m"
    assert warehouse.rows(limits) == [(2, "667.5 MiB")]


def new_tables_leave_statements_their_memory(warehouse: Warehouse) -> None:
    """What they hold until it is written to the file comes on top."""
    columns = ", ".join(f"'' AS c{number}" for number in range(WIDEST_COLUMNS))
    warehouse.run(f"CREATE TABLE `{{d}}.t` AS SELECT {columns}")
    held = "SELECT memory_usage_bytes AS n FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'"
    assert warehouse.rows(held)[0][0] > 16 << 20
    limits = (
        "SELECT current_setting('memory_limit') AS m, current_setting('checkpoint_threshold') AS c"
    )
    end = time.monotonic() + 2
    while warehouse.rows(limits) != [("683.5 MiB", "61.0 MiB")]:
        assert time.monotonic() < end, warehouse.rows(limits)


def new_files_have_the_newest_format(warehouse: Warehouse) -> None:
    """The one of the DuckDB that writes them, with its way of storing texts."""
    formats = (
        "SELECT tags['storage_version'] AS format, version() AS writer FROM duckdb_databases() "
        "WHERE NOT internal"
    )
    ((found, writer),) = warehouse.rows(formats)
    assert found.split(".")[:2] == writer.split(".")[:2]


def a_list_may_stand_in_on(warehouse: Warehouse) -> None:
    """DuckDB joins no query in ON, and that is what a list of parameters becomes."""
    warehouse.run("CREATE TABLE `{d}.t` AS SELECT 1 AS k, DATE '2026-01-02' AS day, 't' AS v")
    warehouse.run("CREATE TABLE `{d}.s` AS SELECT 1 AS k, DATE '2026-01-02' AS day, 's' AS v")
    on = "t.k = s.k AND t.day IN UNNEST(@days)"
    warehouse.run(REPLACE.format(on=on), days=("ARRAY<DATE>", ["2026-01-02"]))
    assert warehouse.rows("SELECT k, v FROM `{d}.t`") == [(1, "s")]


def a_text_is_parsed_once(warehouse: Warehouse) -> None:
    assert warehouse.engine.pauses is not None
    texts = warehouse.engine.pauses / PARSED
    texts.touch()
    try:
        assert warehouse.rows("SELECT 1 + 1 AS two") == [(2,)]
        parsed = texts.read_text(encoding="utf-8").splitlines()
    finally:
        texts.unlink()
    assert parsed
    assert len(parsed) == len(set(parsed)), parsed


def no_statement_makes_anybody_look_at_all_that_lives(warehouse: Warehouse) -> None:
    assert warehouse.engine.pauses is not None
    looks = warehouse.engine.pauses / LOOKED
    looks.touch()
    try:
        for number in range(STATEMENTS):
            assert warehouse.rows(_long(number)) == [(number * TERMS,)]
        assert looks.read_text(encoding="utf-8") == ""
    finally:
        looks.unlink()


def trees_are_kept_no_longer_than_their_request(warehouse: Warehouse) -> None:
    """Who asks the same again has it parsed again."""
    assert warehouse.engine.pauses is not None
    texts = warehouse.engine.pauses / PARSED
    warehouse.rows(_long(1))
    texts.touch()
    try:
        warehouse.rows(_long(1))
        assert texts.read_text(encoding="utf-8")
    finally:
        texts.unlink()


def _long(number: int) -> str:
    """Return a SELECT that makes thousands of objects; its one value is `number` * TERMS."""
    terms = " + ".join(f"n{term}" for term in range(TERMS))
    columns = ", ".join(f"{number} AS n{term}" for term in range(TERMS))
    return f"SELECT {terms} AS n FROM (SELECT {columns})"


def a_request_passes_no_layers(warehouse: Warehouse) -> None:
    """Of which one would have given its answer an id."""
    path = f"{warehouse.engine.rest}/bigquery/v2/projects/{warehouse.engine.project}/datasets"
    with urllib.request.urlopen(path, timeout=CALL_SECONDS) as answer:
        assert json.load(answer)["kind"] == "bigquery#datasetList"
        assert "x-correlation-id" not in answer.headers


def constants_in_on_join_by_hash(warehouse: Warehouse) -> None:
    """A MERGE whose ON names partitions is a hash join, as one without; not every pair of rows."""
    for name in ("t", "s"):
        warehouse.run(f"CREATE TABLE `{{d}}.{name}` AS {ROWS}, '{name}' AS v {NUMBERED}")
    days = "t.k = s.k AND t.day IN (DATE '2026-01-02', DATE '2026-01-03')"
    with _hash_joins(warehouse) as kinds:
        job = warehouse.run(REPLACE.format(on=days))
    assert job.num_dml_affected_rows == MERGE_ROWS
    assert "FULL" in kinds


def a_merge_without_a_match_joins_no_rows(warehouse: Warehouse) -> None:
    """It asks which target rows have a key of the source's (SEMI), and writes."""
    for name in ("t", "s"):
        warehouse.run(f"CREATE TABLE `{{d}}.{name}` AS {ROWS}, '{name}' AS run {NUMBERED}")
    merge = (
        "MERGE `{d}.t` t USING `{d}.s` s ON t.run = s.run AND t.k = s.k "
        "WHEN NOT MATCHED BY SOURCE AND t.run = 't' THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT (k, day, run) VALUES (k, day, run)"
    )
    with _hash_joins(warehouse) as kinds:
        warehouse.run(merge)
    assert kinds == {"SEMI"}
    assert warehouse.rows("SELECT run, COUNT(*) AS n FROM `{d}.t` GROUP BY run") == [
        ("s", MERGE_ROWS)
    ]


def two_source_rows_for_one_target_row_fail(warehouse: Warehouse) -> None:
    """If they would change it; both may be inserted."""
    warehouse.run("CREATE TABLE `{d}.t` AS SELECT 1 AS k, 'old' AS v")
    twice = "USING (SELECT 1 AS k, 'a' AS v UNION ALL SELECT 1, 'b') s ON t.k = s.k"
    insert = "WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"
    warehouse.run(f"MERGE `{{d}}.t` t {twice} {insert}")
    for when in ("WHEN MATCHED", "when\nmatched", "WHEN /* both have it */ MATCHED"):
        update = f"MERGE `{{d}}.t` t {twice} {when} THEN UPDATE SET v = s.v"
        refused = failure_of(functools.partial(warehouse.run, update))
        assert isinstance(refused, BadRequest)
        assert "at most one source row" in refused.message
    assert warehouse.rows("SELECT v FROM `{d}.t`") == [("old",)]


def a_job_id_runs_once(warehouse: Warehouse) -> None:
    """The second try is told 409."""
    warehouse.run("CREATE TABLE `{d}.t` (i INT64)")
    insert, name = "INSERT INTO `{d}.t` (i) VALUES (1)", warehouse.dataset.rpartition(".")[2]
    warehouse.run(insert, job_id=name)
    assert isinstance(failure_of(lambda: warehouse.run(insert, job_id=name)), Conflict)
    assert warehouse.rows("SELECT COUNT(*) AS n FROM `{d}.t`") == [(1,)]


def old_results_are_forgotten(warehouse: Warehouse) -> None:
    """The result of a query is gone after many large ones."""
    first = warehouse.run("SELECT 1 AS a")
    large = "SELECT REPEAT('x', 1000) AS big FROM UNNEST(GENERATE_ARRAY(1, 64000)) AS k"
    for _ in range(5):
        # Not fetched: what counts is that the engine has it.
        warehouse.client.query(large, retry=ONCE, job_retry=None)
    again = warehouse.client.get_job(first.job_id)
    assert isinstance(failure_of(lambda: again.result(retry=ONCE, timeout=20)), NotFound)


@contextlib.contextmanager
def _hash_joins(warehouse: Warehouse) -> Iterator[set[str]]:
    """Yield a set that has, after the block, the kinds of hash join that DuckDB made in it.

    Told by DuckDB's own log of its operators, see https://duckdb.org/docs/stable/operations_manual/logging/overview;
    reading that log is a join too, by `context_id`.
    """
    kinds: set[str] = set()
    warehouse.rows("SELECT * FROM enable_logging(['PhysicalOperator'], level => 'debug')")
    try:
        yield kinds
        logged = (
            "SELECT message FROM duckdb_logs "
            "WHERE type = 'PhysicalOperator' AND message NOT LIKE '%context_id%'"
        )
        for (message,) in warehouse.rows(logged):
            kinds.update(re.findall(r"HASH_JOIN.*Join Type=(\w+)", message))
    finally:
        warehouse.rows("SELECT * FROM disable_logging()")
        warehouse.rows("SELECT * FROM truncate_duckdb_logs()")
