"""Rows on their way out: frames as Arrow tables, with the columns that say where each row came from."""

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa

from libs.common.lineage import PlatformColumn

_PLAIN = {
    pa.string_view(): pa.string(),
    pa.large_string(): pa.string(),
    pa.binary_view(): pa.binary(),
    pa.large_binary(): pa.binary(),
}


def arrow(frame: pl.DataFrame) -> pa.Table:
    """Return a frame as Arrow with plain strings, in the frame's column order."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    return table.cast(pa.schema([pa.field(f.name, _plain(f.type)) for f in table.schema]))


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_large_list(type_) or pa.types.is_list(type_):
        return pa.list_(_plain(type_.value_type))
    return _PLAIN.get(type_, type_)


class Constants:
    """Columns that have one value in every row; tables share the memory of the longest."""

    def __init__(self, values: Mapping[str, pa.Scalar]) -> None:
        self._values = values
        self._columns: dict[str, pa.Array] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def column(self, name: str, height: int) -> pa.Array:
        """Return (height,) times the value."""
        found = self._columns.get(name)
        if found is None or len(found) < height:
            found = self._columns[name] = pa.repeat(self._values[name], height)
        return found.slice(0, height)

    def literal(self, name: str) -> pl.Expr:
        """Return the value as a Polars column."""
        value = pl.Series(pl.from_arrow(pa.repeat(self._values[name], 1)))
        return pl.lit(value.item(), dtype=value.dtype).alias(name)


def assembled(
    columns: Sequence[PlatformColumn], frame: pl.DataFrame, numbers: pl.Series, constants: Constants
) -> pa.Table:
    """Return rows as the table that an append takes.

    Args:
        columns: Names and order of the table's columns.
        frame: (n, c) the columns that are not constant.
        numbers: (n,) Int64 `_row_number`.
        constants: The rest of lineage.
    """
    own = [c.name for c in columns if c.name not in constants and c.name != "_row_number"]
    found = arrow(frame.select(*own, numbers.alias("_row_number")))
    arrays = [
        constants.column(c.name, frame.height) if c.name in constants else found[c.name]
        for c in columns
    ]
    return pa.table(arrays, names=[c.name for c in columns])
