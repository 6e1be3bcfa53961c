"""A chunk: every row lands or is quarantined, with where it came from and why."""

import dataclasses
import datetime as dt
import json
import threading
from decimal import Decimal

import pytest

from libs.common.lineage import quarantine_columns, staging_columns, target_columns
from services.ingest.failures import Cancelled, DeadlinePassed
from services.ingest.rules import Predicate, Rule
from services.ingest.sink import LARGEST_ROW, MemorySink, SinkUnavailable
from services.ingest.sources.source import Reject
from services.ingest.verdicts import COLUMN_BYTES
from tests.unit.ingest.reading import columns
from tests.unit.ingest.working import NOON, QUARANTINE, TABLE, batch, task, work

COLUMNS = columns("day DATE", "cost BIGNUMERIC", "tokens INT64")
GOOD = ("2026-11-01", "0.10", "5")
LINEAGE = {
    "_tenant_id": "acme",
    "_pipeline_id": "p_usage",
    "_run_id": "r1",
    "_chunk_id": "chunk1",
    "_source": "bills/a.csv",
    "_snapshot": 7,
    "_ingested_at": NOON,
    "ingestion_date": dt.date(2026, 11, 1),
}


def test_a_row_lands_in_its_types_with_where_it_came_from() -> None:
    done = work(task(COLUMNS), batch(COLUMNS, GOOD, first=41))
    assert done.landed == [
        {"day": dt.date(2026, 11, 1), "cost": Decimal("0.10"), "tokens": 5}
        | LINEAGE
        | {"_row_number": 41, "_attempt": 3}
    ]
    assert (done.tally.stream, done.tally.quarantine_stream) == (f"{TABLE}/streams/1", "")


@pytest.mark.parametrize("staging", [True, False], ids=["staging", "target"])
def test_rows_have_the_columns_of_the_table_that_they_go_to(staging: bool) -> None:
    declared = [column.platform() for column in COLUMNS]
    expected = (staging_columns if staging else target_columns)(declared)
    done = work(task(COLUMNS, staging=staging), batch(COLUMNS, GOOD))
    assert list(done.landed[0]) == [column.name for column in expected]


def test_a_cell_that_cannot_be_cast_quarantines_its_row_with_its_money_and_its_text() -> None:
    row = ("2026-11-01", "0.10", "five")
    done = work(task(COLUMNS), batch(COLUMNS, GOOD, row))
    (lost,) = done.quarantined
    assert lost == LINEAGE | {
        "_row_number": 1,
        "_attempt": 3,
        "_scope": None,
        "reasons": ["CAST tokens: found 'five'; allowed is a whole number of 64 bits"],
        "raw_row": str(row),
        "cost": Decimal("0.10"),
        "cost__text": "0.10",
    }
    declared = [column.platform() for column in COLUMNS]
    assert list(lost) == [column.name for column in quarantine_columns(declared)]
    assert done.tally.quarantine_stream == f"{QUARANTINE}/streams/2"
    assert [row["_row_number"] for row in done.landed] == [0]


@pytest.mark.parametrize(
    ("text", "amount", "unparsable"),
    [
        ("12.5 EUR", None, 1),
        ("1e-19", None, 0),
        ("123456789012345678901.5", None, 0),
        (" -2.50 ", Decimal("-2.50"), 0),
        ("", None, 0),
        (None, None, 0),
    ],
    ids=["no number", "too fine", "too large", "a number", "empty", "absent"],
)
def test_money_of_a_quarantined_row_is_kept_as_text_and_as_a_number_where_it_fits(
    text: str | None, amount: Decimal | None, unparsable: int
) -> None:
    done = work(task(COLUMNS), batch(COLUMNS, ("no day", text, "5")))
    assert [(row["cost__text"], row["cost"]) for row in done.quarantined] == [(text, amount)]
    assert done.tally.money["cost"].unparsable_count == unparsable


