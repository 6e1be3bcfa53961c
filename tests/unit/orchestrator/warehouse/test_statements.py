"""Partitions as literals: few words for many rows, and none left out."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.specs import ColumnSpec, PipelineSpec
from services.orchestrator.warehouse.merge_statements import publish_by_key, standing_keys
from services.orchestrator.warehouse.statements import Publishing, partitions, publish
from tests.unit.orchestrator.conductor.world import spec

FIRST = dt.date(2024, 9, 1)


def spec_by(type_: str) -> PipelineSpec:
    """Return a spec whose target is partitioned by a column `at` of `type_`."""
    made = spec()
    target = made.target.model_copy(update={"partition_by": "at"})
    columns = (*made.columns, ColumnSpec(name="at", type=type_))
    return made.model_copy(update={"columns": columns, "target": target})


def pruned(type_: str, *days: str | None) -> str:
    """Return the condition on partitions in the ON clause of a publishing statement."""
    what = Publishing(target="`p.d.t`", staging="`p.d.s`", partitions=days)
    statement = publish(spec_by(type_), what)
    return statement.partition("t._row_number = s._row_number AND ")[2].partition(" WHEN ")[0]


def test_days_that_follow_one_another_are_one_range_of_a_timestamp() -> None:
    assert pruned("TIMESTAMP", "2024-09-02", "2024-08-31", "2024-09-01") == (
        "t.`at` >= TIMESTAMP '2024-08-31' AND t.`at` < TIMESTAMP '2024-09-03'"
    )


def test_a_gap_begins_another_range_and_null_is_a_partition_of_its_own() -> None:
    assert pruned("DATETIME", "2024-09-01", "2024-09-03", None) == (
        "(t.`at` >= DATETIME '2024-09-01' AND t.`at` < DATETIME '2024-09-02'"
        " OR t.`at` >= DATETIME '2024-09-03' AND t.`at` < DATETIME '2024-09-04'"
        " OR t.`at` IS NULL)"
    )


@pytest.mark.parametrize(
    ("days", "condition"),
    [
        (("2024-09-01", "2024-09-02"), "t.`at` IN (DATE '2024-09-01', DATE '2024-09-02')"),
        ((None,), "t.`at` IS NULL"),
        ((), "FALSE"),
    ],
    ids=["days", "only null", "none"],
)
def test_a_date_column_is_compared_with_its_days(
    days: tuple[str | None, ...], condition: str
) -> None:
    assert pruned("DATE", *days) == condition


@given(st.sets(st.integers(0, 60), min_size=1))
def test_ranges_hold_every_day_and_no_other(offsets: set[int]) -> None:
    days = {FIRST + dt.timedelta(days=offset) for offset in offsets}
    words = pruned("TIMESTAMP", *(day.isoformat() for day in days)).split("'")
    bounds = [dt.date.fromisoformat(word) for word in words[1::2]]
    inside = {
        first + dt.timedelta(days=n)
        for first, after in zip(bounds[::2], bounds[1::2], strict=True)
        for n in range((after - first).days)
    }
    assert inside == days


@pytest.mark.parametrize(
    ("type_", "day"),
    [("DATE", "`at`"), ("TIMESTAMP", "DATE(`at`)"), ("DATETIME", "DATE(`at`)")],
)
def test_partitions_are_asked_for_by_day(type_: str, day: str) -> None:
    assert partitions("`p.d.t`", "at", type_, "TRUE") == (
        f"SELECT DISTINCT CAST({day} AS STRING) AS partition_day FROM `p.d.t` WHERE TRUE"
    )


def test_a_merge_names_key_version_partitions_and_every_column() -> None:
    made = spec(mode="merge")
    statement = publish_by_key(made, target="`p.d.t`", staging="`p.d.s`", days=("2026-11-20",))
    lineage = "_tenant_id _pipeline_id _run_id _chunk_id _row_number _source _snapshot _ingested_at"
    names = ["service", "cost", "version", *lineage.split(), "ingestion_date"]
    columns = ", ".join(f"`{name}`" for name in names)
    assert statement == (
        f"MERGE `p.d.t` t USING (SELECT {columns} FROM `p.d.s` WHERE TRUE QUALIFY ROW_NUMBER() OVER"
        " (PARTITION BY `service` ORDER BY `version` DESC, _chunk_id DESC, _row_number DESC) = 1) s"
        " ON t._pipeline_id = s._pipeline_id AND t.`service` = s.`service`"
        " AND t.`ingestion_date` IN (DATE '2026-11-20')"
        " WHEN MATCHED AND (t.`version` IS NULL OR s.`version` > t.`version`"
        " OR s.`version` = t.`version` AND s._snapshot > t._snapshot) THEN UPDATE SET "
        + ", ".join(f"`{name}` = s.`{name}`" for name in names)
        + f" WHEN NOT MATCHED BY TARGET THEN INSERT ({columns}) VALUES ("
        + ", ".join(f"s.`{name}`" for name in names)
        + ")"
    )


@pytest.mark.parametrize(("key", "reads_all"), [(("service",), True), (("service", "at"), False)])
def test_keys_are_looked_for_in_all_partitions_unless_they_name_theirs(
    key: tuple[str, ...], reads_all: bool
) -> None:
    made = spec_by("DATE")
    made = made.model_copy(update={"write": made.write.model_copy(update={"key": key})})
    asked = standing_keys(made, target="`p.d.t`", staging="`p.d.s`", days=("2026-11-20",))
    assert ("WHERE t.`at` IN (DATE '2026-11-20')" not in asked) == reads_all


def test_a_publication_takes_rows_of_named_tries_only() -> None:
    what = Publishing(target="`p.d.t`", staging="`p.d.s`", attempts=(1_000_001, 2_000_007))
    assert " FROM `p.d.s` WHERE _attempt IN (1000001, 2000007))" in publish(spec(), what)
    what = Publishing(target="`p.d.t`", staging="`p.d.s`", attempts=())
    assert " FROM `p.d.s` WHERE FALSE)" in publish(spec(), what)
