"""One chunk from its source into two streams: cast, scoped, judged row by row, summed."""

import dataclasses
import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import polars as pl
import pyarrow as pa

from libs.common.lineage import (
    LINEAGE,
    PlatformColumn,
    quarantine_columns,
    staging_columns,
    target_columns,
)
from services.ingest.casting.cast import CastBatch, cast
from services.ingest.chunks import Chunk
from services.ingest.columns import TargetColumn, lineage_column
from services.ingest.failures import Cancelled, DeadlinePassed
from services.ingest.money import MoneyTally, tallies
from services.ingest.rules import MOST_SAMPLES, Rule, evaluate, samples
from services.ingest.sink import Sink, SinkStream
from services.ingest.sources.source import RawBatch, Reading, Reject, Source

LONGEST_RAW: Final = 1024 * 1024


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
    stream: str = ""
    quarantine_stream: str = ""


class Ingestion:
    """Works on one task. `tally` may be read from another thread for progress."""

    def __init__(self, task: Task, sink: Sink, *, now: Callable[[], dt.datetime]) -> None:
        self._task = task
        self._sink = sink
        self._now = now
        self._declared = [column.platform() for column in task.columns]
        self._by_name = {c.name: c for c in task.columns} | {
            c.name: lineage_column(c) for c in LINEAGE
        }
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
        reading = Reading(columns=self._task.columns, cancelled=cancelled, throttled=throttled)
        try:
            for batch in source.read(self._task.chunk, reading):
                self._go_on()
                self._batch(batch)
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
        for key, stream in self._streams.items():
            name, count = stream.finish()
            said = (
                self.tally.landed_row_count if key == "landed" else self.tally.quarantined_row_count
            )
            assert count == said, f"{name} has {count} rows, {said} were appended"
            if key == "landed":
                self.tally.stream = name
            else:
                self.tally.quarantine_stream = name
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
        found = cast(batch.rows, self._task.columns)
        self.tally.coerced.update(found.coerced)
        frame = found.frame.with_columns(self._lineage(batch.row_numbers))
        reasons = {index: list(texts) for index, texts in found.reasons.items()}
        for index, column in found.blame.items():
            self._blame("CAST", column, [index])
        self._scope(frame, reasons)
        self._keys(frame, reasons)
        self._rules(frame, reasons)
        bad = sorted(reasons)
        lands = ~pl.int_range(frame.height, eager=True).is_in(bad)
        for name, money in self.tally.money.items():
            money.add(found.plain[name], batch.rows[name], lands, found.frame[name])
        self._land(frame.filter(lands))
        if bad:
            self._quarantine(batch, found, frame, bad, reasons)

    def _lineage(self, numbers: pl.Series) -> list[pl.Series | pl.Expr]:
        task = self._task
        constants = {
            "_tenant_id": task.tenant,
            "_pipeline_id": task.pipeline,
            "_run_id": task.run,
            "_chunk_id": task.chunk.chunk_id,
            "_source": task.chunk.input.input_id,
        }
        moment = task.ingest_time.astimezone(dt.UTC)
        return [
            *(pl.lit(value).alias(name) for name, value in constants.items()),
            numbers.alias("_row_number"),
            pl.lit(task.snapshot, dtype=pl.Int64).alias("_snapshot"),
            pl.lit(moment, dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
            pl.lit(moment.date()).alias("ingestion_date"),
        ]

    def _scope(self, frame: pl.DataFrame, reasons: dict[int, list[str]]) -> None:
        """Rows outside the scope, or with NULL in it, do not land."""
        for column, values in self._task.scope:
            texts = scope_text(frame[column])
            inside = texts.is_in(list(values)).fill_null(value=False)
            outside = [i for i in (~inside).arg_true().to_list() if i not in reasons]
            for index in outside:
                shown = f"found {texts[index] or 'nothing'}; allowed is the run's scope"
                reasons[index] = [f"SCOPE {column}: {shown} {', '.join(values[:10])}"]
            self._blame("SCOPE", column, outside)

    def _keys(self, frame: pl.DataFrame, reasons: dict[int, list[str]]) -> None:
        for column in self._task.key_columns:
            absent = [i for i in frame[column].is_null().arg_true().to_list() if i not in reasons]
            for index in absent:
                reasons[index] = [f"NULL_KEY {column}: found nothing; allowed is a value"]
            self._blame("NULL_KEY", column, absent)

    def _rules(self, frame: pl.DataFrame, reasons: dict[int, list[str]]) -> None:
        """Count every rule over the rows that would land; those of quarantining rules do not."""
        whole = pl.Series([i for i in range(frame.height) if i not in reasons], dtype=pl.UInt32)
        kept = frame[whole] if reasons else frame
        for rule in self._task.rules:
            outcome = evaluate(rule, kept, self._by_name)
            counted = self.tally.rules[rule.rule_id]
            counted.element_count += kept.height
            counted.missing_count += outcome.missing_count
            counted.unexpected_count += int(outcome.unexpected.sum())
            if len(counted.samples) < MOST_SAMPLES:
                shown = samples(kept, rule, outcome.unexpected)
                counted.samples |= dict.fromkeys(shown[: MOST_SAMPLES - len(counted.samples)])
            if rule.quarantines:
                broken = whole.filter(outcome.unexpected).to_list()
                for index in broken:
                    about = ",".join(rule.columns)
                    reasons.setdefault(index, []).append(f"RULE {about}: {rule.expectation_type}")
                self._blame("RULE", rule.columns[0], broken)

    def _blame(self, kind: str, column: str, indexes: Sequence[int]) -> None:
        if indexes:
            self.tally.quarantine_counts[kind, column] += len(indexes)

    def _land(self, frame: pl.DataFrame) -> None:
        if not frame.height:
            return
        if self._task.scope:
            column = self._task.scope[0][0]
            for value, count in scope_text(frame[column]).value_counts().iter_rows():
                self.tally.scope_counts[str(value)] += count
        columns = (staging_columns if self._task.staging else target_columns)(self._declared)
        self._append("landed", self._task.table, columns, frame)
        self.tally.landed_row_count += frame.height

    def _append(
        self, key: str, table: str, columns: Sequence[PlatformColumn], frame: pl.DataFrame
    ) -> None:
        if key not in self._streams:
            self._streams[key] = self._sink.open(table, columns, self._cancelled)
        attempt = pl.lit(self._task.chunk_attempt, dtype=pl.Int64).alias("_attempt")
        ordered = frame.with_columns(attempt).select(column.name for column in columns)
        self._streams[key].append(arrow(ordered))

    def _quarantine(
        self,
        batch: RawBatch,
        found: CastBatch,
        frame: pl.DataFrame,
        bad: Sequence[int],
        reasons: dict[int, list[str]],
    ) -> None:
        rows = frame[list(bad)].select(column.name for column in LINEAGE)
        scope = self._scope_of(frame[list(bad)])
        money = [
            series
            for column in self._task.columns
            if column.money
            for series in (
                found.plain[column.name].gather(list(bad)).alias(column.name),
                batch.rows[column.name].gather(list(bad)).alias(f"{column.name}__text"),
            )
        ]
        raw = [text[:LONGEST_RAW] for text in batch.raw_rows(bad)]
        self._quarantined(rows, scope, [reasons[i] for i in bad], raw, money)

    def _scope_of(self, frame: pl.DataFrame) -> list[str | None]:
        if not self._task.scope:
            return [None] * frame.height
        texts = scope_text(frame[self._task.scope[0][0]]).to_list()
        return [text if text is None else self._scope_name(text) for text in texts]

    def _scope_name(self, value: str) -> str:
        """Return a value of the scope's first column with the one value of each other column."""
        return "/".join([value, *(values[0] for _, values in self._task.scope[1:])])

    def _reject(self, rejects: Sequence[Reject]) -> None:
        numbers = pl.Series([reject.row_number for reject in rejects], dtype=pl.Int64)
        rows = pl.DataFrame({"_row_number": numbers}).with_columns(self._lineage(numbers))
        rows = rows.select(column.name for column in LINEAGE)
        by_source = bool(self._task.scope) and self._task.scope[0][0] == "_source"
        name = self._scope_name(self._task.chunk.input.input_id) if by_source else None
        scope = [name] * len(rejects)
        for reject in rejects:
            self._blame(reject.kind, "", [0])
        absent = [None] * len(rejects)
        money = [
            pl.Series(name, absent, dtype=pl.String)
            for column in self._task.columns
            if column.money
            for name in (column.name, f"{column.name}__text")
        ]
        for tally in self.tally.money.values():
            tally.unparsable_count += len(rejects)
        texts = [[f"{reject.kind}: {reject.detail}"] for reject in rejects]
        self._quarantined(rows, scope, texts, [r.raw[:LONGEST_RAW] for r in rejects], money)

    def _quarantined(
        self,
        rows: pl.DataFrame,
        scope: Sequence[str | None],
        reasons: Sequence[Sequence[str]],
        raw: Sequence[str],
        money: Sequence[pl.Series],
    ) -> None:
        amounts = [_as_amount(s) if not s.name.endswith("__text") else s for s in money]
        frame = rows.with_columns(
            pl.Series("_scope", list(scope), dtype=pl.String),
            pl.Series("reasons", [list(texts) for texts in reasons], dtype=pl.List(pl.String)),
            pl.Series("raw_row", list(raw), dtype=pl.String),
            *amounts,
        )
        columns = quarantine_columns(self._declared)
        self._append("quarantined", self._task.quarantine_table, columns, frame)
        self.tally.quarantined_row_count += frame.height


def _as_amount(plain: pl.Series) -> pl.Series:
    """Return plain texts as BIGNUMERIC; null where one does not fit."""
    column = TargetColumn.parse(plain.name, "BIGNUMERIC")
    return cast(pl.DataFrame({plain.name: plain}), [column]).frame[plain.name]


def scope_text(values: pl.Series) -> pl.Series:
    """Return scope values as the texts that scopes are written in: moments in UTC, to the microsecond."""
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.to_string("%Y-%m-%d %H:%M:%S%.6f").str.strip_suffix(".000000")
    return values.cast(pl.String)


def arrow(frame: pl.DataFrame) -> pa.Table:
    """Return a frame as Arrow with plain strings, in the frame's column order."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [pa.field(f.name, _plain(f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_large_binary(type_):
        return pa.binary()
    if pa.types.is_large_list(type_) or pa.types.is_list(type_):
        return pa.list_(_plain(type_.value_type))
    return type_