def test_every_row_read_is_counted_once_as_landed_or_quarantined() -> None:
    rejects = [Reject(row_number=2, kind="RAGGED", detail="found 1 cells", raw="x")]
    done = work(
        task(COLUMNS),
        batch(COLUMNS, GOOD, ("x", "1", "1"), rejects=rejects, read_bytes=10),
        batch(COLUMNS, GOOD, first=3, read_bytes=5),
    )
    tally = done.tally
    assert (tally.read_row_count, tally.landed_row_count, tally.quarantined_row_count) == (4, 2, 2)
    assert tally.read_bytes == 15
    assert sorted(r["_row_number"] for r in done.landed + done.quarantined) == [0, 1, 2, 3]
    assert tally.quarantine_counts == {("CAST", "day"): 1, ("RAGGED", ""): 1}


def test_a_record_that_is_no_row_is_quarantined_and_its_money_counts_as_unknown() -> None:
    reject = Reject(row_number=4, kind="MALFORMED", detail="found no CSV", raw='x"y')
    done = work(task(COLUMNS), batch(COLUMNS, rejects=[reject]))
    (lost,) = done.quarantined
    assert (lost["reasons"], lost["raw_row"], lost["_row_number"]) == (
        ["MALFORMED: found no CSV"],
        'x"y',
        4,
    )
    assert (lost["cost"], lost["cost__text"]) == (None, None)
    assert done.tally.money["cost"].unparsable_count == 1
    assert done.tally.stream == ""


def test_a_row_is_shown_up_to_a_mebibyte() -> None:
    reject = Reject(row_number=0, kind="MALFORMED", detail="found no CSV", raw="x" * 3_000_000)
    done = work(task(COLUMNS), batch(COLUMNS, rejects=[reject]))
    assert len(done.quarantined[0]["raw_row"]) == 1024 * 1024


def test_a_row_is_cut_by_bytes_and_never_within_a_character() -> None:
    reject = Reject(
        row_number=0, kind="MALFORMED", detail="found no CSV", raw="x" + "é" * 1_000_000
    )
    raw = work(task(COLUMNS), batch(COLUMNS, rejects=[reject])).quarantined[0]["raw_row"]
    assert raw == "x" + "é" * (512 * 1024 - 1)


LARGE = columns("day DATE", "cost BIGNUMERIC", "note STRING", "tags STRING REPEATED")


