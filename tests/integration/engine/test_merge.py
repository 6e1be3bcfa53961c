"""A MERGE means the same, whatever stands in ON beside the keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final, NamedTuple

import pytest
from google.cloud import bigquery

from tests.integration.engine.warehouse import Warehouse, failure_of


class Line(NamedTuple):
    k: int | None
    day: int | None
    v: str


On = Callable[[Line, Line], bool | None]

TARGET: Final = (
    Line(1, 1, "t"),
    Line(2, 1, "t"),
    Line(3, 2, "t"),
    Line(4, None, "t"),
    Line(None, 1, "t"),
    Line(5, 3, "t"),
)
SOURCE: Final = (
    Line(1, 1, "s"),
    Line(2, 2, "s"),
    Line(3, 2, "s"),
    Line(4, 1, "s"),
    Line(None, 1, "s"),
    Line(6, None, "s"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`sql` as an ON clause, and what it means; None where SQL says NULL."""

    sql: str
    means: On


CASES: Final = {
    "the key alone": Case(sql="t.k = s.k", means=lambda t, s: _equal(t.k, s.k)),
    "one value of the target": Case(
        sql="t.k = s.k AND t.day IN (1)", means=lambda t, s: _equal(t.k, s.k) and t.day == 1
    ),
    "a list of the target's": Case(
        sql="t.k = s.k AND t.day IN UNNEST(@days)",
        means=lambda t, s: _equal(t.k, s.k) and t.day in {1, 2},
    ),
    "a value or none": Case(
        sql="(t.day IN (2) OR t.day IS NULL) AND t.k = s.k",
        means=lambda t, s: _equal(t.k, s.k) and t.day in {2, None},
    ),
    "a range of the source": Case(
        sql="s.k = t.k AND s.day >= 2",
        means=lambda t, s: _equal(t.k, s.k) and s.day is not None and s.day >= 2,
    ),
    "both sides": Case(
        sql="t.k = s.k AND t.day = 1 AND s.day = 1",
        means=lambda t, s: _equal(t.k, s.k) and t.day == 1 and s.day == 1,
    ),
    "two keys": Case(
        sql="t.k = s.k AND t.day = s.day AND t.day < 3",
        means=lambda t, s: _equal(t.k, s.k) and _equal(t.day, s.day) and t.day < 3,  # type: ignore[operator]
    ),
    "a term of both sides": Case(
        sql="t.k = s.k AND (t.day = 1 OR s.day = 2)",
        means=lambda t, s: _equal(t.k, s.k) and (t.day == 1 or s.day == 2),
    ),
    "never": Case(sql="t.k = s.k AND FALSE", means=lambda *_: False),
    "always": Case(sql="TRUE AND t.k = s.k", means=lambda t, s: _equal(t.k, s.k)),
}
MERGE: Final = (
    "MERGE `{d}.t` t USING `{d}.s` s ON {on} WHEN MATCHED THEN UPDATE SET v = CONCAT(t.v, s.v) "
    "WHEN NOT MATCHED THEN INSERT (k, day, v) VALUES (s.k, s.day, s.v) "
    "WHEN NOT MATCHED BY SOURCE AND t.day IN (1, 2) THEN DELETE"
)


def _equal(one: int | None, other: int | None) -> bool:
    return one is not None and one == other


def merged(on: On) -> list[Line]:
    """Return what MERGE makes of TARGET and SOURCE."""
    kept = []
    for t in TARGET:
        matches = [s for s in SOURCE if on(t, s)]
        if matches:
            kept.append(t._replace(v=t.v + matches[0].v))
        elif t.day not in {1, 2}:
            kept.append(t)
    return kept + [s for s in SOURCE if not any(on(t, s) for t in TARGET)]


def fill(warehouse: Warehouse) -> None:
    """Make both tables."""
    for name, lines in (("t", TARGET), ("s", SOURCE)):
        warehouse.run(f"CREATE TABLE `{{d}}.{name}` (k INT64, day INT64, v STRING)")
        values = ", ".join(
            f"({line.k or 'NULL'}, {line.day or 'NULL'}, '{line.v}')" for line in lines
        )
        warehouse.run(f"INSERT INTO `{{d}}.{name}` (k, day, v) VALUES {values}")


def found(warehouse: Warehouse) -> list[Line]:
    return [Line(*row) for row in warehouse.rows("SELECT k, day, v FROM `{d}.t`")]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_conditions_beside_the_key_keep_their_meaning(warehouse: Warehouse, case: Case) -> None:
    fill(warehouse)
    warehouse.run(MERGE.replace("{on}", case.sql), days=("ARRAY<INT64>", [1, 2]))
    assert sorted(found(warehouse), key=repr) == sorted(merged(case.means), key=repr)


def test_parameters_told_apart_by_their_order_stay_in_order(warehouse: Warehouse) -> None:
    fill(warehouse)
    on = "t.k = s.k AND s.day = ? AND t.day = ?"
    marks = [bigquery.ScalarQueryParameter(None, "INT64", value) for value in (2, 1)]
    config = bigquery.QueryJobConfig(query_parameters=marks)
    sql = MERGE.replace("{on}", on).replace("{d}", warehouse.dataset)
    warehouse.client.query(sql, job_config=config).result()
    expected = merged(lambda t, s: _equal(t.k, s.k) and s.day == 2 and t.day == 1)
    assert sorted(found(warehouse), key=repr) == sorted(expected, key=repr)


