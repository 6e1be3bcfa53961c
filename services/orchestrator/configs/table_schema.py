"""A table's columns in BigQuery's JSON form, as `bq show --schema` prints it."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import pydantic

from libs.common.lineage import ATTEMPT, LINEAGE, MONEY_TYPES, base_type
from services.orchestrator.configs.documents import Document
from services.orchestrator.configs.file_errors import FileError, listed, nearest
from services.orchestrator.configs.files import COLUMN
from services.orchestrator.configs.parsing import Wrong, described, parse
from services.orchestrator.configs.quantities import Misread
from services.orchestrator.specs import ColumnSpec

RESERVED: Final = frozenset(c.name for c in (*LINEAGE, ATTEMPT)) | {"_scope", "_transform"}
_RESERVED_PREFIXES: Final = (
    "_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier",
)  # fmt: skip
_SYNONYMS: Final = {
    "INTEGER": "INT64", "INT": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL",
    "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC",
}  # fmt: skip
TYPES: Final = (
    "STRING", "BYTES", "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "BOOL", "DATE", "DATETIME",
    "TIME", "TIMESTAMP", "JSON",
)  # fmt: skip
MAX_COLUMNS: Final = 2000


def _digits(value: object) -> int | None:
    """Return a parameter, which the API's JSON writes as text."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        return int(value)
    raise Misread("a whole number")


Digits = Annotated[int | None, pydantic.BeforeValidator(_digits)]


class _Field(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    type: str
    mode: Literal["NULLABLE", "REQUIRED", "REPEATED"] = "NULLABLE"
    description: str = ""
    precision: Digits = None
    scale: Digits = None
    max_length: Digits = pydantic.Field(default=None, alias="maxLength")


@dataclasses.dataclass(frozen=True, slots=True)
class _Type:
    name: str
    parameters: tuple[int, ...]

    def __str__(self) -> str:
        written = ",".join(map(str, self.parameters))
        return f"{self.name}({written})" if written else self.name


def read_columns(document: Document) -> tuple[ColumnSpec, ...]:
    """Return the columns in order, types in GoogleSQL's spelling; raise Wrong with every error."""
    if not isinstance(document.value, list) or not document.value:
        found = described(document.value)
        advice = "write what `bq show --schema --format=prettyjson dataset.table` prints"
        raise Wrong([document.error((), found=found, allowed="a list of columns", advice=advice)])
    errors: list[FileError] = []
    columns: list[ColumnSpec] = []
    for index in range(len(document.value)):
        try:
            columns.append(_column(_item(document, index), index, document))
        except Wrong as wrong:
            errors.extend(wrong.errors)
    errors.extend(_whole(document, columns))
    if errors:
        raise Wrong(errors)
    return tuple(columns)


def _item(document: Document, index: int) -> Document:
    """Return one entry as a document of its own, whose lines are those in the file."""
    assert isinstance(document.value, list)
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == (index,)}
    return dataclasses.replace(document, value=document.value[index], lines=lines)


def _column(item: Document, index: int, document: Document) -> ColumnSpec:
    try:
        field = parse(item, _Field)
    except Wrong as wrong:
        raise Wrong(
            dataclasses.replace(error, field=f"{index}.{error.field}".rstrip("."))
            for error in wrong.errors
        ) from None
    try:
        type_ = _type(field)
        _check_name(field.name)
    except _Refused as refused:
        raise Wrong(
            [
                document.error(
                    (index, refused.field),
                    found=refused.found,
                    allowed=refused.allowed,
                    advice=refused.advice,
                )
            ]
        ) from None
    return ColumnSpec(
        name=field.name, type=str(type_), mode=field.mode, description=field.description
    )


class _Refused(Exception):
    def __init__(self, field: str, found: str, allowed: str, advice: str) -> None:
        super().__init__(found)
        self.field, self.found, self.allowed, self.advice = field, found, allowed, advice


def _check_name(name: str) -> None:
    if not COLUMN.fullmatch(name):
        raise _Refused("name", repr(name), f"a column name {COLUMN.pattern}", "rename the column")
    folded = name.casefold()
    if folded in RESERVED or folded.startswith(_RESERVED_PREFIXES):
        allowed = f"names other than {listed(sorted(RESERVED))} and BigQuery's own prefixes"
        raise _Refused("name", repr(name), allowed, "the platform adds its columns: remove it")


def _type(field: _Field) -> _Type:
    match = re.fullmatch(r"\s*([A-Za-z0-9]+)\s*(?:\(([0-9,\s]*)\))?\s*", field.type)
    name = match[1].upper() if match else ""
    name = _SYNONYMS.get(name, name)
    if match is None or name not in TYPES:
        advice = nearest(field.type, TYPES) or "use flat columns; JSON holds nested values"
        raise _Refused("type", repr(field.type), listed(TYPES), advice)
    written = tuple(int(part) for part in re.findall(r"[0-9]{1,10}", match[2] or ""))
    stated = tuple(
        part for part in (field.precision, field.scale, field.max_length) if part is not None
    )
    if written and stated and written != stated:
        found = f"{field.type} beside {', '.join(map(str, stated))}"
        raise _Refused("type", found, "the parameters once", "remove one of the two")
    parameters = written or stated
    _check_parameters(name, parameters, field)
    return _Type(name, parameters)


def _check_parameters(name: str, parameters: tuple[int, ...], field: _Field) -> None:
    if not parameters:
        return
    found = f"{name}({','.join(map(str, parameters))})"
    advice = "correct the parameters, or leave them out"
    if name in MONEY_TYPES and field.max_length is None and len(parameters) <= 2:
        precision, scale = (*parameters, 0)[:2]
        whole, most = (29, 9) if name == "NUMERIC" else (20, 18)
        if not (scale <= most and max(1, scale) <= precision and precision - scale <= whole):
            allowed = f"at most {whole} digits before and {most} after the point"
            raise _Refused("type", found, allowed, advice)
    elif name in ("STRING", "BYTES") and len(parameters) == 1 and field.precision is None:
        if parameters[0] < 1:
            raise _Refused("type", found, "a length of 1 or more", advice)
    else:
        allowed = "NUMERIC(p,s), BIGNUMERIC(p,s), STRING(n), BYTES(n), others without"
        raise _Refused("type", found, allowed, advice)


def _whole(document: Document, columns: list[ColumnSpec]) -> Iterator[FileError]:
    if len(columns) > MAX_COLUMNS:
        found = f"{len(columns)} columns"
        yield document.error(
            (), found=found, allowed=f"at most {MAX_COLUMNS}", advice="remove some"
        )
    seen: set[str] = set()
    money = {c.name.casefold() for c in columns if base_type(c.type) in MONEY_TYPES}
    for index, column in enumerate(columns):
        folded = column.name.casefold()
        if folded in seen:
            yield document.error(
                (index, "name"), found=f"column {column.name} twice",
                allowed="each name once; BigQuery ignores case", advice="remove or rename one",
            )  # fmt: skip
        seen.add(folded)
        if folded in money and _in_quarantine(folded, money):
            yield document.error(
                (index, "name"), found=f"decimal column {column.name}",
                allowed="names that quarantine does not use", advice="rename it",
            )  # fmt: skip


def _in_quarantine(folded: str, money: set[str]) -> bool:
    return folded in ("reasons", "raw_row") or folded.removesuffix("__text") in money - {folded}
