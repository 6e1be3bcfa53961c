"""What the proofs measure: kept as lines of JSON, and written into docs/kubernetes.md by a command."""

import json
import pathlib
from typing import Final

FILE: Final = pathlib.Path(__file__).resolve().parents[2] / "build/cluster/figures.jsonl"


def note(what: str, value: float, unit: str) -> None:
    """Keep a figure."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with FILE.open("a") as file:
        file.write(json.dumps({"what": what, "value": round(value, 2), "unit": unit}) + "\n")


def read() -> dict[str, str]:
    """Return the newest value of each figure, with its unit."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    found = map(json.loads, lines)
    return {one["what"]: f"{one['value']:,} {one['unit']}" for one in found}
