"""Columns of the target table: BigQuery's types with their parameters, parsed once."""

import dataclasses
import re
from typing import Final, Self

import polars as pl

from libs.common.lineage import LINEAGE, MONEY_TYPES, PlatformColumn

_TYPE: Final = re.compile(r"([A-Z0-9]+)(?:\(([0-9]+)(?:,([0-9]+))?\))?")
_WIDEST: Final = {"NUMERIC": (29, 9), "BIGNUMERIC": (20, 18)}
"""Digits before and after the point. BIGNUMERIC is held to what 38 digits carry."""

_PLAIN: Final[dict[str, pl.DataType]] = {
    "STRING": pl.String(),
    "BYTES": pl.Binary(),
    "INT64": pl.Int64(),
    "FLOAT64": pl.Float64(),
    "NUMERIC": pl.Decimal(38, 9),
    "BIGNUMERIC": pl.Decimal(38, 18),
    "BOOL": pl.Boolean(),
    "DATE": pl.Date(),
    "DATETIME": pl.Datetime("us"),
    "TIME": pl.Time(),
    "TIMESTAMP": pl.Datetime("us", "UTC"),
    "JSON": pl.String(),
}
EPOCH_TYPES: Final = ("TIMESTAMP", "DATETIME", "DATE")
"""Types that numbers may be read as, counted from 1970."""

TYPES: Final = tuple(_PLAIN)
MODES: Final = ("NULLABLE", "REQUIRED", "REPEATED")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TargetColumn:
    """A column that rows are held to. `type` has no parameters; unset ones are None.

    `whole_digits` and `fraction_digits` are set for decimals, `max_length` for STRING(n), BYTES(n).
    `epoch_micros` is how many microseconds one is of what the column's numbers count from 1970, 0
    where numbers are no times. `truncates` is whether digits of a second beyond the sixth are cut off.
    """

    name: str
    type: str
    mode: str = "NULLABLE"
    declared: str
    whole_digits: int = 0
    fraction_digits: int = 0
    max_length: int | None = None
    epoch_micros: int = 0
    truncates: bool = False

    @classmethod
    def parse(cls, name: str, type_: str, mode: str = "NULLABLE") -> Self:
        """Read a column as requests carry it; raise ValueError for what cannot be cast to."""
        match = _TYPE.fullmatch(type_.replace(" ", "").upper())
        if not name or match is None or match[1] not in _PLAIN:
            raise ValueError(f"column {name!r}: type {type_!r} is none of {', '.join(TYPES)}")
        base, first, second = match.groups()
        mode = mode or "NULLABLE"
        if mode not in MODES or (mode == "REPEATED" and base != "STRING"):
            raise ValueError(
                f"column {name}: found {mode} {type_}; allowed are NULLABLE, REQUIRED, and "
                "REPEATED for STRING: hold other lists in a JSON column"
            )
        whole, fraction = _digits(name, base, first, second)
        length = int(first) if base in {"STRING", "BYTES"} and first else None
        return cls(
            name=name,
            type=base,
            mode=mode,
            declared=type_,
            whole_digits=whole,
            fraction_digits=fraction,
            max_length=length,
        )

    @property
    def required(self) -> bool:
        return self.mode == "REQUIRED"

    @property
    def repeated(self) -> bool:
        return self.mode == "REPEATED"

    @property
    def money(self) -> bool:
        """Whether its sums are counted: an exact decimal that is no list."""
        return self.type in MONEY_TYPES and not self.repeated

    @property
    def dtype(self) -> pl.DataType:
        """What Polars holds it as; JSON is text."""
        return pl.List(pl.String()) if self.repeated else _PLAIN[self.type]

    def platform(self) -> PlatformColumn:
        return PlatformColumn(self.name, self.declared, self.mode)


def _digits(name: str, base: str, first: str | None, second: str | None) -> tuple[int, int]:
    if base not in _WIDEST:
        return 0, 0
    whole, fraction = _WIDEST[base]
    if first is None:
        return whole, fraction
    precision, scale = int(first), int(second or 0)
    if scale > fraction or not 0 <= precision - scale <= whole:
        raise ValueError(
            f"column {name}: {base}({first},{scale}) has more than {whole} digits before or "
            f"{fraction} after the point"
        )
    return precision - scale, scale


LINEAGE_COLUMNS: Final = tuple(TargetColumn.parse(c.name, c.type, c.mode) for c in LINEAGE)
"""Columns of the platform as ones that rows are held to."""
