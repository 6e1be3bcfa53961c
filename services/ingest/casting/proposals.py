"""The fast caster: proposes values that are sure to be those of the exact caster, or nothing.

A proposal that is not null is the very value that `exact.cast_exactly` gives for the text, and no
coercion. A null says nothing: the exact caster is asked. So whatever a library's own parser takes
beyond the forms of the type, rounds or cuts, must be shut out here.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.casting.exact import DAY_MICROS, EPOCH_FIRST, EPOCH_LAST, moments
from services.ingest.casting.json_cells import proven_json, proven_lists
from services.ingest.casting.text_buffers import VIEWS, arrow_texts, count_of, joined
from services.ingest.columns import TargetColumn

SHORTEST_UNDERFLOW: Final = len("1e-324")
"""Characters of the shortest number that is not 0 and has no double but 0."""

LEAF: Final = 256
"""Cells of a piece that is not halved again."""

SAMPLE: Final = 1024
"""First cells of a column, which say whether its cells repeat one another."""

MOST_DIGITS: Final = 38
"""Digits that any number of 128 bits has."""

_LONGEST_MOMENT: Final = len("2026-11-01T10:20:30.123456")
_LONG: Final = re.compile(r".{19}\.[0-9]{6}(0{1,3}(?:Z| ?UTC|\+00(?::?00)?)?)")
_UTC: Final = re.compile(r" ?UTC$|[ ]?\+00(?::?00)?$")

_DAY_FORM: Final = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME_FORM: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?"
_FORMS: Final = {
    "DATE": f"^{_DAY_FORM}$",
    "TIME": f"^{_TIME_FORM}$",
    "DATETIME": f"^{_DAY_FORM}[ T]{_TIME_FORM}$",
    "TIMESTAMP": f"^{_DAY_FORM}[ T]{_TIME_FORM}Z?$",
}
"""Forms that Arrow reads, but for days that a month does not have."""

Caster = Callable[[pa.Array, TargetColumn], pa.Array | None]


def propose(rows: pl.DataFrame, columns: Sequence[TargetColumn]) -> dict[str, pl.Series]:
    """Return a proposal for each column.

    Args:
        rows: (n, c) String columns, those of `columns` among them.
        columns: What to cast to.
    """
    expressions = {c.name: e for c in columns if (e := _expression(c)) is not None}
    found = rows.select(**expressions).to_dict() if expressions else {}
    for column in columns:
        if column.name not in found:
            found[column.name] = _series(rows[column.name], column).alias(column.name)
    return found


def _expression(column: TargetColumn) -> pl.Expr | None:  # noqa: PLR0911 one case a type
    text = pl.col(column.name)
    if column.repeated or column.epoch_micros:
        return None
    match column.type:
        case "STRING":
            most = column.max_length
            return text if most is None else pl.when(text.str.len_chars() <= most).then(text)
        case "INT64":
            return text.cast(pl.Int64, strict=False)
        case "FLOAT64":
            value = text.cast(pl.Float64, strict=False)
            sure = (value != 0) | (text.str.len_bytes() < SHORTEST_UNDERFLOW)
            return pl.when(value.is_finite() & sure).then(value)
        case "BOOL":
            true, false = pl.lit(value=True), pl.lit(value=False)
            return pl.when(text == "true").then(true).when(text == "false").then(false)
        case "BYTES":
            value = pl.when(text != "").then(text.str.decode("base64", strict=False))
            most = column.max_length
            return value if most is None else pl.when(value.bin.size() <= most).then(value)
    return None


def _series(texts: pl.Series, column: TargetColumn) -> pl.Series:
    if column.repeated:
        return proven_lists(_stripped(texts))
    if column.type == "JSON":
        return _json(texts)
    if column.epoch_micros:
        return _whole(texts, column, _epochs)
    if column.money:
        found = _decimals(arrow_texts(texts), column)
        return _by_form(texts, column) if found is None else _as(found, column)
    return _whole(texts, column, _CASTERS[column.type])


def _json(texts: pl.Series) -> pl.Series:
    """Prove each distinct text once where cells repeat one another, as labels do."""
    if 2 * texts.head(SAMPLE).n_unique() <= min(SAMPLE, len(texts)):
        distinct = texts.unique()
        if proven_json(_stripped(distinct)).equals(distinct):
            return texts
    return proven_json(_stripped(texts))


def _stripped(texts: pl.Series) -> pl.Series:
    text = pl.lit(texts).str.strip_chars()
    return pl.select(pl.when(text != "").then(text)).to_series()


def _whole(texts: pl.Series, column: TargetColumn, cast: Caster) -> pl.Series:
    """Cast a column at once, or else by halves: Arrow refuses all for one that it does not know."""
    found = cast(arrow_texts(texts), column)
    if found is not None:
        return _as(found, column)
    text = _stripped(texts)
    cells = arrow_texts(text)
    if _hopeless(cells, column, cast):
        plainer = _without_tail(text, column)
        if plainer is None:
            return pl.Series([None], dtype=column.dtype).new_from_index(0, len(cells))
        text, cast = plainer, _civil
    if not column.epoch_micros:
        form = pl.col(text.name).str.contains(_FORMS[column.type])
        text = text.to_frame().select(pl.when(form).then(text.name)).to_series()
    cells = arrow_texts(text)
    return pl.concat([_as(part, column) for part in _pieces(cells, column, cast)])


def _hopeless(cells: pa.Array, column: TargetColumn, cast: Caster) -> bool:
    """Return whether the column seems to be of another form: neither its first nor last cell is."""
    present = cells.drop_null()
    ends = (present.slice(0, 1), present.slice(len(present) - 1)) if len(present) else ()
    return all(cast(end, column) is None for end in ends)


def _without_tail(text: pl.Series, column: TargetColumn) -> pl.Series | None:
    """Return moments without what their first one ends in and Arrow does not read, None if nothing.

    That is zeros beyond the sixth digit of a second, and UTC's own names.
    """
    if column.epoch_micros or column.type not in {"TIMESTAMP", "DATETIME"}:
        return None
    first = next(iter(text.drop_nulls().head(1)), "")
    zeros, name = _LONG.fullmatch(first), _UTC.search(first)
    utc = name is not None or first.endswith("Z")
    if utc and column.type != "TIMESTAMP":
        return None
    if zeros is not None:
        tail = pl.col(text.name).str.slice(_LONGEST_MOMENT) == zeros[1]
        head = pl.col(text.name).str.head(_LONGEST_MOMENT)
        return text.to_frame().select(pl.when(tail).then(head)).to_series()
    return None if name is None else text.str.strip_suffix(name[0])


def _civil(cells: pa.Array, column: TargetColumn) -> pa.Array | None:
    """Read moments that say no offset."""
    return None if b"Z" in joined(cells) else _moments(cells, column)


def _pieces(cells: pa.Array, column: TargetColumn, cast: Caster) -> list[pa.Array]:
    found = cast(cells, column)
    if found is not None:
        return [found]
    if len(cells) <= LEAF:
        return [pa.nulls(len(cells))]
    half = len(cells) // 2
    parts = (cells.slice(0, half), cells.slice(half))
    return [piece for part in parts for piece in _pieces(part, column, cast)]


def _as(found: pa.Array, column: TargetColumn) -> pl.Series:
    series = pl.Series(pl.from_arrow(found))
    if series.dtype == pl.Datetime("us") and column.type == "TIMESTAMP":
        return series.dt.replace_time_zone("UTC")
    return series.cast(column.dtype)


def _decimals(cells: pa.Array, column: TargetColumn) -> pa.Array | None:
    """Read plain numbers. Arrow's decimals refuse what does not fit their digits, and round nothing."""
    digits = column.whole_digits + column.fraction_digits
    if not digits or not _plain_numbers(cells, column.fraction_digits):
        return None
    with contextlib.suppress(pa.ArrowInvalid):
        return cells.cast(pa.decimal128(digits, column.fraction_digits))
    return None


