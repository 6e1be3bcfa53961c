"""What the image and the proofs were measured at, beside the bars: written into docs/kubernetes.md.

`python -m tests.cluster.figures` writes the newest values between the page's two marks.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any, Final

from bench.figures import Figure, between, table
from bench.machine import described

ROOT: Final = pathlib.Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "build/cluster/figures.jsonl"
IMAGE: Final = ROOT / "build/image/figures.json"
PAGE: Final = ROOT / "docs/kubernetes.md"
BEGIN: Final = "<!-- figures: make image cluster-test -->\n"
END: Final = "<!-- end of figures -->"
MEGABYTE: Final = 1_000_000

INSTALLED: Final = "`helm install` to the first published run, images loaded"
FAILOVER: Final = "fail-over of an orchestrator that is deleted without grace"
FIRST_CHUNK: Final = "new worker ready to its first chunk, the longest"
GROWN: Final = "load begins to three workers ready"
SHRUNK: Final = "load ends to one worker"
DISTURBED: Final = "disturbances in the campaign, none of which lost, doubled or failed anything"
LEADERLESS: Final = "longest time without a leader's label in the campaign"
CHANGED: Final = "changes of the release under load, none of which lost, doubled or failed anything"
LEADERLESS_CHANGE: Final = "longest time without a leader's label while the release changed"
BARS: Final = {
    INSTALLED: 90.0,
    FAILOVER: 15.0,
    FIRST_CHUNK: 2.0,
    GROWN: None,
    SHRUNK: None,
    DISTURBED: None,
    LEADERLESS: None,
    CHANGED: None,
    LEADERLESS_CHANGE: None,
}


def note(what: str, value: float, unit: str) -> None:
    """Keep a figure; a later one takes its place."""
    assert what in BARS, what
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with FILE.open("a") as file:
        file.write(json.dumps({"what": what, "value": round(value, 2), "unit": unit}) + "\n")


def figures() -> Iterator[Figure]:
    """Yield those of the image, then those of the cluster."""
    if IMAGE.exists():
        yield from _image(json.loads(IMAGE.read_text()))
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    newest = {one["what"]: one for one in map(json.loads, lines)}
    for what, bar in BARS.items():
        if what in newest:
            one = newest[what]
            yield Figure(what=what, value=one["value"], unit=one["unit"], bar=bar)


def _image(measured: dict[str, Any]) -> Iterator[Figure]:
    for name, sizes in measured["size"].items():
        ours = name == "convergence"
        for what, bar in (("unpacked", 600.0), ("compressed", 220.0)):
            yield Figure(
                what=f"image `{name}`, {what}",
                value=sizes[what] / MEGABYTE,
                unit="MB",
                bar=bar if ours else None,
            )
    for service, took in measured["start"].items():
        ours = service != "bigquery"
        yield Figure(
            what=f"{service}, from its start in the image until it serves",
            value=took["seconds"],
            unit="s",
            bar=2.0 if ours else None,
            detail=f"{took['cpu_seconds']} s of CPU",
        )


def main() -> None:
    rows = [(row[0], row[1], row[2], row[4]) for row in (one.row() for one in figures())]
    written = table(("What", "Measured", "Bar", ""), rows)
    said = f"\nMeasured by `make image` and `make cluster-test` on {described()}.\n"
    PAGE.write_text(between(PAGE.read_text(), (BEGIN, END), written + said))


if __name__ == "__main__":
    main()
