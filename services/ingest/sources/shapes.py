"""Records of one shape, the same names in the same order, read all at once.

Most records of a file are written by one program. A few of them are read exactly and tell a pattern;
what matches the pattern is an object of these names, each once, and its values are the groups.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import orjson
import polars as pl

from services.ingest import exact_json
from services.ingest.sources.json_patterns import (
    BLANKS,
    INSIDE,
    MOST_GROUPS,
    NESTED,
    PLAIN,
    STRING,
    name,
)
from services.ingest.sources.nested_values import NestedValues

Kind: TypeAlias = Literal["text", "plain", "nested"]
Use: TypeAlias = Literal["cell", "json", "none"]
"""What becomes of a field: a cell's text, JSON text, or nothing."""

MOST_FIELDS: Final = 24
"""Fields of one pattern: larger ones are not matched in one pass."""

_ORDER: Final[tuple[Kind, ...]] = ("text", "plain", "nested")
_OF_KIND: Final[Mapping[Kind, str]] = {"text": STRING, "plain": PLAIN, "nested": NESTED}


def kind_of(value: Any) -> Kind | None:
    """Return the kind of a value that `exact_json.loads` read; none of null."""
    if value is None:
        return None
    if isinstance(value, dict | list):
        return "nested"
    is_text = isinstance(value, str) and not isinstance(value, exact_json.Number)
    return "text" if is_text else "plain"


@dataclasses.dataclass(slots=True)
class Field:
    """A field of a shape, and the kinds of values that it was seen to have."""

    name: str
    use: Use
    nested: NestedValues
    kinds: set[Kind] = dataclasses.field(default_factory=set)

    @property
    def captured(self) -> bool:
        """Whether the pattern has a group for it: nested values are always looked at."""
        return bool(self.kinds) and (self.use != "none" or "nested" in self.kinds)

    @property
    def always_found(self) -> bool:
        """Whether the group has a text in every match: that of a null is `null`."""
        return self.captured and not self._bare

    @property
    def _bare(self) -> bool:
        """Whether the group has what stands between quotes."""
        return self.kinds == {"text"} and self.use == "cell"

    @property
    def pattern(self) -> str:
        if not self.kinds:
            return "null"
        if self._bare:
            return f'(?:"({INSIDE})"|null)'
        either = "|".join(_OF_KIND[kind] for kind in _ORDER if kind in self.kinds)
        return f"({'' if self.captured else '?:'}{either}|null)"

    def read(self, found: pl.Series, escaped: pl.Series) -> tuple[pl.Series, pl.Series | None]:
        """Return what its group found as cells or JSON, and which of them are no JSON, if any.

        Args:
            found: (m,) String.
            escaped: Indexes of the records that have a backslash, in this field or another.
        """
        wrong = None
        if self.always_found and (nulls := found == "null").any():
            found = found.set(nulls, None)
        if "nested" in self.kinds:
            found, wrong = self._nested(found)
        if "text" in self.kinds and self.use == "json":
            found = _rewritten(found, escaped)
        elif "text" in self.kinds and self.use == "cell":
            found = _unescaped(found, escaped) if self._bare else _unquoted(found)
        return found, wrong

    def _nested(self, found: pl.Series) -> tuple[pl.Series, pl.Series | None]:
        which = found.is_not_null()
        if len(self.kinds) > 1:
            which &= found.str.contains(r"^[\[{]").fill_null(value=False)
        if which.all():
            shown = self.nested.compact(found)
            return shown, shown.is_null() if shown.null_count() else None
        shown = self.nested.compact(found.filter(which))
        whole = found.scatter(which.arg_true(), shown)
        wrong = which & whole.is_null()
        return whole, wrong if wrong.any() else None


def _unescaped(found: pl.Series, escaped: pl.Series) -> pl.Series:
    """Return what stands between quotes as the texts that are meant."""
    odd = _with_escape(found, escaped)
    if not len(odd):
        return found
    listed = '","'.join(found.gather(odd).to_list())
    return found.scatter(odd, orjson.loads(f'["{listed}"]'))


def _unquoted(found: pl.Series) -> pl.Series:
    """Return values of several kinds as cells: texts lose their quotes."""
    quoted = found.str.starts_with('"').fill_null(value=False)
    inner = found.filter(quoted).str.strip_prefix('"').str.strip_suffix('"')
    everywhere = pl.int_range(len(inner), dtype=pl.UInt32, eager=True)
    return found.scatter(quoted.arg_true(), _unescaped(inner, everywhere))


