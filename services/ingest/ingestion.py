"""One chunk from its source into two streams: cast, scoped, judged row by row, summed."""

import dataclasses
import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl
import pyarrow as pa

from libs.common.lineage import LINEAGE, quarantine_columns, staging_columns, target_columns
from services.ingest.casting.cast import Misfit, cast
from services.ingest.casting.typed import texts_of
from services.ingest.chunks import Chunk
from services.ingest.columns import LINEAGE_COLUMNS, TargetColumn
from services.ingest.contract import Contract
from services.ingest.failures import Cancelled, DeadlinePassed
from services.ingest.landing import Constants, assembled
from services.ingest.money import MoneyCells, MoneyTally, tallies
from services.ingest.rules import MOST_SAMPLES, Rule, row_rules, samples
from services.ingest.sink import Sink, SinkStream
from services.ingest.sources.source import RawBatch, Reading, Reject, Source
from services.ingest.verdicts import Verdicts, scope_text

LONGEST_RAW: Final = 1024 * 1024
"""Bytes of a row's text that quarantine keeps."""

LONGEST_SCOPE: Final = 4096
"""Characters of a row's scope that quarantine keeps: no run's scope is longer."""

LANDED: Final = "landed"
QUARANTINED: Final = "quarantined"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One try of one chunk, as the orchestrator asked for it."""

    tenant: str
    pipeline: str
    run: str
    chunk: Chunk
    chunk_attempt: int
    columns: tuple[TargetColumn, ...]
    scope: tuple[tuple[str, tuple[str, ...]], ...]
    key_columns: tuple[str, ...]
    rules: tuple[Rule, ...]
    table: str
    quarantine_table: str
    staging: bool
    snapshot: int
    ingest_time: dt.datetime
    deadline: dt.datetime
    contract: Contract = dataclasses.field(default_factory=Contract)

    @property
    def fixed(self) -> frozenset[str]:
        """Columns whose misfits lose their row in any case: those of scope and keys."""
        return frozenset({*(column for column, _ in self.scope), *self.key_columns})


@dataclasses.dataclass(slots=True)
class RuleTally:
    """What one rule counted over a chunk."""

    element_count: int = 0
    missing_count: int = 0
    unexpected_count: int = 0
    samples: dict[str, None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class Tally:
    """What a chunk holds, so far."""

    read_row_count: int = 0
    landed_row_count: int = 0
    quarantined_row_count: int = 0
    read_bytes: int = 0
    money: dict[str, MoneyTally] = dataclasses.field(default_factory=dict)
    rules: dict[str, RuleTally] = dataclasses.field(default_factory=dict)
    scope_counts: "Counter[str]" = dataclasses.field(default_factory=Counter)
    coerced: "Counter[tuple[str, str]]" = dataclasses.field(default_factory=Counter)
    quarantine_counts: "Counter[tuple[str, str]]" = dataclasses.field(default_factory=Counter)
    variants: dict[str, None] = dataclasses.field(default_factory=dict)
    """Variant columns that took a cell, in order of use."""
    stream: str = ""
    quarantine_stream: str = ""


class Ingestion:
    """Works on one task. `tally` may be read from another thread for progress."""

    def __init__(self, task: Task, sink: Sink, *, now: Callable[[], dt.datetime]) -> None:
        self._task = task
        self._sink = sink
        self._now = now
        declared = [column.platform() for column in task.columns]
        self._variants = task.contract.variants(task.columns, task.fixed)
        landing = [*declared, *(column.platform() for column in self._variants)]
        self._columns = {
            LANDED: (staging_columns if task.staging else target_columns)(landing),
            QUARANTINED: quarantine_columns(declared),
        }
        self._constants = Constants(_constants(task))
        self._rules = row_rules(task.rules, (*task.columns, *LINEAGE_COLUMNS))
        asked = {
            *(column for column, _ in task.scope),
            *task.key_columns,
            *(name for rule in task.rules for name in rule.columns),
        }
        self._lineage_asked = [column.name for column in LINEAGE if column.name in asked]
        self._streams: dict[str, SinkStream] = {}
        self._cancelled = threading.Event()
        self.tally = Tally(
            money=tallies(task.columns), rules={rule.rule_id: RuleTally() for rule in task.rules}
        )

    def run(
        self, source: Source, cancelled: threading.Event, throttled: Callable[[bool], None]
    ) -> Tally:
        """Read, append and finalize. Streams given up are never named.

        Raises:
            ServiceError: the source, the sink or the deadline ended it.
            Cancelled: `cancelled` was set.
        """
        self._cancelled = cancelled
        columns = self._task.contract.read_as(self._task.columns)
        reading = Reading(columns=columns, cancelled=cancelled, throttled=throttled)
        try:
            for batch in source.read(self._task.chunk, reading):
                self._go_on()
                self._batch(batch)
                del batch  # before the next is read
            return self._finish()
        except BaseException:
            for stream in self._streams.values():
                stream.abort()
            raise

    def _go_on(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        if self._now() >= self._task.deadline:
            raise DeadlinePassed("limits.timeout has passed while the chunk was read")

    def _finish(self) -> Tally:
        said = {
            LANDED: self.tally.landed_row_count,
            QUARANTINED: self.tally.quarantined_row_count,
        }
        names = {}
        for table, stream in self._streams.items():
            names[table], count = stream.finish()
            assert count == said[table], (
                f"{names[table]} has {count} rows, {said[table]} were appended"
            )
        self.tally.stream = names.get(LANDED, "")
        self.tally.quarantine_stream = names.get(QUARANTINED, "")
        return self.tally

    def _batch(self, batch: RawBatch) -> None:
        tally = self.tally
        tally.read_bytes += batch.read_bytes
        tally.read_row_count += batch.rows.height + len(batch.rejects)
        asked = {value for _, values in self._task.scope[:1] for value in values}
        tally.scope_counts.update(dict.fromkeys(asked.intersection(batch.empty_days), 0))
        if batch.rows.height:
            self._rows(batch)
        if batch.rejects:
            self._reject(batch.rejects)

    def _rows(self, batch: RawBatch) -> None:
        contract, source = self._task.contract, self._task.chunk.input.input_id
        rows, unknown = contract.unknown(batch.rows, source)
        found = cast(rows, self._task.columns, proven_json=batch.proven_json)
        self.tally.coerced.update(found.coerced)
        for name, money in self.tally.money.items():
            odd = [m.text for m in found.misfits if m.column.name == name]
            money.read_cells(found.frame[name], odd)
        frame, misfits = contract.misfits(found.frame, found.misfits, self._task.fixed, source)
        frame = self._with_lineage(frame, batch.row_numbers)
        verdicts = self._judge(frame, misfits, unknown)
        self.tally.quarantine_counts.update(verdicts.blamed)
        if not verdicts.reasons:
            self._land(frame, batch.row_numbers)
            return
        lands = verdicts.whole(frame.height)
        self._land(frame.filter(lands), batch.row_numbers.filter(lands))
        self._quarantine(batch, frame, verdicts.reasons)

    def _with_lineage(self, frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
        """Return rows with the columns of lineage that scope, keys or rules name."""
        if not self._lineage_asked:
            return frame
        return frame.with_columns(
            numbers.alias(name) if name == "_row_number" else self._constants.literal(name)
            for name in self._lineage_asked
        )

    def _judge(
        self,
        frame: pl.DataFrame,
        misfits: Sequence[Misfit],
        unknown: Mapping[int, Sequence[str]],
    ) -> Verdicts:
        """Decide which rows land. Rules look at those that are whole by then."""
        verdicts = Verdicts()
        verdicts.misfits(misfits)
        verdicts.unknown(unknown)
        verdicts.too_large(frame)
        for column, values in self._task.scope:
            verdicts.scope(frame, column, values)
        for column in self._task.key_columns:
            verdicts.key(frame, column)
        if self._task.rules:
            self._count_rules(frame, verdicts)
        return verdicts

    def _count_rules(self, frame: pl.DataFrame, verdicts: Verdicts) -> None:
        """Count every rule over the rows that would land; those of quarantining rules do not."""
        lands = verdicts.whole(frame.height)
        kept = frame.filter(lands) if verdicts.reasons else frame
        indexes = lands.arg_true()
        for rule, outcome in zip(self._task.rules, self._rules.evaluate(kept), strict=True):
            counted = self.tally.rules[rule.rule_id]
            counted.element_count += kept.height
            counted.missing_count += outcome.missing_count
            unexpected_count = int(outcome.unexpected.sum())
            counted.unexpected_count += unexpected_count
            if unexpected_count and len(counted.samples) < MOST_SAMPLES:
                shown = samples(kept, rule, outcome.unexpected)
                counted.samples |= dict.fromkeys(shown[: MOST_SAMPLES - len(counted.samples)])
            if unexpected_count and rule.quarantines:
                broken = indexes.filter(outcome.unexpected).to_list()
                verdicts.broken(rule.columns, rule.expectation_type, broken)

    def _land(self, frame: pl.DataFrame, numbers: pl.Series) -> None:
        if not frame.height:
            return
        if self._task.scope:
            counts = frame[self._task.scope[0][0]].value_counts(name="count")
            texts = scope_text(counts.to_series(0)).to_list()
            for value, count in zip(texts, counts["count"], strict=True):
                self.tally.scope_counts[str(value)] += count
        for name, money in self.tally.money.items():
            money.land(frame[name])
        frame = self._with_variants(frame)
        self._append(LANDED, frame, numbers)
        self.tally.landed_row_count += frame.height

    def _with_variants(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return landing rows with all variant columns, and note those that are used."""
        for column in self._variants:
            if column.name not in frame.columns:
                frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(column.name))
            elif frame[column.name].null_count() < frame.height:
                self.tally.variants[column.name] = None
        return frame

    def _quarantine(
        self, batch: RawBatch, frame: pl.DataFrame, reasons: Mapping[int, list[str]]
    ) -> None:
        lost = sorted(reasons)
        scope: Sequence[str | None] = [None] * len(lost)
        if self._task.scope:
            texts = scope_text(frame[self._task.scope[0][0]].gather(lost)).to_list()
            scope = [text if text is None else self._scope_name(text) for text in texts]
        money = {
            name: MoneyCells.of(texts_of(batch.rows[name].gather(lost)))
            for name in self.tally.money
        }
        self._append_quarantined(
            batch.row_numbers.gather(lost),
            scope,
            [reasons[index] for index in lost],
            batch.raw_rows(lost),
            money,
        )

    def _scope_name(self, value: str) -> str:
        """Return a value of the scope's first column with the one value of each other column."""
        shown = value[:LONGEST_SCOPE]
        return "/".join([shown, *(values[0] for _, values in self._task.scope[1:])])

    def _reject(self, rejects: Sequence[Reject]) -> None:
        by_source = bool(self._task.scope) and self._task.scope[0][0] == "_source"
        name = self._scope_name(self._task.chunk.input.input_id) if by_source else None
        for reject in rejects:
            self.tally.quarantine_counts[reject.kind, ""] += 1
        for tally in self.tally.money.values():
            tally.unparsable_count += len(rejects)
        unknown = MoneyCells.of([None] * len(rejects))
        self._append_quarantined(
            pl.Series([reject.row_number for reject in rejects], dtype=pl.Int64),
            [name] * len(rejects),
            [[f"{reject.kind}: {reject.detail}"] for reject in rejects],
            [reject.raw for reject in rejects],
            dict.fromkeys(self.tally.money, unknown),
        )

    def _append_quarantined(
        self,
        numbers: pl.Series,
        scope: Sequence[str | None],
        reasons: Sequence[Sequence[str]],
        raw: Sequence[str],
        money: Mapping[str, MoneyCells],
    ) -> None:
        for name, cells in money.items():
            self.tally.money[name].lose(cells)
        frame = pl.DataFrame(
            [
                pl.Series("_scope", list(scope), dtype=pl.String),
                pl.Series("reasons", [list(texts) for texts in reasons], dtype=pl.List(pl.String)),
                pl.Series("raw_row", [_cut(text) for text in raw], dtype=pl.String),
                *(series for name, cells in money.items() for series in cells.columns(name)),
            ]
        )
        self._append(QUARANTINED, frame, numbers)
        self.tally.quarantined_row_count += frame.height

    def _append(self, table: str, frame: pl.DataFrame, numbers: pl.Series) -> None:
        columns = self._columns[table]
        if table not in self._streams:
            name = self._task.table if table == LANDED else self._task.quarantine_table
            self._streams[table] = self._sink.open(name, columns, self._cancelled)
        self._streams[table].append(assembled(columns, frame, numbers, self._constants))


def _constants(task: Task) -> dict[str, pa.Scalar]:
    """Return the columns that are the same for every row of a try of a chunk."""
    moment = task.ingest_time.astimezone(dt.UTC)
    return {
        "_tenant_id": pa.scalar(task.tenant),
        "_pipeline_id": pa.scalar(task.pipeline),
        "_run_id": pa.scalar(task.run),
        "_chunk_id": pa.scalar(task.chunk.chunk_id),
        "_source": pa.scalar(task.chunk.input.input_id),
        "_snapshot": pa.scalar(task.snapshot, pa.int64()),
        "_ingested_at": pa.scalar(moment, pa.timestamp("us", "UTC")),
        "ingestion_date": pa.scalar(moment.date()),
        "_attempt": pa.scalar(task.chunk_attempt, pa.int64()),
    }


def _cut(text: str) -> str:
    """Return as much of a text as quarantine keeps."""
    if len(text) <= LONGEST_RAW // 4:
        return text
    return text.encode()[:LONGEST_RAW].decode(errors="ignore")
