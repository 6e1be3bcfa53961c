"""A table's columns: BigQuery's JSON form, the client's SchemaField, and Arrow's types."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final, Self

import pyarrow as pa
from google.cloud import bigquery

_ALIASES: Final = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_ARROW: Final[Mapping[str, pa.DataType]] = {
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "BOOL": pa.bool_(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "JSON": pa.string(),
}
COLUMN_TYPES: Final = tuple(_ARROW)
"""Types a column may have, by the names of GoogleSQL."""

MODES: Final = ("NULLABLE", "REQUIRED", "REPEATED")


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One flat column. `type` is GoogleSQL's name without parameters (`INT64`, not `INTEGER`)."""

    name: str
    type: str
    mode: str = "NULLABLE"
    description: str = ""

    def __post_init__(self) -> None:
        """Bring type and mode to one spelling; raise ValueError for others than the listed."""
        type_ = self.type.partition("(")[0].strip().upper()
        object.__setattr__(self, "type", _ALIASES.get(type_, type_))
        object.__setattr__(self, "mode", (self.mode or "NULLABLE").upper())
        if self.type not in _ARROW:
            allowed = ", ".join(COLUMN_TYPES)
            raise ValueError(f"column {self.name}: type {self.type} is none of {allowed}")
        if self.mode not in MODES:
            raise ValueError(f"column {self.name}: mode {self.mode} is none of {', '.join(MODES)}")

    @property
    def repeated(self) -> bool:
        """Whether the column holds an array."""
        return self.mode == "REPEATED"

    @property
    def required(self) -> bool:
        """Whether the column refuses NULL."""
        return self.mode == "REQUIRED"

    @property
    def sql_type(self) -> str:
        """Return the type as DDL writes it, `ARRAY<...>` for a repeated column."""
        return f"ARRAY<{self.type}>" if self.repeated else self.type

    @classmethod
    def from_json(cls, field: Mapping[str, object]) -> Self:
        """Read one entry of BigQuery's schema JSON, as `bq show --schema` prints it."""
        if field.get("fields"):
            raise ValueError(f"column {field.get('name')}: RECORD columns are not supported")
        return cls(
            name=str(field["name"]),
            type=str(field["type"]),
            mode=str(field.get("mode") or "NULLABLE"),
            description=str(field.get("description") or ""),
        )

    def to_json(self) -> dict[str, str]:
        """Return the column as an entry of BigQuery's schema JSON."""
        entry = {"name": self.name, "type": self.type, "mode": self.mode}
        return {**entry, "description": self.description} if self.description else entry

    @classmethod
    def from_field(cls, field: bigquery.SchemaField) -> Self:
        """Read the client's form."""
        return cls(
            name=field.name,
            type=field.field_type,
            mode=field.mode or "NULLABLE",
            description=field.description or "",
        )

    def to_field(self) -> bigquery.SchemaField:
        """Return the client's form."""
        if not self.description:
            return bigquery.SchemaField(self.name, self.type, mode=self.mode)
        return bigquery.SchemaField(
            self.name, self.type, mode=self.mode, description=self.description
        )


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type that carries `column` without loss; JSON travels as text."""
    item = _ARROW[column.type]
    return pa.list_(item) if column.repeated else item


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the schema that rows of a table with `columns` are appended with."""
    return pa.schema([pa.field(c.name, arrow_type(c), nullable=not c.required) for c in columns])
