"""Records as rows of `metadata.run_events`, and what is said of a journal that cannot be read."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import pydantic

from libs.common.errors import FailedPrecondition, ServiceError
from libs.common.names import PipelineName, RunName
from services.orchestrator.runs.checkpoints import FoldUnknown, Kept
from services.orchestrator.runs.records import (
    DETAILS,
    VERSION,
    CheckpointPart,
    Detail,
    EpochOpened,
    Record,
    RunCreated,
)
from services.orchestrator.schedules.records import ScheduleDetail
from services.orchestrator.specs import PipelineSpec

COLUMNS: Final = (
    "event_id, position, epoch, tenant_id, pipeline_id, run_id, event_type, event_time, payload"
)
"""What of a row makes its record."""

NEWER: Final = "start the release that wrote it, or a newer one, and change no row of the journal"
MISSING: Final = "restore metadata.run_events as it was: docs/journal.md says how"

PROBLEMS: Final = {
    "union_tag_invalid": "unknown type",
    "extra_forbidden": "unknown field",
    "literal_error": "unknown value of",
    "missing": "no",
}
"""What pydantic's errors mean here; their own texts may carry what was journaled."""

SAID: Final = 3
"""Problems of one record that are named."""


class JournalUnreadable(FailedPrecondition):
    """A record that this version cannot read, or cannot follow: it must not lead.

    An orchestrator that left out what it does not understand would decide against what was decided.
    """

    reason = "JOURNAL_UNREADABLE"

    def __init__(
        self, record: Mapping[str, object], why: str, *, version: int | None, advice: str = NEWER
    ) -> None:
        """Name a record by the columns of its row; `version`: of who wrote it, where that is known."""
        wrote = "unknown" if version is None else str(version)
        event, position = str(record["event_id"]), str(record["position"])
        kind, epoch = str(record["event_type"]), str(record["epoch"])
        super().__init__(
            f"record {event} of the journal ({kind}, position {position}, epoch {epoch}, journal "
            f"version {wrote}) cannot be read by this orchestrator, which knows version {VERSION}: "
            f"{why}; {advice}",
            eventId=event,
            eventType=kind,
            position=position,
            epoch=epoch,
            version=wrote,
            known=str(VERSION),
        )


def payload_of(detail: Detail) -> str:
    """Return the JSON that is journaled: the type, and every field that is not its default.

    So an older version reads whatever uses nothing that it does not know.
    """
    rest = detail.model_dump_json(exclude_defaults=True)[1:]
    comma = "," if len(rest) > 1 else ""
    return f'{{"type":"{detail.type}"{comma}{rest}'


def row_of(record: Record) -> dict[str, object]:
    """Return a record as a row, by the columns of `libs.metadata.tables.RUN_EVENTS`."""
    name = RunName.parse(record.run) if record.run else None
    about = name or _pipeline_of(record.detail)
    return {
        "event_id": record.event_id,
        "position": record.position,
        "epoch": record.epoch,
        "tenant_id": about.tenant if about else None,
        "pipeline_id": about.pipeline if about else None,
        "run_id": name.run if name else None,
        "event_type": record.detail.type,
        "event_time": record.time,
        "event_date": record.time.date(),
        "payload": payload_of(record.detail),
    }


def _pipeline_of(detail: Detail) -> PipelineName | None:
    """Return the pipeline that a record about a schedule is about; None of others."""
    return PipelineName.parse(detail.pipeline) if isinstance(detail, ScheduleDetail) else None


def records_of(
    rows: Iterable[Mapping[str, object]],
    *,
    after: int = 0,
    versions: Mapping[int, int] | None = None,
) -> list[Record]:
    """Return records from their rows, which are in order of position.

    Args:
        rows: All rows of the journal after a position.
        after: That position; 0 for a whole journal.
        versions: Version of the records before it, by the first epoch that wrote it.

    Raises:
        JournalUnreadable: of the first row that this version cannot read, or that rows before it
            are missing of.
    """
    known = dict(versions or {})
    records: list[Record] = []
    for row in rows:
        record = record_of(row, known)
        if record.position != after + len(records) + 1:
            text = f"{len(records)} records stand before it"
            text += f" since position {after}" if after else ""
            version = writer(known, row)
            raise JournalUnreadable(row, text, version=version, advice=MISSING)
        if isinstance(record.detail, EpochOpened):
            known[record.epoch] = record.detail.version
        records.append(record)
    return records


def parts_of_rows(rows: Iterable[Mapping[str, object]], mark: int) -> list[Record]:
    """Return the records that are parts of the checkpoint of a mark. Raises JournalUnreadable."""
    parts = (row for row in rows if row["event_type"] == "checkpoint.part")
    found = (record_of(row, {}) for row in parts)
    return [x for x in found if isinstance(x.detail, CheckpointPart) and x.detail.mark == mark]


def kept_of_rows(
    rows: Iterable[Mapping[str, object]], kept: Mapping[str, Kept], versions: Mapping[int, int]
) -> list[Record]:
    """Return the records of kept runs from their rows. Raises JournalUnreadable."""
    return [record for row in rows if (record := record_of(row, versions)).run in kept]


def record_of(row: Mapping[str, object], versions: Mapping[int, int]) -> Record:
    """Return a row's record.

    Fields that are not known are left out where the row's writer knew no newer version: whoever
    added them within a version said that they may be. Those of a newer version are refused.

    Raises:
        JournalUnreadable: this version cannot read it.
    """
    version = writer(versions, row)
    try:
        record = _record_of(row, extra="ignore" if _known(version) else "forbid")
        if isinstance(record.detail, RunCreated) and not _known(version):
            PipelineSpec.model_validate_json(record.detail.spec, extra="forbid")
    except pydantic.ValidationError as error:
        raise JournalUnreadable(row, why(error), version=version) from None
    return record


def _known(version: int | None) -> bool:
    return version is not None and version <= VERSION


def _record_of(row: Mapping[str, object], *, extra: Literal["ignore", "forbid"]) -> Record:
    tenant, pipeline, run = row["tenant_id"], row["pipeline_id"], row["run_id"]
    time = row["event_time"]
    assert isinstance(time, dt.datetime)
    return Record(
        event_id=str(row["event_id"]),
        position=int(str(row["position"])),
        epoch=int(str(row["epoch"])),
        run=str(RunName(str(tenant), str(pipeline), str(run))) if run else "",
        time=time,
        detail=DETAILS.validate_json(str(row["payload"]), extra=extra),
    )


def writer(versions: Mapping[int, int], row: Mapping[str, object]) -> int | None:
    """Return the version of who wrote a row: that of its epoch, or of the one before that is known."""
    if row["event_type"] == EpochOpened.model_fields["type"].default:
        return int(json.loads(str(row["payload"])).get("version", 1))
    epochs = [epoch for epoch in versions if epoch <= int(str(row["epoch"]))]
    return versions[max(epochs)] if epochs else None


def why(error: Exception) -> str:
    """Say what is wrong with a record, without anything that it holds."""
    if isinstance(error, ServiceError | FoldUnknown):
        return str(error)
    if not isinstance(error, pydantic.ValidationError):
        return f"applying it fails with {type(error).__name__}"
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(
        f"{PROBLEMS.get(one['type'], one['type'])} {'.'.join(map(str, one['loc']))}".strip()
        for one in found[:SAID]
    )
