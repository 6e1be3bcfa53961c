"""Generated AI usage: the same rows as CSV, NDJSON and Parquet, however many, in flat memory.

A row's values depend on its number and on SEED alone, so a file can be written again anywhere. The sums
of its money are counted as whole units while it is written: no decimal arithmetic stands between them
and what a run publishes.
"""

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Literal, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from libs.local.mesh.plans import ROOT

Format = Literal["csv", "ndjson", "parquet"]

FOLDER: Final = ROOT / ".bench"
"""Everything that a measurement leaves: data, states of meshes, what programs said. Not in git."""

DATA: Final = FOLDER / "data"
FORMATS: Final[tuple[Format, ...]] = ("csv", "ndjson", "parquet")
SEED: Final = 20261101
BLOCK_ROWS: Final = 250_000
"""Rows that are in memory at once; a row group of the Parquet file."""

PRIME: Final = 2**31 - 1
MODELS: Final = (
    "gpt-5.2", "gpt-5.2-mini", "o5-mini", "text-embedding-4", "claude-opus-5", "claude-sonnet-5",
    "claude-haiku-5", "gemini-3.5-pro", "gemini-3.5-flash", "mistral-large-4", "llama-5-70b", "whisper-3",
)  # fmt: skip
REGIONS: Final = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-south-1", None)
NOTES: Final = (
    "retried once, then answered", "batch job\nsecond line of the note", 'asked for "JSON only"',
    "cached prefix, nothing new", "streamed", "tool call: search, fetch\nand summarise", None,
    "über limit; cut at 4,096 tokens", "quota raised by finance", 'says "done",\nthen stops',
)  # fmt: skip
LABELS: Final = (
    '{"team":"search","env":"prod"}', '{"team":"billing","env":"staging"}',
    '{"team":"ml","env":"prod","tier":2}', '{"team":"support","env":"dev","ids":[1,2,3]}',
)  # fmt: skip
SCHEMA: Final = (
    ("event_id", "STRING"),
    ("project_id", "STRING"),
    ("user_id", "STRING"),
    ("api_key_id", "STRING"),
    ("model", "STRING"),
    ("region", "STRING"),
    ("started_at", "TIMESTAMP"),
    ("ended_at", "TIMESTAMP"),
    ("input_tokens", "INT64"),
    ("output_tokens", "INT64"),
    ("cached_tokens", "INT64"),
    ("request_count", "INT64"),
    ("cost", "NUMERIC"),
    ("unit_price", "NUMERIC"),
    ("note", "STRING"),
    ("labels", "JSON"),
)
"""Names and BigQuery's types, in the files' order."""

MONEY: Final = ("cost", "unit_price")
DIGITS: Final = 9
BARE: Final = frozenset(n for n, type_ in SCHEMA if type_ in {"INT64", "NUMERIC", "JSON"})
"""Columns that NDJSON writes without quotes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A generated file and what is known of it: `sums` by money column, exact."""

    path: Path
    rows: int
    size_bytes: int
    sums: dict[str, Decimal]


def usage(rows: int, format_: Format) -> Source:
    """Return the file of that many rows, written unless it is there already."""
    return _cached(DATA / f"usage-{rows}.{format_}", lambda path: _write(path, rows, format_))


def usage_of_bytes(size_bytes: int, format_: Format) -> Source:
    """Return a file of about that size (Parquet: of as many rows as the CSV file of that size)."""
    counted: Format = "csv" if format_ == "parquet" else format_
    sample = usage(BLOCK_ROWS, counted)
    return usage(int(size_bytes / (sample.size_bytes / sample.rows)), format_)


def _cached(path: Path, write: Callable[[Path], dict[str, Decimal]]) -> Source:
    known = path.with_suffix(path.suffix + ".json")
    if not known.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(path.suffix + ".new")
        sums = write(draft)
        draft.replace(path)
        known.write_text(json.dumps({name: str(value) for name, value in sums.items()}))
    sums = {name: Decimal(text) for name, text in json.loads(known.read_text()).items()}
    rows = int(path.stem.rpartition("-")[2])
    return Source(path=path, rows=rows, size_bytes=path.stat().st_size, sums=sums)


def _write(path: Path, rows: int, format_: Format) -> dict[str, Decimal]:
    units = dict.fromkeys(MONEY, 0)
    with _WRITERS[format_](path) as writer:
        for frame, counted in _blocks(rows):
            writer.write(frame)
            for name in MONEY:
                units[name] += counted[name]
    return {name: Decimal(value).scaleb(-DIGITS) for name, value in units.items()}


def _blocks(rows: int) -> Iterator[tuple[pl.DataFrame, dict[str, int]]]:
    for start in range(0, rows, BLOCK_ROWS):
        yield block(start, min(start + BLOCK_ROWS, rows))


