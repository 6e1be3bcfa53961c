"""What earlier versions wrote is read and means what it meant; what a newer one wrote is refused."""

import json
import typing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.journal.rows import JournalUnreadable, payload_of, records_of
from services.orchestrator.runs import records as r
from services.orchestrator.runs.checkpoints import parts_of
from services.orchestrator.runs.facts import forget, forgettable
from services.orchestrator.runs.ledger import Ledger
from tests.unit.orchestrator.journals import kept
from tests.unit.orchestrator.journals.kept import FOLDER, journals, rows_of
from tests.unit.orchestrator.journals.states import same, whole
from tests.unit.orchestrator.unlisted import Unlisted

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "what-was-journaled"


def of_file(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


every_journal = pytest.mark.parametrize("file", journals(), ids=of_file)


def loaded(rows: list[dict[str, Any]]) -> Ledger:
    """Read a journal as a start does."""
    history = History(MemoryJournal(), epoch=99, clock=lambda: NOON, new_id=lambda: "x")
    history.load(records_of(rows))
    return history.ledger


@every_journal
def test_a_journal_that_any_version_wrote_means_what_it_meant(file: Path) -> None:
    assert kept.meaning(loaded(rows_of(file))) == json.loads(kept.states_of(file).read_text())


def test_every_type_of_record_occurs() -> None:
    occurring = {row["event_type"] for file in journals() for row in rows_of(file)}
    details = typing.get_args(typing.get_args(r.Detail)[0])
    assert occurring == {detail.model_fields["type"].default for detail in details}


def test_a_journal_is_kept_of_every_version() -> None:
    assert {file.parent.name for file in journals()} == {
        f"v{number}" for number in range(1, r.VERSION + 1)
    }


def test_journals_are_kept_as_they_were_written() -> None:
    assert list(kept.sums()) == kept.SUMS.read_text().splitlines()


@pytest.mark.parametrize(
    "file", [x for x in journals() if x.parent.name == f"v{r.VERSION}"], ids=of_file
)
def test_this_version_writes_what_is_kept_as_its_own(file: Path) -> None:
    rows = rows_of(file)
    assert [payload_of(x.detail) for x in records_of(rows)] == [row["payload"] for row in rows]


@every_journal
def test_what_is_written_anew_says_the_same(file: Path) -> None:
    for record in records_of(rows_of(file)):
        payload = payload_of(record.detail)
        assert r.DETAILS.validate_json(payload) == record.detail
        assert json.loads(payload)["type"] == record.detail.type


def test_a_record_that_is_changed_is_a_new_version() -> None:
    assert kept.fields_now() == kept.fields_of(r.VERSION).read_text().splitlines()


@pytest.mark.parametrize("version", range(1, r.VERSION))
def test_nothing_of_an_earlier_version_was_renamed_retyped_or_removed(version: int) -> None:
    assert set(kept.fields_of(version).read_text().splitlines()) <= set(kept.fields_now())


def test_only_what_is_not_its_default_is_written() -> None:
    assert payload_of(r.RunPlanning()) == '{"type":"run.planning"}'
    assert payload_of(r.RunCancelled(by="k")) == '{"type":"run.cancelled","by":"k"}'


def newer(**changes: Any) -> list[dict[str, Any]]:
    """A journal whose sixth record is one that a later version wrote; `changes` are of its payload."""
    rows = rows_of(FOLDER / f"v{r.VERSION}" / "approved.jsonl")
    opened = json.loads(rows[0]["payload"]) | {"version": r.VERSION + 5}
    rows[0] |= {"payload": json.dumps(opened)}
    payload = json.loads(rows[5]["payload"]) | changes
    rows[5] |= {"payload": json.dumps(payload), "event_type": payload["type"]}
    return rows


def refused(rows: list[dict[str, Any]]) -> JournalUnreadable:
    with pytest.raises(JournalUnreadable) as error:
        loaded(rows)
    assert SECRET not in str(error.value)
    return error.value


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"type": "run.paused"}, "unknown type"),
        ({"urgency": SECRET}, "unknown field run.ingested.urgency"),
        ({"type": "run.failed", "failure": {"kind": SECRET, "reason": "", "message": "", "advice": ""}},
         "unknown value of run.failed.failure.kind"),
        ({"type": "run.failed", "failure": {"kind": "data", "reason": "", "message": "", "advice": "",
          "owner": SECRET}}, "unknown field run.failed.failure.owner"),
        ({"type": "run.cancelled", "by": [SECRET]}, "string_type run.cancelled.by"),
        ({"type": "run.failed"}, "no run.failed.failure"),
        ({"type": "run.succeeded"}, "is INGESTING"),
    ],
    ids=["type", "field", "value", "nested", "retyped", "missing", "move"],
)  # fmt: skip
def test_a_record_of_a_newer_version_is_named_and_refused(
    changes: dict[str, Any], what: str
) -> None:
    rows = newer(**changes)
    error = refused(rows)
    assert error.metadata == {
        "eventId": rows[5]["event_id"],
        "eventType": rows[5]["event_type"],
        "position": "6",
        "epoch": "1",
        "version": str(r.VERSION + 5),
        "known": str(r.VERSION),
    }
    assert error.reason == "JOURNAL_UNREADABLE"
    assert what in str(error)
    assert "start the release that wrote it, or a newer one" in str(error)