def _plain_numbers(cells: pa.Array, scale: int) -> bool:
    """Return whether no cell has an exponent, or so many digits that Arrow would wrap around at scale."""
    text = joined(cells)
    longest = pc.max(pc.binary_length(cells)).as_py() or 0
    return b"e" not in text and b"E" not in text and longest + scale <= MOST_DIGITS


def _by_form(texts: pl.Series, column: TargetColumn) -> pl.Series:
    """Read those numbers whose form alone says that they fit: Polars' decimals would round others."""
    whole, fraction = column.whole_digits, column.fraction_digits
    ways = [rf"[0-9]{{1,{whole}}}\.?"] if whole else ["0"]
    if fraction:
        ways.append(rf"[0-9]{{0,{whole}}}\.[0-9]{{1,{fraction}}}")
    text = pl.lit(texts).str.strip_chars()
    plain = text.str.contains(rf"^[+-]?(?:{'|'.join(ways)})$")
    return pl.select(pl.when(plain).then(text).cast(column.dtype, strict=False)).to_series()


def _days(cells: pa.Array, _: TargetColumn) -> pa.Array | None:
    with contextlib.suppress(pa.ArrowInvalid):
        found = cells.cast(pa.date32())
        return found if _least(found) * DAY_MICROS >= EPOCH_FIRST else None
    return None


