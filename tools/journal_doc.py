"""Writes the tables of docs/journal.md from the journal's records; with --check, compares."""

import enum
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pydantic

from services.orchestrator.runs import records
from services.orchestrator.schedules import records as schedule_records

PAGE = Path(__file__).resolve().parents[1] / "docs/journal.md"
MARKS = re.compile(
    r"(<!-- records: make journal-doc -->\n\n).*?(\n<!-- end of records -->)", re.DOTALL
)


def kinds() -> dict[str, type[pydantic.BaseModel]]:
    """Return the records by type, in the order of the union, then the parts by the name of their class."""
    details = typing.get_args(typing.get_args(records.Detail)[0])
    found = {kind.model_fields["type"].default: kind for kind in details}
    parts = (*vars(records).values(), *vars(schedule_records).values())
    apart = (records.Part, records.Record, *details)
    return found | {
        kind.__name__: kind
        for kind in parts
        if inspect.isclass(kind) and issubclass(kind, records.Part) and kind not in apart
    }


def fields(kind: type[pydantic.BaseModel]) -> Iterator[str]:
    """Yield `name: type` of each field, with `= default` where it may be left out."""
    for name, field in kind.model_fields.items():
        if name != "type":
            known = field.default
            plain = known.value if isinstance(known, enum.Enum) else known
            default = "" if field.is_required() else f" = {plain!r}"
            yield f"{name}: {_type(field.annotation)}{default}"


def _type(annotation: object) -> str:
    plain = inspect.isclass(annotation) and not typing.get_args(annotation)
    text = annotation.__name__ if plain else str(annotation)  # type: ignore[attr-defined]
    return re.sub(r"\b(typing|datetime|decimal|services\.orchestrator\.\w+\.\w+)\.", "", text)


def table() -> str:
    """Return a row for each record and part: its name, what it says, its fields."""
    lines = ["| Record, or part of one | Says | Fields |", "| --- | --- | --- |"]
    for name, kind in kinds().items():
        says = (kind.__doc__ or "").splitlines()[0]
        shown = ", ".join(f"`{field}`" for field in fields(kind)).replace("|", "\\|")
        lines.append(f"| `{name}` | {says} | {shown} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page with its table as the records are."""
    return MARKS.sub(lambda found: f"{found[1]}{table()}{found[2]}", PAGE.read_text())


def main() -> int:
    if "--check" in sys.argv:
        same = PAGE.read_text() == page()
        if not same:
            print("docs/journal.md is not what the records say; run `make journal-doc`")
        return int(not same)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
