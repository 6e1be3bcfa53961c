"""Records as rows of `metadata.run_events`, and what is said of a journal that cannot be read."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pydantic

from libs.common.errors import FailedPrecondition, ServiceError
from libs.common.names import RunName
from services.orchestrator.runs.records import DETAILS, VERSION, Detail, EpochOpened, Record

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
    return {
        "event_id": record.event_id,
        "position": record.position,
        "epoch": record.epoch,
        "tenant_id": name.tenant if name else None,
        "pipeline_id": name.pipeline if name else None,
        "run_id": name.run if name else None,
        "event_type": record.detail.type,
        "event_time": record.time,
        "event_date": record.time.date(),
        "payload": payload_of(record.detail),
    }


def records_of(rows: Iterable[Mapping[str, object]]) -> list[Record]:
    """Return the records of a whole journal from its rows, which are in order of position.

    Raises:
        JournalUnreadable: of the first row that this version cannot read, or that rows before it
            are missing of.
    """
    records: list[Record] = []
    for row in rows:
        try:
            record = _record_of(row)
        except pydantic.ValidationError as error:
            raise JournalUnreadable(row, why(error), version=writer(records, row)) from None
        if record.position != len(records) + 1:
            text = f"{len(records)} records stand before it"
            raise JournalUnreadable(row, text, version=writer(records, row), advice=MISSING)
        records.append(record)
    return records


def _record_of(row: Mapping[str, object]) -> Record:
    tenant, pipeline, run = row["tenant_id"], row["pipeline_id"], row["run_id"]
    time = row["event_time"]
    assert isinstance(time, dt.datetime)
    return Record(
        event_id=str(row["event_id"]),
        position=int(str(row["position"])),
        epoch=int(str(row["epoch"])),
        run=str(RunName(str(tenant), str(pipeline), str(run))) if run else "",
        time=time,
        detail=DETAILS.validate_json(str(row["payload"])),
    )


def writer(records: Sequence[Record], row: Mapping[str, object]) -> int | None:
    """Return the version of who wrote a row, as the first record of its epoch says it."""
    for record in reversed(records):
        if str(record.epoch) == str(row["epoch"]) and isinstance(record.detail, EpochOpened):
            return record.detail.version
    return None


def why(error: Exception) -> str:
    """Say what is wrong with a record, without anything that it holds."""
    if isinstance(error, ServiceError):
        return str(error)
    if not isinstance(error, pydantic.ValidationError):
        return f"applying it fails with {type(error).__name__}"
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(
        f"{PROBLEMS.get(one['type'], one['type'])} {'.'.join(map(str, one['loc']))}".strip()
        for one in found[:SAID]
    )
