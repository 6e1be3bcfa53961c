"""What holds for any bytes: no crash, no record lost or doubled, wherever a file is cut."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import ServiceError
from libs.common.money import total
from services.ingest.sources.source import Reject
from services.orchestrator.configs.folder import Folder
from services.orchestrator.configs.resolve import resolve
from tests.fuzz.mutations import CONFIG_PIECES, CSV_PIECES, JSON_PIECES, corpus, mutated
from tests.fuzz.records import count_records
from tests.unit.ingest.reading import Format, Found, columns, read_bytes
from tests.unit.ingest.working import task, work
from tests.unit.orchestrator.configs.tenant_files import TEXTS

NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
"""What docs/ingest.md calls a number; corpus and pieces make none of more than 200 characters."""
WHOLE: Final = 4 * 1024 * 1024
COLUMNS: Final = columns("id", "cost BIGNUMERIC", "note")
SIZES: Final = st.sampled_from([1, 7, 16, 64, 1000, WHOLE])
REFUSALS: Final = frozenset({"SOURCE_EMPTY", "SOURCE_MALFORMED", "COLUMN_MISSING"})


def _read(format_: Format, data: bytes, chunk_bytes: int, block_bytes: int) -> Found | str:
    """Return what a file holds, or the reason why it is refused."""
    try:
        return read_bytes(format_, data, COLUMNS, chunk_bytes=chunk_bytes, block_bytes=block_bytes)
    except ServiceError as refused:
        return _known(refused)


def _known(refused: ServiceError) -> str:
    assert refused.reason in REFUSALS, refused
    assert str(refused)
    return refused.reason


def _same_however_cut(
    format_: Format, data: bytes, chunk_bytes: int, block_bytes: int
) -> Found | str:
    whole = _read(format_, data, WHOLE, WHOLE)
    cut = _read(format_, data, chunk_bytes, block_bytes)
    if isinstance(whole, str) or isinstance(cut, str):
        assert whole == cut
        return whole
    assert cut.rows == whole.rows
    assert _in_order(cut.rejects) == _in_order(whole.rejects)
    assert whole.numbers == list(range(len(whole.numbers)))
    return whole


def _in_order(rejects: Sequence[Reject]) -> list[Reject]:
    return sorted(rejects, key=lambda reject: reject.row_number)


def csv_records_come_once(data: bytes, chunk_bytes: int, block_bytes: int) -> None:
    """Every record but the header comes once, as a row or a reject, however the file is cut."""
    found = _same_however_cut("csv", data, chunk_bytes, block_bytes)
    if isinstance(found, Found):
        assert len(found.numbers) == count_records(data) - 1


def lines_come_once(data: bytes, chunk_bytes: int, block_bytes: int) -> None:
    """Every line that is not blank comes once, as a row or a reject, however the file is cut."""
    found = _same_however_cut("ndjson", data, chunk_bytes, block_bytes)
    if isinstance(found, Found):
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        assert len(found.numbers) == sum(bool(line.strip()) for line in lines)


def records_of_an_array_come_once(data: bytes, block_bytes: int) -> None:
    """Every record of an array comes once, as a row or a reject; a broken file is refused."""
    found = _same_however_cut("json", data, WHOLE, block_bytes)
    try:
        known = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(found, Found) and isinstance(known, list):
        assert len(found.numbers) == len(known)


def money_adds_up(data: bytes, block_bytes: int) -> None:
    """Every row read lands or is quarantined, and so does its money, by the source's own texts."""
    found = _read("csv", data, WHOLE, block_bytes)
    if isinstance(found, str):
        return
    done = work(task(COLUMNS), *found.batches)
    tally, money = done.tally, done.tally.money["cost"]
    assert tally.read_row_count == len(found.numbers)
    assert tally.read_row_count == tally.landed_row_count + tally.quarantined_row_count
    assert money.read == total((money.landed, money.quarantined))
    assert money.landed == total(row["cost"] for row in done.landed if row["cost"] is not None)
    texts = [(row[1] or "").strip() for row in found.texts]
    assert money.read == total(Decimal(text) for text in texts if NUMBER.fullmatch(text))


def files_of_a_tenant_are_resolved_or_refused(name: str, data: st.DataObject) -> None:
    """A tenant's files give a spec or errors that say where, what and what to do."""
    changed = data.draw(mutated([TEXTS[name].encode()], CONFIG_PIECES), label=name)
    texts = {**TEXTS, name: changed.decode(errors="replace")}
    for pipeline in ("p", "d"):
        spec, errors = resolve(Folder(tenant="acme", texts=texts), pipeline)
        assert (spec is None) == bool(errors)
        assert all(error.file and error.found and error.allowed for error in errors)


@dataclasses.dataclass(frozen=True, slots=True)
class Property:
    """A check, and what its arguments are drawn from."""

    check: Callable[..., None]
    arguments: Mapping[str, st.SearchStrategy[Any]]

    @property
    def name(self) -> str:
        return self.check.__name__

    def test(self) -> Callable[[], None]:
        """Return a test that draws and checks."""
        return given(**self.arguments)(self.check)


_CUTS: Final = {"chunk_bytes": SIZES, "block_bytes": SIZES}

PROPERTIES: Final = (
    Property(csv_records_come_once, {"data": mutated(corpus(".csv"), CSV_PIECES), **_CUTS}),
    Property(lines_come_once, {"data": mutated(corpus(".ndjson"), JSON_PIECES), **_CUTS}),
    Property(
        records_of_an_array_come_once,
        {"data": mutated(corpus(".json"), JSON_PIECES), "block_bytes": SIZES},
    ),
    Property(money_adds_up, {"data": mutated(corpus(".csv"), CSV_PIECES), "block_bytes": SIZES}),
    Property(
        files_of_a_tenant_are_resolved_or_refused,
        {"name": st.sampled_from(sorted(TEXTS)), "data": st.data()},
    ),
)
