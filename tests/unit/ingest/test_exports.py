"""Files as consoles, spreadsheets and scripts write them: whole, exact, and nothing of them lost."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

from libs.common.money import total
from services.ingest.columns import TargetColumn
from services.ingest.ingestion import Tally
from services.ingest.sources.records import Dialect
from tests.unit.ingest.reading import Found, columns, read_bytes
from tests.unit.ingest.working import Done, task, work

ROOT = Path(__file__).resolve().parents[3]
EXPORTS = ROOT / "tests" / "data" / "exports"
EXAMPLE = ROOT / "examples" / "configs" / "acme_corp"


def ingested(found: Found, wanted: tuple[TargetColumn, ...]) -> Done:
    return work(task(wanted), *found.batches)


def reasons(tally: Tally) -> Counter[tuple[str, str]]:
    return tally.quarantine_counts


def test_an_export_of_costs_is_exact_and_days_without_spend_are_rows_without_money() -> None:
    wanted = columns(
        "start_time_iso TIMESTAMP",
        "amount_value BIGNUMERIC",
        "line_item STRING",
        "organization_name STRING",
    )
    done = ingested(read_bytes("csv", (EXPORTS / "openai_costs.csv").read_bytes(), wanted), wanted)
    assert [row["amount_value"] for row in done.landed] == [
        Decimal("0.895874"),
        Decimal("1.300000001e-07"),
        None,
        Decimal("1e-07"),
    ]
    assert done.landed[3]["organization_name"] == 'Acme "Labs"'
    assert done.tally.money["amount_value"].landed == Decimal("0.8958742300000001")
    assert done.quarantined == []


def test_an_export_of_usage_has_whole_numbers_with_a_point_and_rows_that_look_alike() -> None:
    wanted = columns(
        "num_model_requests INT64", "input_tokens INT64", "batch BOOL", "user_id STRING"
    )
    done = ingested(read_bytes("csv", (EXPORTS / "openai_usage.csv").read_bytes(), wanted), wanted)
    assert [(r["num_model_requests"], r["input_tokens"], r["batch"]) for r in done.landed] == [
        (10, 123456, False)
    ] * 2
    assert done.quarantined[0]["reasons"] == [
        "CAST num_model_requests: found '1.5'; allowed is a whole number of 64 bits"
    ]
    assert done.tally.coerced["num_model_requests", "read as INT64"] == 2


def test_a_spreadsheets_export_has_a_mark_semicolons_and_line_breaks_in_cells() -> None:
    wanted = columns("Rechnung STRING", "Betrag NUMERIC", "Anmerkung STRING", "Datum DATE")
    found = read_bytes(
        "csv", (EXPORTS / "spreadsheet.csv").read_bytes(), wanted, dialect=Dialect(delimiter=";")
    )
    done = ingested(found, wanted)
    assert [(r["Rechnung"], r["Betrag"], r["Anmerkung"]) for r in done.landed] == [
        ("2026-0001", Decimal("1234.5"), 'zwei\r\nZeilen; mit "Zitat"'),
        ("2026-0003", Decimal("-0.01"), "=SUMME(A1)"),
    ]
    assert [row["Betrag__text"] for row in done.quarantined] == ["1.234,50"]
    assert done.tally.money["Betrag"].unparsable_count == 1


def test_stray_quotes_never_merge_rows_into_one_that_lands() -> None:
    wanted = columns("id INT64", "cost BIGNUMERIC", "note STRING")
    data = (EXPORTS / "stray_quotes.csv").read_bytes()
    done = ingested(read_bytes("csv", data, wanted), wanted)
    assert [(row["id"], row["note"]) for row in done.landed] == [
        (1, "fine"),
        (3, '7" pipe'),
        (5, "swallowed"),
        (6, "end"),
        (8, "last"),
    ]
    assert [row["raw_row"] for row in done.quarantined] == [
        '2,0.20,5" pipe',
        '4,0.40,open "quote',
        "7,0.70",
    ]
    assert done.tally.money["cost"].unparsable_count == 3


def test_the_shipped_bill_is_read_to_its_last_digit() -> None:
    schema = json.loads((EXAMPLE / "schemas" / "focus_bill.json").read_text())
    wanted = tuple(TargetColumn.parse(c["name"], c["type"], c.get("mode", "")) for c in schema)
    data = (EXAMPLE / "bills" / "focus_sample.csv").read_bytes()
    found = read_bytes("csv", data, wanted, null_values=("NULL",), chunk_bytes=100_000)
    done = ingested(found, wanted)
    assert len(done.landed) == 1_000
    assert done.quarantined == []
    assert total(row["BilledCost"] for row in done.landed) == Decimal("20.52022672899")
    assert len(found.plan.chunks) > 5