@pytest.mark.parametrize(
    "large",
    [("x" * LARGEST_ROW, None), ("é" * (LARGEST_ROW // 4), json.dumps(["y" * (LARGEST_ROW // 2)]))],
    ids=["one cell", "several cells"],
)
def test_a_row_that_no_append_can_take_is_quarantined_and_the_others_land(
    large: tuple[str, str | None],
) -> None:
    rows = [
        ("2026-11-01", "1", "a", None),
        ("2026-11-01", "2.5", *large),
        ("2026-11-01", "3", "b", None),
    ]
    done = work(task(LARGE), batch(LARGE, *rows))
    assert [row["_row_number"] for row in done.landed] == [0, 2]
    (lost,) = done.quarantined
    assert lost["reasons"][0].startswith("TOO_LARGE: found 8")
    assert lost["reasons"][0].endswith(f"bytes; allowed are {LARGEST_ROW} for a row")
    assert lost["cost"] == Decimal("2.5")
    assert 1024 * 1024 - 1 <= len(lost["raw_row"].encode()) <= 1024 * 1024
    assert done.tally.quarantine_counts == {("TOO_LARGE", ""): 1}
    money = done.tally.money["cost"]
    assert (money.read, money.landed, money.quarantined) == (
        Decimal("6.5"),
        Decimal(4),
        Decimal("2.5"),
    )


def test_a_row_that_an_append_just_takes_lands() -> None:
    text = "x" * (LARGEST_ROW - COLUMN_BYTES * len(LARGE))
    done = work(task(LARGE), batch(LARGE, ("2026-11-01", "1", text, None), GOOD_LARGE))
    assert (done.tally.landed_row_count, done.tally.quarantined_row_count) == (2, 0)


GOOD_LARGE = ("2026-11-01", "1", "a", None)


def test_a_money_cell_without_end_is_kept_cut() -> None:
    row = ("2026-11-01", "x" * LARGEST_ROW, "5")
    (lost,) = work(task(COLUMNS), batch(COLUMNS, row)).quarantined
    assert lost["cost__text"] == "x" * 4096


def test_a_scope_without_end_is_kept_cut() -> None:
    asked = task(LARGE, scope=(("note", ("a",)),))
    row = ("2026-11-01", "1", "x" * 1_000_000, None)
    (lost,) = work(asked, batch(LARGE, row)).quarantined
    assert lost["_scope"] == "x" * 4096
    assert lost["reasons"] == [f"SCOPE note: found {'x' * 80}; allowed is the run's scope a"]


@pytest.mark.parametrize(
    ("day", "found"), [("2026-10-31", "2026-10-31"), ("", "nothing")], ids=["other day", "no day"]
)
def test_a_row_outside_of_the_scope_or_without_one_is_quarantined(day: str, found: str) -> None:
    scope = (("day", ("2026-11-01", "2026-11-02")),)
    done = work(task(COLUMNS, scope=scope), batch(COLUMNS, GOOD, (day, "1", "1")))
    (lost,) = done.quarantined
    assert lost["reasons"] == [
        f"SCOPE day: found {found}; allowed is the run's scope 2026-11-01, 2026-11-02"
    ]
    assert lost["_scope"] == (day or None)
    assert done.tally.quarantine_counts == {("SCOPE", "day"): 1}
    assert [row["_row_number"] for row in done.landed] == [0]


def test_landed_rows_are_counted_by_value_of_the_scope_and_empty_days_are_named() -> None:
    scope = (("day", ("2026-11-01", "2026-11-02", "2026-11-03")),)
    done = work(
        task(COLUMNS, scope=scope),
        batch(COLUMNS, GOOD, ("2026-11-02", "1", "1"), empty_days=("2026-11-03",)),
        batch(COLUMNS, GOOD, ("2026-11-02", "1", "x"), first=2),
    )
    assert done.tally.scope_counts == {"2026-11-01": 2, "2026-11-02": 1, "2026-11-03": 0}


def test_a_row_lies_in_a_scope_of_several_columns_where_every_column_does() -> None:
    wanted = columns("month TIMESTAMP", "account STRING", "number INT64", "cost BIGNUMERIC")
    scope = (
        ("month", ("2026-10-01 00:00:00", "2026-11-01 00:00:00")),
        ("account", ("A/1",)),
        ("number", ("7",)),
    )
    reject = Reject(row_number=9, kind="RAGGED", detail="1 cell", raw="x")
    rows = [
        ("2026-11-01T00:00:00Z", "A/1", "7", "1"),
        ("2026-11-01T00:00:00.000001Z", "A/1", "7", "2"),
        ("2026-10-01 02:00:00+02:00", "B", "7", "4"),
        ("2026-10-01", "A/1", "8", "8"),
    ]
    done = work(task(wanted, scope=scope), batch(wanted, *rows, rejects=[reject]))
    assert [row["cost"] for row in done.landed] == [1]
    assert done.tally.scope_counts == {"2026-11-01 00:00:00": 1}
    reasons = ["month", "account", "number", "RAGGED"]
    assert len(done.quarantined) == 4
    for why, row in zip(reasons, done.quarantined, strict=True):
        assert why in row["reasons"][0]
    assert [row["_scope"] for row in done.quarantined] == [
        "2026-11-01 00:00:00.000001/A/1/7", "2026-10-01 00:00:00/A/1/7",
        "2026-10-01 00:00:00/A/1/7", None,
    ]  # fmt: skip


def test_without_a_scope_nothing_is_counted_by_it() -> None:
    done = work(task(COLUMNS), batch(COLUMNS, GOOD, empty_days=("2026-11-03",)))
    assert done.tally.scope_counts == {}


def test_a_scope_of_objects_is_that_of_the_chunk_also_for_what_is_no_row() -> None:
    scope = (("_source", ("bills/a.csv",)),)
    reject = Reject(row_number=1, kind="RAGGED", detail="found 1 cells", raw="x")
    done = work(task(COLUMNS, scope=scope), batch(COLUMNS, GOOD, rejects=[reject]))
    assert [row["_scope"] for row in done.quarantined] == ["bills/a.csv"]
    assert done.tally.scope_counts == {"bills/a.csv": 1}


def test_a_key_that_is_null_quarantines_its_row() -> None:
    done = work(
        task(COLUMNS, key_columns=("tokens",)), batch(COLUMNS, GOOD, ("2026-11-01", "1", ""))
    )
    assert done.quarantined[0]["reasons"] == ["NULL_KEY tokens: found nothing; allowed is a value"]
    assert done.tally.quarantine_counts == {("NULL_KEY", "tokens"): 1}


RULE = Rule(
    rule_id="1",
    expectation_type="expect_column_values_to_be_between",
    predicate=Predicate.BE_BETWEEN,
    columns=("tokens",),
    max_value="10",
)


def test_a_rule_counts_over_the_rows_that_would_land() -> None:
    rows = [GOOD, ("2026-11-01", "1", "11"), ("2026-11-01", "1", ""), ("x", "1", "99")]
    done = work(task(COLUMNS, rules=(RULE,)), batch(COLUMNS, *rows))
    counted = done.tally.rules["1"]
    assert (counted.element_count, counted.missing_count, counted.unexpected_count) == (3, 1, 1)
    assert list(counted.samples) == ["11"]
    assert [row["_row_number"] for row in done.landed] == [0, 1, 2]


def test_a_rule_that_quarantines_takes_the_rows_that_break_it_out() -> None:
    rule = dataclasses.replace(RULE, quarantines=True)
    rows = [GOOD, ("2026-11-01", "1", "11")]
    done = work(task(COLUMNS, rules=(rule,)), batch(COLUMNS, *rows))
    assert [row["reasons"] for row in done.quarantined] == [
        ["RULE tokens: expect_column_values_to_be_between"]
    ]
    assert done.tally.quarantine_counts == {("RULE", "tokens"): 1}
    assert done.tally.money["cost"].quarantined == 1
    assert done.tally.rules["1"].unexpected_count == 1


def test_a_rule_shows_twenty_different_values_of_a_chunk_at_most() -> None:
    rows = [("2026-11-01", "1", str(100 + i % 30)) for i in range(60)]
    done = work(
        task(COLUMNS, rules=(RULE,)),
        batch(COLUMNS, *rows[:15]),
        batch(COLUMNS, *rows[15:], first=15),
    )
    assert len(done.tally.rules["1"].samples) == 20


def test_a_chunk_without_rows_opens_no_stream() -> None:
    done = work(task(COLUMNS), batch(COLUMNS))
    assert (done.tally.stream, done.tally.quarantine_stream) == ("", "")
    assert done.sink.opened == 0


def test_a_sink_that_fails_fails_the_chunk_and_no_stream_is_finished() -> None:
    sink = MemorySink(fail_after=1)
    with pytest.raises(SinkUnavailable):
        work(task(COLUMNS), batch(COLUMNS, GOOD), batch(COLUMNS, GOOD, first=1), sink=sink)
    assert sink.finished == {}


def test_a_deadline_that_passes_ends_the_chunk_between_batches() -> None:
    times = iter([NOON, NOON + dt.timedelta(hours=1)])
    sink = MemorySink()
    with pytest.raises(DeadlinePassed):
        work(
            task(COLUMNS),
            batch(COLUMNS, GOOD),
            batch(COLUMNS, GOOD, first=1),
            sink=sink,
            now=lambda: next(times),
        )
    assert sink.finished == {}


def test_a_chunk_that_is_cancelled_stops_before_its_next_batch() -> None:
    cancelled, sink, asked = threading.Event(), MemorySink(), []

    def between() -> None:
        asked.append(1)
        if len(asked) == 2:
            cancelled.set()

    batches = [batch(COLUMNS, GOOD, first=i) for i in range(5)]
    with pytest.raises(Cancelled):
        work(task(COLUMNS), *batches, sink=sink, cancelled=cancelled, between=between)
    assert (len(asked), sink.finished) == (2, {})


def test_a_cancelled_chunk_does_not_wait_for_its_sink() -> None:
    cancelled, hold = threading.Event(), threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    with pytest.raises(Cancelled):
        work(task(COLUMNS), batch(COLUMNS, GOOD), sink=MemorySink(hold=hold), cancelled=cancelled)
