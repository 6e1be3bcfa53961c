"""The SQL of `merge`: one row for each key of a pipeline, the highest version, then the newest look.

Pure. A key of the target is the pipeline and the declared key: pipelines that share a table do not
meet. Keys and versions of staged rows are never NULL: workers quarantine such rows.
"""

from collections.abc import Sequence

from libs.common.lineage import target_columns
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.warehouse.statements import (
    column_list,
    column_type,
    name,
    partition_day,
    pruned,
    sums,
    text,
    tried,
)


def publish_by_key(
    spec: PipelineSpec,
    *,
    target: str,
    staging: str,
    days: Sequence[str | None],
    others: Sequence[str] = (),
    attempts: Sequence[int] | None = None,
) -> str:
    """One MERGE that publishes the rows of a run that win their keys.

    Within the run the highest version wins, then the higher (`_chunk_id`, `_row_number`), so that a
    target row meets one source row. Against the table the higher version wins, then the newer
    snapshot: a repeat finds its own snapshot and changes nothing.

    Args:
        spec: The pipeline.
        target: Quoted table.
        staging: Quoted table.
        days: Partitions that staged rows are in, and those in which their keys stand now; None is
            the NULL partition.
        others: Columns of the target that the run does not have: a row that is replaced loses them.
        attempts: Tries whose staged rows count; None where all of them do.
    """
    assert spec.write.version is not None
    version = name(spec.write.version)
    columns = [c.name for c in target_columns([c.platform() for c in spec.columns])]
    keys = ", ".join(name(key) for key in spec.write.key)
    counted = "TRUE" if attempts is None else tried(attempts)
    source = (
        f"SELECT {column_list(columns)} FROM {staging} WHERE {counted} QUALIFY ROW_NUMBER() OVER ("
        f"PARTITION BY {keys} ORDER BY {version} DESC, _chunk_id DESC, _row_number DESC) = 1"
    )
    on = " AND ".join(f"t.{key} = s.{key}" for key in _matched(spec))
    wins = (
        f"t.{version} IS NULL OR s.{version} > t.{version}"
        f" OR s.{version} = t.{version} AND s._snapshot > t._snapshot"
    )
    changes = ", ".join(
        [
            *(f"{name(column)} = s.{name(column)}" for column in columns),
            *(f"{name(column)} = NULL" for column in others),
        ]
    )
    values = ", ".join(f"s.{name(column)}" for column in columns)
    return (
        f"MERGE {target} t USING ({source}) s ON {on} AND {pruned(spec, days)}"
        f" WHEN MATCHED AND ({wins}) THEN UPDATE SET {changes}"
        f" WHEN NOT MATCHED BY TARGET THEN INSERT ({column_list(columns)}) VALUES ({values})"
    )


def standing_keys(
    spec: PipelineSpec, *, target: str, staging: str, days: Sequence[str | None]
) -> str:
    """Partitions in which staged keys stand, and how many rows there share theirs: partition_day, twin_count.

    Only partitions in `days` are read where the key itself names the partition.
    """
    column = spec.target.partition_by
    on = " AND ".join(f"t.{key} = s.{key}" for key in _matched(spec))
    keys = ", ".join(_matched(spec))
    of_target = ", ".join(f"t.{key}" for key in _matched(spec))
    stable = column in spec.write.key
    where = f" WHERE {pruned(spec, days)}" if stable else ""
    return (
        f"SELECT CAST({partition_day('at', column_type(spec, column))} AS STRING) AS partition_day,"
        f" COUNTIF(row_count > 1) AS twin_count FROM (SELECT t.{name(column)} AS at, COUNT(*) OVER"
        f" (PARTITION BY {of_target}) AS row_count FROM {target} t JOIN (SELECT DISTINCT {keys}"
        f" FROM {staging}) s ON {on}{where}) GROUP BY 1"
    )


def run_counts(
    spec: PipelineSpec, *, target: str, run: str, days: Sequence[str | None], money: Sequence[str]
) -> str:
    """Rows and sums that readers see of one run: row_count, m0 and so on."""
    return (
        f"SELECT COUNT(*) AS row_count{sums(money)} FROM {target} t"
        f" WHERE t._run_id = {text(run)} AND {pruned(spec, days)}"
    )


def _matched(spec: PipelineSpec) -> list[str]:
    return ["_pipeline_id", *(name(key) for key in spec.write.key)]
