"""`metadata.pipeline_runs` and `metadata.dq_results`: MERGEd in batches, newer positions only."""

import asyncio
import dataclasses
import datetime as dt
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import pydantic
import structlog

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.failures import QueryRejected, WarehouseForbidden, WarehouseRejected
from libs.bigquery.ids import TableId
from libs.common.errors import ServiceError
from libs.common.names import RunName
from libs.metadata.tables import DATASET, DQ_RESULTS, PIPELINE_RUNS, MetadataTable
from services.orchestrator.journal.history import History
from services.orchestrator.retries.pauses import PROJECTION, Pauses
from services.orchestrator.runs.receipts import Receipt, receipt_of
from services.orchestrator.runs.records import Record, Result, RunAudited, RunRetried
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.warehouse.statements import text

log = structlog.get_logger()

BATCH: Final = 200
BATCH_BYTES: Final = 900_000
"""Most bytes of a statement's rows; BigQuery takes a statement of 1 MB."""

PAUSE_SECONDS: Final = 2.0
"""How long changes are gathered before they are written: a short run is one MERGE, not one a state."""

PROGRESS: Final = dt.timedelta(seconds=30)
"""How far the row of a run may lie behind it while its state stays: a chunk more is no MERGE more."""

SECONDS: Final = 60.0
REFUSED: Final = (QueryRejected, WarehouseRejected)
"""What another try of the same statement ends with again."""

Row = Mapping[str, object]
_Said: TypeAlias = tuple[RunState, int, int]


def _said(run: Run) -> _Said:
    """Return what of a run is written as soon as it changes."""
    return run.state, run.attempt, run.audit_position


class BigQueryProjections:
    """Follows the journal; what it has not written yet, it writes after the next start."""

    def __init__(self, bigquery: BigQuery, history: History) -> None:
        self._bq = bigquery
        self._history = history
        self._judged: dict[RunName, int] = {}
        """Audit of each open run whose results are written already."""
        self._followed: dict[RunName, tuple[_Said, dt.datetime]] = {}
        """What the row of each open run says, and when the run was so."""

    async def follow(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Write every run that changed, for ever; a BigQuery that is away is waited for.

        A new state, attempt or audit is written soon. Counts of a run that stays in its state follow
        by no more than PROGRESS of the run's own changes, and are whole with its next state.
        """
        pauses = Pauses(sleep=sleep)
        async with self._history.watching() as watch:
            waiting = {run.name: None for run in await self._behind()}
            failed = 0
            while True:
                if not waiting:
                    await watch.changed.wait()
                    await sleep(PAUSE_SECONDS)
                    waiting.update(dict.fromkeys(filter(self._due, watch.take())))
                runs = [self._history.ledger.runs[name] for name in list(waiting)[:BATCH]]
                try:
                    await self.write(runs)
                except ServiceError as error:
                    log.warning("projection.delayed", cause=str(error))
                    failed += 1
                    await pauses.rest(PROJECTION, failed)
                else:
                    failed = 0
                    for run in runs:
                        waiting.pop(run.name, None)
                        self._followed[run.name] = _said(run), run.update_time
                        if run.resting:
                            del self._followed[run.name]

    def _due(self, name: RunName) -> bool:
        """Return whether a run that changed is to be written, or may wait for more."""
        run = self._history.ledger.runs[name]
        if run.resting or name not in self._followed:
            return True
        said, time = self._followed[name]
        return _said(run) != said or run.update_time - time >= PROGRESS

    async def _behind(self) -> list[Run]:
        """Return the runs that a table does not have as they are now: of a new table, all of them."""
        ledger = self._history.ledger
        try:
            known = await self._written(PIPELINE_RUNS)
            judged = await self._written(DQ_RESULTS)
        except ServiceError as error:
            log.warning("projection.delayed", cause=str(error))
            return list(ledger.runs.values())
        return [
            run
            for name, run in ledger.runs.items()
            if run.position > known.get((name.tenant, name.run), 0)
            or last_said(ledger.history[name]) > judged.get((name.tenant, name.run), 0)
        ]

    async def _written(self, table: MetadataTable) -> dict[tuple[str, str], int]:
        """Return the highest position that a table has by tenant and run id."""
        statement = (
            "SELECT tenant_id, run_id, MAX(position) AS position"
            f" FROM {self._table(table).sql} GROUP BY tenant_id, run_id"
        )
        rows = await asyncio.to_thread(jobs.query, self._bq, statement, timeout=SECONDS)
        return {
            (str(row["tenant_id"]), str(row["run_id"])): int(str(row["position"])) for row in rows
        }

    async def write(self, runs: Sequence[Run]) -> None:
        """Write the results of runs that were audited, then the runs; may be repeated.

        The row of a run comes last: it says that everything before it is there.
        """
        audited = [run for run in runs if run.audit_position != self._judged.get(run.name, 0)]
        history = self._history.ledger.history
        results = [row for run in audited for row in result_rows(history[run.name])]
        await self._merge(DQ_RESULTS, ("tenant_id", "run_id", "attempt", "expectation"), results)
        await self._merge(PIPELINE_RUNS, ("run_name",), [run_row(run) for run in runs])
        for run in runs:
            self._judged[run.name] = run.audit_position
            if run.resting:
                del self._judged[run.name]

    async def _merge(self, table: MetadataTable, key: Sequence[str], rows: Sequence[Row]) -> None:
        """Write rows; one that BigQuery refuses is logged and left out, so that no other waits."""
        selects = {select(row, table): [row[name] for name in key] for row in rows}
        for part in batches(list(selects)):
            try:
                await self._query(merge(self._table(table).sql, table, key, part))
            except WarehouseForbidden:
                raise
            except REFUSED:
                await self._one_by_one(table, key, {row: selects[row] for row in part})

    async def _one_by_one(
        self, table: MetadataTable, key: Sequence[str], selects: Mapping[str, Sequence[object]]
    ) -> None:
        for row, named in selects.items():
            try:
                await self._query(merge(self._table(table).sql, table, key, [row]))
            except WarehouseForbidden:
                raise
            except REFUSED as error:
                log.warning("projection.refused", table=table.name, row=named, cause=str(error))

    async def _query(self, statement: str) -> None:
        await asyncio.to_thread(jobs.query, self._bq, statement, timeout=SECONDS)

    def _table(self, table: MetadataTable) -> TableId:
        return TableId(self._bq.connection.project, DATASET, table.name)


def select(row: Row, table: MetadataTable) -> str:
    """Return a row as a SELECT of literals."""
    columns = ", ".join(f"{literal(row.get(c.name), c.type)} AS {c.name}" for c in table.columns)
    return f"SELECT {columns}"


def batches(selects: Sequence[str]) -> list[list[str]]:
    """Cut rows into parts of no more than BATCH rows and BATCH_BYTES; a longer row is one alone."""
    parts: list[list[str]] = []
    size = 0
    for row in selects:
        size += len(row.encode())
        if not parts or len(parts[-1]) == BATCH or size > BATCH_BYTES:
            parts.append([])
            size = len(row.encode())
        parts[-1].append(row)
    return parts


def merge(sql: str, table: MetadataTable, key: Sequence[str], selects: Iterable[str]) -> str:
    """Return a MERGE of rows by `key`; only a higher `position` changes a row."""
    names = [column.name for column in table.columns]
    on = " AND ".join(f"t.{name} = s.{name}" for name in key)
    sets = ", ".join(f"{name} = s.{name}" for name in names if name not in key)
    return (
        f"MERGE {sql} t USING ({' UNION ALL '.join(selects)}) s ON {on}"
        f" WHEN MATCHED AND s.position > t.position THEN UPDATE SET {sets}"
        f" WHEN NOT MATCHED THEN INSERT ({', '.join(names)})"
        f" VALUES ({', '.join(f's.{name}' for name in names)})"
    )


def literal(value: object, type_: str) -> str:
    """Return a value as a literal of a column's type; None as a typed NULL."""
    if value is None:
        return f"CAST(NULL AS {type_})"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dt.datetime):
        return f"TIMESTAMP {text(value.astimezone(dt.UTC).isoformat(sep=' '))}"
    return text(str(value))


