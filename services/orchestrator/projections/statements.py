"""Statements that write projections, as text: a MERGE of rows, newer positions only."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from libs.bigquery.ids import TableId
from libs.common.lineage import PlatformColumn
from libs.metadata.tables import MetadataTable

BATCH: Final = 200
BATCH_BYTES: Final = 900_000
"""Most bytes of a statement's rows, far below the 10 MB that BigQuery takes as a request."""

Row = Mapping[str, object]


def entry(row: Row, table: MetadataTable) -> str:
    """Return a row of a table as JSON; a column that is None or not there is left out."""
    given = {c.name: row[c.name] for c in table.columns if row.get(c.name) is not None}
    return json.dumps(given, default=_plain, ensure_ascii=False)


def _plain(value: object) -> str:
    """Return a time as BigQuery casts it, and anything else as text."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(sep=" ")
    return str(value)


def batches(entries: Sequence[str]) -> list[list[str]]:
    """Cut rows into parts of no more than BATCH rows and BATCH_BYTES; a longer row is one alone."""
    parts: list[list[str]] = []
    size = 0
    for row in entries:
        size += len(row.encode())
        if not parts or len(parts[-1]) == BATCH or size > BATCH_BYTES:
            parts.append([])
            size = len(row.encode())
        parts[-1].append(row)
    return parts


def merge(sql: str, table: MetadataTable, key: Sequence[str]) -> str:
    """Return a MERGE of the rows in its parameter `entries`; only a higher `position` changes a row.

    The same text for any rows: as literals they would be parsed, which takes longer than all else.
    """
    names = [column.name for column in table.columns]
    cells = ", ".join(f"{_cell(column)} AS {column.name}" for column in table.columns)
    on = " AND ".join(f"t.{name} = s.{name}" for name in key)
    sets = ", ".join(f"{name} = s.{name}" for name in names if name not in key)
    return (
        f"MERGE {sql} t USING (SELECT {cells} FROM UNNEST(JSON_QUERY_ARRAY(@entries)) AS entry) s"
        f" ON {on} WHEN MATCHED AND s.position > t.position THEN UPDATE SET {sets}"
        f" WHEN NOT MATCHED THEN INSERT ({', '.join(names)})"
        f" VALUES ({', '.join(f's.{name}' for name in names)})"
    )


def _cell(column: PlatformColumn) -> str:
    text = f"JSON_VALUE(entry, '$.{column.name}')"
    return text if column.type == "STRING" else f"CAST({text} AS {column.type})"


def parameters(entries: Iterable[str]) -> dict[str, str]:
    """Return what a MERGE of rows is told."""
    return {"entries": f"[{','.join(entries)}]"}


def behind(events: TableId, runs: TableId, results: TableId) -> str:
    """Return a query of (tenant_id, pipeline_id, run_id) of runs of which a projection lacks rows.

    Each run is asked for alone, so wherever the writing was cut off, what lacks is found: its row is
    of its last record, and of its last audit with results each result is a row. It reads the journal
    as a whole.
    """
    named = '"rule_id":'
    named_in_payload = f"LENGTH(payload) - LENGTH(REPLACE(payload, '{named}', ''))"
    return (
        "WITH last AS (SELECT tenant_id, pipeline_id, run_id, MAX(position) AS position"
        f" FROM {events.sql} WHERE run_id IS NOT NULL GROUP BY tenant_id, pipeline_id, run_id),"
        f" audits AS (SELECT tenant_id, run_id, position, {named_in_payload} AS said"
        f" FROM {events.sql} WHERE event_type = 'run.audited'),"
        " audited AS (SELECT MAX(position) AS position FROM audits WHERE said > 0"
        " GROUP BY tenant_id, run_id),"
        f" judged AS (SELECT position, COUNT(*) * {len(named)} AS held FROM {results.sql} GROUP BY position),"
        " unsaid AS (SELECT a.tenant_id, a.run_id FROM audits a"
        " JOIN audited l ON l.position = a.position"
        " LEFT JOIN judged j ON j.position = a.position WHERE IFNULL(j.held, 0) < a.said)"
        " SELECT e.tenant_id, e.pipeline_id, e.run_id FROM last e"
        f" LEFT JOIN {runs.sql} r ON r.tenant_id = e.tenant_id AND r.run_id = e.run_id"
        " LEFT JOIN unsaid u ON u.tenant_id = e.tenant_id AND u.run_id = e.run_id"
        " WHERE r.position IS NULL OR r.position < e.position OR u.run_id IS NOT NULL"
    )