class Unmatched(NamedTuple):
    """`sql` as MERGE without WHEN MATCHED over `t`, the (k, v) it leaves there, and how many rows it changed."""

    sql: str
    leaves: set[tuple[int | None, str]]
    changed: int


REMAINING: Final = {(line.k, line.v) for line in TARGET}
NEW: Final = {(11, "s"), (12, "s"), (None, "s")}
INSERT: Final = "WHEN NOT MATCHED THEN INSERT (k, day, v) VALUES (s.k, s.day, s.v)"
DELETE: Final = "WHEN NOT MATCHED BY SOURCE THEN DELETE"
UNMATCHED: Final = {
    "insert": Unmatched(f"t USING `{{d}}.n` s ON t.k = s.k {INSERT}", REMAINING | NEW, 3),
    "insert some": Unmatched(
        "t USING `{d}.n` s ON t.k = s.k WHEN NOT MATCHED AND s.k > 11 THEN "
        "INSERT (v, k) VALUES (UPPER(s.v), s.k)",
        REMAINING | {(12, "S")},
        1,
    ),
    "delete": Unmatched(f"t USING `{{d}}.n` s ON t.k = s.k {DELETE}", set(), 6),
    "replace": Unmatched(f"t USING `{{d}}.n` s ON t.k = s.k {DELETE} {INSERT}", NEW, 9),
    "replace a part": Unmatched(
        "t USING (SELECT k, day, v FROM `{d}.n` WHERE k = 11) s ON t.k = s.k AND t.day IN (1, 2) "
        f"WHEN NOT MATCHED BY SOURCE AND t.day IN (1, 2) THEN DELETE {INSERT}",
        {(4, "t"), (5, "t"), (11, "s")},
        5,
    ),
    "one matches": Unmatched(
        f"t USING (SELECT * FROM `{{d}}.n` UNION ALL SELECT 3, 2, 's') s ON t.k = s.k {DELETE} {INSERT}",
        NEW | {(3, "t")},
        8,
    ),
    "a key matches, a second does not": Unmatched(
        f"t USING (SELECT 3 AS k, 9 AS day, 's' AS v) s ON t.k = s.k AND t.day = s.day {DELETE} {INSERT}",
        {(3, "s")},
        7,
    ),
    "the source reads the target": Unmatched(
        f"t USING (SELECT k + 20 AS k, day, v FROM `{{d}}.t` WHERE k < 3) s ON t.k = s.k {DELETE} {INSERT}",
        {(21, "t"), (22, "t")},
        8,
    ),
    "the source is a view of the target": Unmatched(
        f"t USING `{{d}}.later` s ON t.k = s.k {DELETE} {INSERT}",
        {(k + 20, "t") for k in range(1, 6)} | {(None, "t")},
        12,
    ),
    "a condition reads the target": Unmatched(
        "t USING `{d}.n` s ON t.k = s.k WHEN NOT MATCHED BY SOURCE AND t.day = 1 THEN DELETE "
        "WHEN NOT MATCHED AND s.k > (SELECT COUNT(*) FROM `{d}.t`) + 5 THEN "
        "INSERT (k, v) VALUES (s.k, s.v)",
        {(3, "t"), (4, "t"), (5, "t"), (12, "s")},
        4,
    ),
    "a default": Unmatched(
        "t USING `{d}.n` s ON t.k = s.k WHEN NOT MATCHED AND s.k = 11 THEN "
        "INSERT (k, day, v) VALUES (s.k, DEFAULT, s.v)",
        REMAINING | {(11, "s")},
        1,
    ),
    "an update": Unmatched(
        "t USING `{d}.n` s ON t.k = s.k WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'u'",
        {(line.k, "u") for line in TARGET},
        6,
    ),
}


@pytest.mark.parametrize("merge", UNMATCHED.values(), ids=UNMATCHED.keys())
def test_rows_without_a_match_are_deleted_and_inserted(
    warehouse: Warehouse, merge: Unmatched
) -> None:
    fill(warehouse)
    warehouse.run("CREATE TABLE `{d}.n` AS SELECT * FROM `{d}.s` WHERE FALSE")
    warehouse.run(
        "INSERT INTO `{d}.n` (k, day, v) VALUES (11, 1, 's'), (12, 2, 's'), (NULL, 1, 's')"
    )
    warehouse.run("CREATE VIEW `{d}.later` AS SELECT k + 20 AS k, day, v FROM `{d}.t`")
    job = warehouse.run(f"MERGE `{{d}}.t` {merge.sql}")
    assert {(line.k, line.v) for line in found(warehouse)} == merge.leaves
    assert len(found(warehouse)) == len(merge.leaves)
    assert job.num_dml_affected_rows == merge.changed


def test_a_merge_that_fails_half_way_leaves_the_rows(warehouse: Warehouse) -> None:
    fill(warehouse)
    broken = INSERT.replace("s.k,", "CAST(s.v AS INT64),")
    sql = f"MERGE `{{d}}.t` t USING `{{d}}.s` s ON t.k = s.k + 100 {DELETE} {broken}"
    assert failure_of(lambda: warehouse.run(sql)) is not None
    assert {(line.k, line.v) for line in found(warehouse)} == REMAINING
