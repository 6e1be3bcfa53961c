"""`python -m bench.profile`: where the processes of one run spend their processor time, by sampling.

Says for each group of processes how the time of its Python threads divides over our functions (the
innermost frame of ours) and over whatever ran in the end; the rest is threads of Polars, gRPC and DuckDB.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from typing import Final

from bench.data import FOLDER, FORMATS, usage
from bench.figures import number, stages_table, table
from bench.runs import GROUPS, Expected, Mesh, Ran, mesh
from bench.sections import expected, tiny_files
from bench.tenants import Pipeline
from libs.local.mesh.plans import ROOT

SAMPLES: Final = FOLDER / "samples"
KINDS: Final = ("ours", "innermost")
SETTLE_SECONDS: Final = 1.0
"""Long enough for every sampler to have written what it has seen."""

Spent = dict[str, dict[str, "Counter[str]"]]


def main() -> int:
    """Profile a run of many tiny chunks, or one of many rows."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=["chunks", "append", "replace"])
    parser.add_argument("--chunks", type=int, default=300)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--format", choices=FORMATS, default="csv")
    parser.add_argument("--top", type=int, default=20)
    given = parser.parse_args()
    pipeline, wanted = _pipeline(given)
    shutil.rmtree(SAMPLES, ignore_errors=True)
    SAMPLES.mkdir(parents=True)
    os.environ["BENCH_SAMPLES"] = str(SAMPLES)
    os.environ["PYTHONPATH"] = str(ROOT / "bench" / "sampling")
    with mesh("profile", [pipeline]) as up:
        if given.what == "replace":
            up.run(pipeline, wanted)
        before = _spent(up)
        ran = up.run(pipeline, wanted)
        after = _spent(up)
    _report(ran, before, after, given.top)
    return 0


def _pipeline(given: argparse.Namespace) -> tuple[Pipeline, Expected]:
    if given.what == "chunks":
        files, wanted = tiny_files(given.chunks)
        return Pipeline(id="profiled", files=files, format="csv"), wanted
    source, whole = usage(given.rows, given.format), given.what == "replace"
    pipeline = Pipeline(
        id="profiled",
        files=(source.path,),
        format=given.format,
        mode=given.what,
        table_rule=whole,
        transform=whole,
    )
    return pipeline, expected(source)


def _spent(up: Mesh) -> Spent:
    """Return seconds by group, kind and frame so far."""
    time.sleep(SETTLE_SECONDS)
    found: Spent = defaultdict(lambda: {kind: Counter() for kind in KINDS})
    for name, pid in up.pids().items():
        file = SAMPLES / f"{pid}.json"
        if name in GROUPS and file.exists():
            for kind, frames in json.loads(file.read_text()).items():
                found[GROUPS[name]][kind].update(frames)
    return found


def _report(ran: Ran, before: Spent, after: Spent, top: int) -> None:
    print(stages_table({"run": {s: {"wall": ran.stages[s], **ran.cpu[s]} for s in ran.stages}}))
    print(f"{ran.seconds:.2f} s, {ran.chunks:,} chunks, {ran.rows:,} rows\n")
    for group, kinds in after.items():
        whole = ran.cpu_of(group)
        for kind, counted in kinds.items():
            spent = counted - before[group][kind]
            rows = [
                ["threads that are not Python's", *_each(ran, whole - spent.total())],
                *([frame, *_each(ran, seconds)] for frame, seconds in spent.most_common(top)),
            ]
            print(table([f"{group}, {kind}", "CPU s", "ms a chunk", "µs a row"], rows))


def _each(ran: Ran, seconds: float) -> list[str]:
    return [
        number(seconds),
        number(seconds * 1e3 / max(ran.chunks, 1)),
        number(seconds * 1e6 / max(ran.rows, 1)),
    ]


if __name__ == "__main__":
    sys.exit(main())
