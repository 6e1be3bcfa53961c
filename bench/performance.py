"""`python -m bench.performance`: what docs/performance.md states, measured.

Writes `bench/results/{section}.json` and, from all of them, the tables between the marks of the page.
With `--quick` nothing but the last line of the output is written: the main ratios on small data.
"""

import argparse
import dataclasses
import datetime as dt
import json
import statistics
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench import first_contact
from bench.data import FOLDER
from bench.figures import (
    Figure,
    between,
    figures_table,
    number,
    ratio_line,
    stages_table,
    table,
)
from bench.machine import described
from bench.programs import versions
from bench.runs import Ran
from bench.sections import FULL, QUICK, QUICK_SECTIONS, SECTIONS, Result, Size, say
from libs.local.mesh.plans import ROOT

RESULTS: Final = ROOT / "bench" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"
FIRST_CONTACT: Final = "first_contact"
FLOORS: Final = "floors"
MIB: Final = 2**20
Found = dict[str, Any]


def main() -> int:
    """Measure the sections asked for; return 1 if a figure could not be measured or misses its bar.

    On small data, where start-up counts for more, a bar that is missed is shown and no failure.
    """
    parser = argparse.ArgumentParser(description="Measure what docs/performance.md states.")
    parser.add_argument("--quick", action="store_true", help="small data, nothing written")
    known = f"{', '.join(SECTIONS)}, {FIRST_CONTACT}"
    parser.add_argument("--only", default="", help=f"sections, separated by commas: {known}")
    given = parser.parse_args()
    names = tuple(filter(None, given.only.split(",")))
    if unknown := set(names) - {*SECTIONS, FIRST_CONTACT}:
        parser.error(f"found {', '.join(sorted(unknown))}; allowed are {known}")
    if given.quick:
        return _quick(names or QUICK_SECTIONS)
    return _whole(names or (*SECTIONS, FIRST_CONTACT))


def _quick(names: Sequence[str]) -> int:
    figures = [figure for name in names for figure in _measured(name, QUICK).figures]
    for figure in figures:
        print(" | ".join(figure.row()))
    print(ratio_line(figures))
    return int(any(figure.value is None for figure in figures))


def _whole(names: Sequence[str]) -> int:
    missed = False
    for name in names:
        if name == FIRST_CONTACT:
            missed |= bool(first_contact.main())
            continue
        result = _measured(name, FULL)
        missed |= any(figure.missed for figure in result.figures)
        _save(name, result)
        write_page()
    everything = _bars(_saved())
    print(figures_table(everything))
    print(ratio_line(everything))
    return int(missed)


def _measured(name: str, size: Size) -> Result:
    """Run a section; one that breaks has a figure that says so."""
    say(f"— {name}")
    FOLDER.mkdir(exist_ok=True)
    try:
        return SECTIONS[name](size)
    except Exception as error:  # noqa: BLE001 the other sections are measured all the same
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        broken = Figure(what=f"section {name}", value=None, bar=0, detail=said)
        return Result(figures=[broken], failures={name: said})