def block(start: int, end: int) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return rows `start` to `end` as texts (integers as Int64), and the money's sums in units of 1e-9."""
    number = pl.int_range(start, end, dtype=pl.UInt64, eager=True)

    def mixed(salt: int) -> pl.Series:
        first = (number * (48_271 + 2 * salt) + SEED + salt * 7_919) % PRIME
        return (first * 1_103_515_245 + 12_345) % PRIME

    def one_of(salt: int, values: tuple[str | None, ...]) -> pl.Series:
        return pl.Series(values, dtype=pl.String).gather(mixed(salt) % len(values))

    first = mixed(1)
    seconds = (number // 40) % (60 * 24 * 3600)
    micros = (seconds * 1_000_000 + mixed(2) % 1_000_000).cast(pl.Int64) + 1_788_220_800_000_000
    length = (mixed(3) % 90_000_000).cast(pl.Int64)
    tokens = mixed(4)
    cost = (mixed(5) % 2_000_000_000).cast(pl.Int64)
    cost = cost.set(mixed(6) % 64 == 0, -1_250_000_000)
    price = (mixed(7) % 60_000_000).cast(pl.Int64)
    cached = (mixed(8) % 4_096).cast(pl.Int64)
    columns = {
        "event_id": pl.select(pl.format("evt_{}_{}", first, number)).to_series(),
        "project_id": _named("proj_", first % 211),
        "user_id": _named("user_", mixed(9) % 5_003),
        "api_key_id": _named("key_", mixed(10) % 499),
        "model": one_of(11, MODELS),
        "region": one_of(12, REGIONS),
        "started_at": _moment(micros),
        "ended_at": _moment(micros + length),
        "input_tokens": (tokens % 32_768).cast(pl.Int64),
        "output_tokens": ((tokens // 32_768) % 8_192).cast(pl.Int64),
        "cached_tokens": cached.set(cached % 4 == 0, None),
        "request_count": (tokens % 9 + 1).cast(pl.Int64),
        "cost": _decimal(cost),
        "unit_price": _decimal(price),
        "note": one_of(13, NOTES),
        "labels": one_of(14, LABELS),
    }
    return pl.DataFrame(columns), {"cost": int(cost.sum()), "unit_price": int(price.sum())}


def _named(prefix: str, number: pl.Series) -> pl.Series:
    return pl.select(pl.format(prefix + "{}", number.cast(pl.String).str.zfill(5))).to_series()


def _moment(micros: pl.Series) -> pl.Series:
    return micros.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def _decimal(units: pl.Series) -> pl.Series:
    """Write whole units of 1e-9 as decimal texts of nine digits after the point."""
    size = units.abs()
    one = 10**DIGITS
    sign = pl.select(pl.when(units < 0).then(pl.lit("-")).otherwise(pl.lit(""))).to_series()
    fraction = (size % one).cast(pl.String).str.zfill(DIGITS)
    return pl.select(pl.format("{}{}.{}", sign, size // one, fraction)).to_series()


class _Csv:
    """RFC 4180 with LF; NULL is an empty cell."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")

    def __enter__(self) -> Self:
        self._file.write((",".join(name for name, _ in SCHEMA) + "\n").encode())
        return self

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_csv(self._file, include_header=False)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Ndjson(_Csv):
    """An object a line; money as numbers with all their digits, labels as an object."""

    def __enter__(self) -> Self:
        return self

    def write(self, frame: pl.DataFrame) -> None:
        cells = [
            pl.format('"' + name + '":{}', _json(name)) for name in frame.columns
        ]  # names need no escapes
        line = pl.concat_str(pl.lit("{"), pl.concat_str(cells, separator=","), pl.lit("}"))
        frame.select(line).write_csv(self._file, include_header=False, quote_style="never")


def _json(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String)
    if name not in BARE:
        escaped = text.str.replace_all("\\", "\\\\", literal=True)
        escaped = escaped.str.replace_all('"', '\\"', literal=True)
        text = pl.format('"{}"', escaped.str.replace_all("\n", "\\n", literal=True))
    return text.fill_null("null")


class _Parquet:
    """Snappy, a row group a block, every column in its own type."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, ARROW, compression="snappy")

    def __enter__(self) -> Self:
        return self

    def write(self, frame: pl.DataFrame) -> None:
        typed = frame.with_columns(
            pl.col("started_at", "ended_at").str.to_datetime(
                "%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", time_zone="UTC"
            ),
            pl.col(*MONEY).cast(pl.Decimal(38, DIGITS)),
        )
        table = typed.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(ARROW)
        self._writer.write_table(table, row_group_size=BLOCK_ROWS)

    def __exit__(self, *_: object) -> None:
        self._writer.close()


_ARROW_TYPES: Final = {
    "STRING": pa.string(),
    "JSON": pa.string(),
    "INT64": pa.int64(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "NUMERIC": pa.decimal128(38, DIGITS),
}
ARROW: Final = pa.schema([(name, _ARROW_TYPES[type_]) for name, type_ in SCHEMA])
_WRITERS: Final[dict[Format, Callable[[Path], Any]]] = {
    "csv": _Csv,
    "ndjson": _Ndjson,
    "parquet": _Parquet,
}


def main() -> int:
    """Write the files of so many rows and print where they are."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--clean", action="store_true", help="delete all data instead")
    given = parser.parse_args()
    if given.clean:
        shutil.rmtree(FOLDER, ignore_errors=True)
        return 0
    for format_ in FORMATS:
        made = usage(given.rows, format_)
        print(f"{made.path} {made.size_bytes:,} bytes, {made.size_bytes / made.rows:.0f} a row")
    return 0


if __name__ == "__main__":
    sys.exit(main())