def _rewritten(found: pl.Series, escaped: pl.Series) -> pl.Series:
    """Return JSON with the escapes of texts as `exact_json.dumps` writes them."""
    odd = _with_escape(found, escaped)
    odd = odd.filter(found.gather(odd).str.starts_with('"'))
    if not len(odd):
        return found
    texts = orjson.loads(f"[{','.join(found.gather(odd).to_list())}]")
    return found.scatter(odd, [exact_json.dumps(text) for text in texts])


def _with_escape(found: pl.Series, escaped: pl.Series) -> pl.Series:
    if not len(escaped):
        return escaped
    has = found.gather(escaped).str.contains("\\", literal=True)
    return escaped.filter(has.fill_null(value=False))


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """Records that have a shape: `values` by field, one for each record that `fits`."""

    fits: pl.Series
    values: Mapping[str, pl.Series]
    wrong: pl.Series | None


class Shape:
    """A sequence of names. It learns the kinds of values from records."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._parts: list[_Part] = []

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self._fields)

    def learn(self, record: Mapping[str, Any]) -> bool:
        """Take the kinds of a record's values; return whether one is new."""
        new = not self._parts
        for field in self._fields:
            kind = kind_of(record[field.name])
            if kind is not None and kind not in field.kinds:
                field.kinds.add(kind)
                new = True
        if new:
            self._parts = list(_parts(self._fields))
        return new

    def read(self, records: pl.Series) -> Read:
        """Read the records that are of this shape and hold values of the kinds that it knows.

        Args:
            records: (n,) String.

        Returns:
            `fits` (n,); of the m that fit, `values` of the fields in use that are not always null, and
            which are `wrong`: no JSON after all, None if none is.
        """
        found: dict[str, pl.Series] = {}
        fits: pl.Series | None = None
        rest = records
        for part in self._parts:
            groups = rest.str.extract_groups(part.pattern).struct.unnest().get_columns()
            rest = groups[-1]
            found |= {f.name: group for f, group in zip(part.captured, groups, strict=False)}
            fits = groups[part.always].is_not_null()
        assert fits is not None, "a shape is read after it has learned"
        if not fits.all():
            found = {name: series.filter(fits) for name, series in found.items()}
            records = records.filter(fits)
        escaped = records.str.contains("\\", literal=True).arg_true()
        values: dict[str, pl.Series] = {}
        wrong: pl.Series | None = None
        for field in self._fields:
            if field.captured:
                values[field.name], odd = field.read(found[field.name], escaped)
                if odd is not None:
                    wrong = odd if wrong is None else wrong | odd
        return Read(fits, values, wrong)


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """Some fields of a shape. The last group of all but the last part is what follows them.

    `always` is the index of a group that has a text in every match.
    """

    pattern: str
    captured: Sequence[Field]
    always: int


def _parts(fields: Sequence[Field]) -> Iterator[_Part]:
    text = rf"^{BLANKS}\{{{BLANKS}"
    captured: list[Field] = []
    count, room = 0, MOST_GROUPS - 1
    for i, field in enumerate(fields):
        if len(captured) + field.captured > room + _whole(captured, fields[i:]) or (
            count == MOST_FIELDS
        ):
            yield _Part(rf"{text}([\s\S]*)$", captured, len(captured))
            text, captured, count = "^", [], 0
        captured += [field] if field.captured else []
        count += 1
        comma = f"{BLANKS},{BLANKS}" if i + 1 < len(fields) else BLANKS
        text += f"{name(field.name)}{field.pattern}{comma}"
    always = next((i for i, field in enumerate(captured) if field.always_found), None)
    mark = r"\}" if always is not None else r"(\})"
    yield _Part(rf"{text}{mark}{BLANKS}$", captured, len(captured) if always is None else always)


def _whole(captured: Sequence[Field], left: Sequence[Field]) -> bool:
    """Return whether the fields left are the last of a part that needs no group beside theirs."""
    fields = [*captured, *(field for field in left if field.captured)]
    return len(fields) == MOST_GROUPS and any(field.always_found for field in fields)
