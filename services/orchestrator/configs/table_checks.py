"""What must hold between a table's columns, its partitions and its clusters."""

from collections.abc import Iterable, Iterator
from typing import Final

from libs.common.lineage import PlatformColumn, base_type
from services.orchestrator.configs.documents import Document, Path
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.specs import ColumnSpec, TargetSpec

TIMES: Final = ("DATE", "DATETIME", "TIMESTAMP")
"""Types that a table may be partitioned by."""
UNORDERED: Final = ("JSON", "FLOAT64")
"""Types whose values cannot be compared exactly: no keys and no clusters."""
_MAX_CLUSTER: Final = 4


def check_layout(
    target: TargetSpec, columns: Iterable[PlatformColumn], document: Document, field: Path
) -> Iterator[FileError]:
    """Partition and cluster columns exist and have types that BigQuery takes."""
    by_name = {column.name: column for column in columns}
    times = [c.name for c in by_name.values() if _is_time(c)]
    if target.partition_by not in times:
        column = by_name.get(target.partition_by)
        found = f"{target.partition_by} ({column.type})" if column else target.partition_by
        yield document.error(
            (*field, "partition_by"), found=found,
            allowed=f"a DATE, DATETIME or TIMESTAMP column: {listed(times)}",
            advice=nearest(target.partition_by, times) or "leave it out for ingestion_date",
        )  # fmt: skip
    if len(target.cluster_by) > _MAX_CLUSTER or len(set(target.cluster_by)) < len(
        target.cluster_by
    ):
        yield document.error(
            (*field, "cluster_by"), found=listed(target.cluster_by),
            allowed=f"at most {_MAX_CLUSTER} columns, each once", advice="remove some",
        )  # fmt: skip
    for index, name in enumerate(target.cluster_by):
        column = by_name.get(name)
        if column is None:
            yield no_column(document, (*field, "cluster_by", index), name, by_name)
        elif base_type(column.type) in UNORDERED or column.mode == "REPEATED":
            yield document.error(
                (*field, "cluster_by", index), found=f"{name} ({column.type} {column.mode})",
                allowed="a column of a type that BigQuery clusters by", advice="name another",
            )  # fmt: skip


def _is_time(column: PlatformColumn) -> bool:
    return column.type in TIMES and column.mode != "REPEATED"


def no_column(document: Document, field: Path, name: str, known: Iterable[str]) -> FileError:
    names = list(known)
    return document.error(
        field,
        found=name,
        allowed=f"a column of the table: {listed(names)}",
        advice=nearest(name, names) or "add the column to the schema, or name another",
    )


def find_column(columns: Iterable[ColumnSpec], name: str) -> ColumnSpec | None:
    return next((column for column in columns if column.name == name), None)
