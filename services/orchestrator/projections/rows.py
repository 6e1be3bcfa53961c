"""Runs and what was found of them as rows of `pipeline_runs` and `dq_results`."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import pydantic

from libs.common.names import RunName
from services.orchestrator.runs.receipts import Receipt, receipt_of
from services.orchestrator.runs.records import Record, Result, RunAudited, RunRetried
from services.orchestrator.runs.run import Run


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


def last_said(records: Sequence[Record]) -> tuple[int, int]:
    """Return the position of a run's last record with results, and how many; (0, 0) if it has none."""
    said = (
        (x.position, len(x.detail.results))
        for x in reversed(records)
        if isinstance(x.detail, RunAudited) and x.detail.results
    )
    return next(said, (0, 0))


def result_rows(records: Sequence[Record]) -> list[dict[str, object]]:
    """Return what each expectation said last in each attempt of a run as rows of `dq_results`.

    In order of position: where those of the last audit are written, so are all before them.
    """
    rows: dict[tuple[int, str], dict[str, object]] = {}
    attempt = 1
    for record in records:
        detail = record.detail
        if isinstance(detail, RunRetried):
            attempt = detail.attempt
        if isinstance(detail, RunAudited):
            found = (result_row(record, attempt, result) for result in detail.results)
            rows.update({(attempt, str(row["expectation"])): row for row in found})
    return sorted(rows.values(), key=lambda row: int(str(row["position"])))


def all_result_rows(records: Iterable[Record]) -> list[dict[str, object]]:
    """Return the rows of `result_rows` of several runs, whose records are whole and in order."""
    by_run: dict[str, list[Record]] = {}
    for record in records:
        by_run.setdefault(record.run, []).append(record)
    return [row for own in by_run.values() for row in result_rows(own)]


def run_of(row: Mapping[str, object]) -> RunName:
    """Return the run that a row of either table is of."""
    return RunName(str(row["tenant_id"]), str(row["pipeline_id"]), str(row["run_id"]))


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