def run_row(run: Run) -> dict[str, object]:
    """Return a run as a row of `pipeline_runs`."""
    done = run.landed.values()
    receipt = receipt_of(run)
    failure = run.failure
    return {
        "run_name": str(run.name),
        "tenant_id": run.name.tenant,
        "pipeline_id": run.name.pipeline,
        "run_id": run.name.run,
        "state": run.state.value,
        "attempt": run.attempt,
        "window_start": run.created.window_start,
        "window_end": run.created.window_end,
        "delivery": ", ".join(run.plan.deliveries) if run.plan and run.plan.deliveries else None,
        "spec_hash": run.spec.spec_hash,
        "create_time": run.create_time,
        "update_time": run.update_time,
        "rows_read": sum(d.read_row_count for d in done),
        "rows_landed": sum(d.landed_row_count for d in done),
        "rows_quarantined": sum(d.quarantined_row_count for d in done),
        "failure_kind": failure.kind if failure else None,
        "failure_reason": failure.reason if failure else None,
        "failure_message": failure.message if failure else None,
        "receipt": receipt_json(receipt) if receipt else None,
        "position": run.position,
    }


def receipt_json(receipt: Receipt) -> str:
    """Return a receipt as JSON: counts as numbers, decimals and spans as text."""
    return json.dumps(dataclasses.asdict(receipt), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def last_said(records: Sequence[Record]) -> int:
    """Return the position of a run's last record with results of expectations; 0 if it has none."""
    said = (
        x.position
        for x in reversed(records)
        if isinstance(x.detail, RunAudited) and x.detail.results
    )
    return next(said, 0)


def result_rows(records: Sequence[Record]) -> list[dict[str, object]]:
    """Return what each expectation said last in each attempt of a run as rows of `dq_results`."""
    rows: dict[tuple[int, str], dict[str, object]] = {}
    attempt = 1
    for record in records:
        detail = record.detail
        if isinstance(detail, RunRetried):
            attempt = detail.attempt
        if isinstance(detail, RunAudited):
            found = (result_row(record, attempt, result) for result in detail.results)
            rows.update({(attempt, str(row["expectation"])): row for row in found})
    return list(rows.values())


def result_row(record: Record, attempt: int, result: Result) -> dict[str, object]:
    """Return what one expectation said as a row."""
    name = RunName.parse(record.run)
    return {
        "tenant_id": name.tenant,
        "pipeline_id": name.pipeline,
        "run_id": name.run,
        "attempt": attempt,
        "expectation": result.rule_id,
        "expectation_type": result.expectation_type,
        "column_name": result.column or None,
        "kwargs": result.kwargs,
        "success": result.success,
        "severity": result.severity,
        "element_count": result.element_count,
        "unexpected_count": result.unexpected_count,
        "missing_count": result.missing_count,
        "observed_value": result.observed_value,
        "evaluate_time": record.time,
        "position": record.position,
    }