def _least(found: pa.Array) -> int:
    """Return the smallest count of days or microseconds since 1970, 0 of none: Arrow has a year 0."""
    count = pa.int32() if found.type == pa.date32() else pa.int64()
    return pc.min(found.view(count)).as_py() or 0


def _moments(cells: pa.Array, column: TargetColumn) -> pa.Array | None:
    """Read moments whose cells all have seconds, and all or none end in Z.

    Arrow takes days alone, hours alone and other offsets too: none of those has two colons and no
    offset but Z, and a cell has no more than two.
    """
    text, count = joined(cells), len(cells) - cells.null_count
    zoned = count_of(b"Z", text)
    if count_of(b":", text) != 2 * count or zoned not in {0, count}:
        return None
    if zoned and column.type != "TIMESTAMP":
        return None
    with contextlib.suppress(pa.ArrowInvalid):
        found = cells.cast(pa.timestamp("us", "UTC" if zoned else None))
        return found if _least(found) >= EPOCH_FIRST else None
    return None


def _times(cells: pa.Array, column: TargetColumn) -> pa.Array | None:
    day = pa.scalar("1970-01-01 ", pa.large_string())
    empty = pa.scalar("", pa.large_string())
    moments_ = _moments(pc.binary_join_element_wise(day, cells, empty), column)
    return None if moments_ is None else moments_.cast(pa.time64("us"))


def _epochs(cells: pa.Array, column: TargetColumn) -> pa.Array | None:
    """Read plain numbers that are whole microseconds: the digits of a decimal of that scale."""
    scale = len(str(column.epoch_micros)) - 1
    if not _plain_numbers(cells, scale):
        return None
    with contextlib.suppress(pa.ArrowInvalid):
        numbers = cells.cast(pa.decimal128(18, scale))
        micros = pa.Array.from_buffers(pa.decimal128(18, 0), len(numbers), numbers.buffers())
        return _inside(pl.Series(pl.from_arrow(micros.cast(pa.int64()))), column)
    return None


def _inside(micros: pl.Series, column: TargetColumn) -> pa.Array:
    kept = pl.when(micros.is_between(EPOCH_FIRST, EPOCH_LAST)).then(micros)
    return moments(pl.select(kept).to_series(), column).to_arrow(compat_level=VIEWS)


_CASTERS: Final[dict[str, Caster]] = {
    "DATE": _days,
    "TIMESTAMP": _moments,
    "DATETIME": _moments,
    "TIME": _times,
}