def test_a_spec_of_a_newer_version_is_refused_at_its_run() -> None:
    rows = newer()
    created = json.loads(rows[1]["payload"])
    spec = json.loads(created["spec"]) | {"currency": SECRET}
    rows[1] |= {"payload": json.dumps(created | {"spec": json.dumps(spec)})}
    error = refused(rows)
    assert (error.metadata["position"], error.metadata["eventType"]) == ("2", "run.created")
    assert "unknown field currency" in str(error)


@pytest.mark.parametrize("missing", [0, 3])
def test_a_journal_with_missing_rows_is_refused_at_the_row_after_them(missing: int) -> None:
    rows = newer()
    del rows[missing]
    error = refused(rows)
    assert error.metadata["position"] == str(missing + 2)
    assert f"{missing} records stand before it" in str(error)
    assert "restore metadata.run_events" in str(error)


@pytest.mark.parametrize(("epoch", "version"), [(7, str(r.VERSION + 5)), (0, "unknown")])
def test_an_epoch_is_of_the_version_of_the_one_before_it_where_nobody_said_another(
    epoch: int, version: str
) -> None:
    rows = newer(type="run.paused")
    rows[5] |= {"epoch": epoch}
    assert refused(rows).metadata["version"] == version


def test_a_field_that_a_later_release_of_the_same_version_added_is_left_out_and_kept_in_specs() -> (
    None
):
    rows = newer(urgency=SECRET)
    rows[0] |= {"payload": json.dumps({"type": "epoch.opened", "version": r.VERSION})}
    created = json.loads(rows[1]["payload"])
    spec = json.loads(created["spec"])
    spec["currency"], spec["limits"]["memory"] = "EUR", 7
    rows[1] |= {"payload": json.dumps(created | {"spec": json.dumps(spec)})}
    (run,) = loaded(rows).runs.values()
    again = json.loads(run.spec.with_columns([("added", "STRING")]).canonical())
    assert (again["currency"], again["limits"]["memory"]) == ("EUR", 7)


@every_journal
def test_runs_of_a_pipeline_or_tenant_are_found_without_a_look_at_those_of_others(
    file: Path,
) -> None:
    records = records_of(rows_of(file))
    ledger, later = whole(records), records[-1].time + timedelta(seconds=1)
    parents = {name.parent for name in ledger.runs}
    for leaving in ([], forgettable(ledger, ended_before=later, written=lambda _: True)):
        forget(ledger, leaving)
        names = sorted(ledger.runs)
        ledger.runs = runs = Unlisted(ledger.runs)
        for parent in parents:
            found = sorted(run.name for run in ledger.of(parent))
            assert found == [name for name in names if name.parent == parent]
            found = sorted(run.name for run in ledger.of_tenant(parent.tenant))
            assert found == [name for name in names if name.tenant == parent.tenant]
        assert runs.looks == 0


@every_journal
async def test_a_checkpoint_after_a_journal_says_what_the_journal_does(file: Path) -> None:
    records = records_of(rows_of(file))
    ledger, last = whole(records), records[-1]
    later = last.time + timedelta(seconds=1)
    forget(ledger, forgettable(ledger, ended_before=later, written=lambda _: True))
    details = [*parts_of(ledger), r.CheckpointCompleted(mark=last.position)]
    for n, detail in enumerate(details, start=1):
        changes = {"event_id": f"c{n}", "position": last.position + n, "run": "", "detail": detail}
        records.append(last.model_copy(update=changes))
    await same(records)
