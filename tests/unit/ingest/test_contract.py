"""What becomes of data that differs from the schema, mode by mode."""

import json
from decimal import Decimal
from typing import Any

import pytest

from libs.common.lineage import staging_columns
from services.ingest.contract import Contract
from services.ingest.failures import ContractBroken, failed
from tests.unit.ingest.reading import columns
from tests.unit.ingest.working import Done, batch, task, work

COLUMNS = columns(
    "id STRING REQUIRED", "tokens INT64", "cost NUMERIC", "seen TIMESTAMP", "note STRING(3)"
)
WITH_UNKNOWN = (*COLUMNS, *columns("extra JSON"))
FITS = ("a", "1", "0.5", "2026-11-01", "x")


def _work(contract: Contract, *rows: tuple[str | None, ...], **fields: Any) -> Done:
    wanted = WITH_UNKNOWN if contract.looks_for_unknown else COLUMNS
    return work(task(COLUMNS, contract=contract, **fields), batch(wanted, *rows))


def _unknown(**fields: object) -> str:
    return json.dumps(fields)


def test_rows_without_a_value_in_unknown_columns_land() -> None:
    done = _work(Contract(columns="discard_row"), (*FITS, None), (*FITS, _unknown(surplus=None)))
    assert [row["id"] for row in done.landed] == ["a", "a"]
    assert "extra" not in done.landed[0]


@pytest.mark.parametrize("unknown", [_unknown(surplus=0, other=None), _unknown(surplus="")])
def test_discard_row_quarantines_a_row_with_a_value_in_an_unknown_column(unknown: str) -> None:
    done = _work(Contract(columns="discard_row"), (*FITS, unknown), (*FITS, None))
    assert len(done.landed) == 1
    (lost,) = done.quarantined
    assert lost["reasons"] == ["CONTRACT surplus: found a value; allowed are the schema's columns"]
    assert lost["cost"] == Decimal("0.5")
    assert done.tally.quarantine_counts == {("CONTRACT", "surplus"): 1}


@pytest.mark.parametrize("own", ["text that is no JSON", "[1]", '"text"'])
def test_a_field_of_the_name_extra_is_unknown_too(own: str) -> None:
    done = _work(Contract(columns="discard_row"), (*FITS, own))
    assert done.tally.quarantine_counts == {("CONTRACT", "extra"): 1}


def test_freeze_fails_at_a_value_in_an_unknown_column() -> None:
    frozen = Contract(columns="freeze")
    assert len(_work(frozen, (*FITS, _unknown(surplus=None))).landed) == 1
    with pytest.raises(ContractBroken, match=r"bills/a\.csv has surplus, which the schema lacks"):
        _work(frozen, (*FITS, None), (*FITS, _unknown(surplus=1)))


def test_a_broken_contract_is_a_failure_of_data_that_no_try_mends() -> None:
    with pytest.raises(ContractBroken) as broken:
        _work(Contract(types="freeze"), FITS, ("b", "many", "1", None, None))
    said = failed(broken.value)
    assert (said.kind, said.reason, said.transient) == ("data", "CONTRACT_BROKEN", False)
    assert said.metadata == {"source": "bills/a.csv", "column": "tokens", "found": "many"}
    assert "tokens: found 'many'; allowed is a whole number" in said.message


def test_misfits_go_to_variant_columns_as_they_were_written() -> None:
    evolving = Contract(types="evolve")
    done = _work(
        evolving, FITS, ("b", "many", "1", "soon", "longer"), ("c", None, None, None, None)
    )
    assert done.tally.quarantined_row_count == 0
    whole, odd, absent = done.landed
    assert (odd["tokens"], odd["tokens__v_text"]) == (None, "many")
    assert (odd["seen"], odd["seen__v_text"]) == (None, "soon")
    assert (odd["note"], odd["note__v_text"]) == (None, "longer")
    for row in (whole, absent):
        assert {row["tokens__v_text"], row["seen__v_text"], row["note__v_text"]} == {None}
    assert list(done.tally.variants) == ["tokens__v_text", "seen__v_text", "note__v_text"]


def test_a_staging_table_has_the_variants_of_every_column_that_may_evolve() -> None:
    done = _work(Contract(types="evolve"), FITS)
    evolving = columns("tokens__v_text", "seen__v_text", "note__v_text")
    declared = [column.platform() for column in (*COLUMNS, *evolving)]
    assert list(done.landed[0]) == [column.name for column in staging_columns(declared)]
    assert not done.tally.variants


def test_money_required_columns_keys_and_scope_do_not_evolve() -> None:
    rows = (
        ("b", "1", "a lot", None, None),
        (None, "1", "2", None, None),
        ("d", "many", "3", None, None),
    )
    done = _work(Contract(types="evolve"), *rows, key_columns=("tokens",))
    assert not done.landed
    assert done.tally.quarantine_counts == {
        ("CAST", "cost"): 1,
        ("CAST", "id"): 1,
        ("CAST", "tokens"): 1,
    }
    assert done.tally.money["cost"].unparsable_count == 1
    assert done.tally.money["cost"].quarantined == Decimal(5)
    assert not done.tally.variants


def test_a_variant_is_used_only_if_its_row_lands() -> None:
    done = _work(Contract(types="evolve"), ("b", "many", "a lot", None, None))
    assert done.tally.quarantined_row_count == 1
    assert not done.tally.variants