def _save(name: str, result: Result) -> None:
    RESULTS.mkdir(exist_ok=True)
    found = {
        "machine": described(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "versions": versions(),
        **{
            field: _plain(getattr(result, field))
            for field in ("figures", "loads", "runs", "failures")
        },
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _saved() -> dict[str, Found]:
    """Return the results that are there, by section, in the sections' order."""
    files = {name: RESULTS / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def write_page() -> None:
    """Write all results that are there into docs/performance.md."""
    saved, text = _saved(), PAGE.read_text()
    for mark, write in _TABLES.items():
        marks = (f"<!-- {mark}: make bench -->\n", f"<!-- end of {mark} -->")
        text = between(text, marks, f"\n{write(saved)}\n")
    PAGE.write_text(text)


def _bars(saved: dict[str, Found]) -> list[Figure]:
    """Return the figures that promise something; the floors have a table of their own."""
    found = [one for name, found in saved.items() if name != FLOORS for one in found["figures"]]
    return [Figure(**one) for one in found]


def _floors(saved: dict[str, Found]) -> str:
    """What each step takes when only its library does it."""
    figures = [Figure(**one) for one in saved.get(FLOORS, {"figures": []})["figures"]]
    rows = [(f.what, f.row()[1], f.detail) for f in figures]
    return table(["Step", "CPU a row", "From"], rows)


def _figures(saved: dict[str, Found]) -> str:
    figures = _bars(saved)
    when = [f"{found['date']} ({name})" for name, found in saved.items()]
    machines = sorted({found["machine"] for found in saved.values()})
    return f"{figures_table(figures)}\nMeasured by `make bench` on {'; '.join(machines)}: {', '.join(when)}.\n"


def _peers(saved: dict[str, Found]) -> str:
    """Ours and theirs, one line for each program and source: medians of whole processes."""
    lines: dict[tuple[int, str, str], list[list[float]]] = {}
    notes: dict[tuple[int, str, str], str] = {}
    for found in saved.values():
        for one in found["loads"]:
            format_, key = _format(one["source"]), (one["rows"], one["source"], one["program"])
            notes[key] = format_ if one["exact"] else f"{format_}; money as doubles"
            lines.setdefault(key, []).append(
                [one["seconds"], one["cpu_seconds"], one["peak_bytes"]]
            )
        for name, runs in found["runs"].items():
            for ran in (Ran(**one) for one in runs if name.startswith(("append", "replace"))):
                key = (
                    ran.rows,
                    f"x.{name.split()[1]}",
                    f"Convergence, `{name.split()[0]}`, all processes",
                )
                notes[key] = name.split()[1]
                lines.setdefault(key, []).append(
                    [ran.seconds, ran.cpu_seconds, sum(ran.peaks.values())]
                )
    rows = []
    for (count, source, program), values in sorted(lines.items(), key=_order):
        seconds, cpu, peak = (statistics.median(column) for column in zip(*values, strict=True))
        rows.append(
            [
                f"{count:,}", notes[count, source, program], program, number(seconds), number(cpu),
                f"{peak / MIB:,.0f}", str(len(values)),
            ]
        )  # fmt: skip
    header = ["Rows", "Source", "Program", "s", "CPU s", "peak MiB", "Times"]
    failures = {k: why for found in saved.values() for k, why in found["failures"].items()}
    missing = "".join(f"- {name}: {why}\n" for name, why in failures.items())
    pins = {k: v for found in saved.values() for k, v in found["versions"].items()}
    pinned = "; ".join(pins.values())
    return f"{table(header, rows)}\nVersions, by environment: {pinned}.\n" + (
        f"\nFailed:\n\n{missing}" if missing else ""
    )


def _order(line: tuple[tuple[int, str, str], list[list[float]]]) -> tuple[int, str, float]:
    (count, source, _), values = line
    return count, _format(source), statistics.median(value[0] for value in values)


def _format(source: str) -> str:
    return source.rpartition(".")[2]


def _stages(saved: dict[str, Found]) -> str:
    """Medians of the processor seconds by state and group of processes."""
    runs: dict[str, dict[str, dict[str, float]]] = {}
    for found in saved.values():
        for name, given in found["runs"].items():
            made = [Ran(**one) for one in given]
            if made:
                runs[f"{name}, {made[0].rows:,} rows"] = _median_stages(made)
    return stages_table(runs)


def _median_stages(runs: Sequence[Ran]) -> dict[str, dict[str, float]]:
    groups = ("workers", "engine", "orchestrator", "others")
    states = list(runs[0].stages)
    by_state = {
        state: {
            "wall": statistics.median(ran.stages.get(state, 0.0) for ran in runs),
            **{g: statistics.median(ran.cpu_of(g, stage=state) for ran in runs) for g in groups},
        }
        for state in states
    }
    whole = {
        "wall": statistics.median(ran.seconds for ran in runs),
        **{g: statistics.median(ran.cpu_of(g) for ran in runs) for g in groups},
    }
    return by_state | {"in all": whole}


_TABLES: Final[dict[str, Callable[[dict[str, Found]], str]]] = {
    "figures": _figures,
    "peers": _peers,
    "stages": _stages,
    "floors": _floors,
}

if __name__ == "__main__":
    sys.exit(main())
