"""`python -m bench.profile`: where the processes of one run spend their time, by sampling (py-spy).

Says for each group of processes how its processor time divides over our functions (the innermost frame
of ours in a sample), and over whatever ran in the end. Writes nothing.
"""

import argparse
import dataclasses
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.data import FOLDER, FORMATS, usage
from bench.figures import number, stages_table, table
from bench.programs import environment_of
from bench.runs import GROUPS, Mesh, Ran, mesh
from bench.sections import expected, tiny_files
from bench.tenants import Pipeline

RATE: Final = 200
OURS: Final = ("services/", "libs/")
SAMPLED: Final = ("ingest-1", "ingest-2", "bigquery", "orchestrator")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Samples of a group of processes by function: innermost of ours, innermost of all."""

    ours: "Counter[str]"
    last: "Counter[str]"


def main() -> int:
    """Profile a run of many tiny chunks, or one of many rows."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=["chunks", "append", "replace"])
    parser.add_argument("--chunks", type=int, default=300)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--format", choices=FORMATS, default="csv")
    parser.add_argument("--top", type=int, default=20)
    given = parser.parse_args()
    if given.what == "chunks":
        files, wanted = tiny_files(given.chunks)
        pipeline = Pipeline(id="profiled", files=files, format="csv")
    else:
        source = usage(given.rows, given.format)
        whole = given.what == "replace"
        pipeline = Pipeline(
            id="profiled",
            files=(source.path,),
            format=given.format,
            mode=given.what,
            table_rule=whole,
            transform=whole,
        )
        wanted = expected(source)
    with mesh("profile", [pipeline]) as up:
        if given.what == "replace":
            up.run(pipeline, wanted)
        samplers = _start(up)
        try:
            ran = up.run(pipeline, wanted)
        finally:
            samples = _finish(samplers)
    _report(ran, samples, given.top)
    return 0


def _start(up: Mesh) -> dict[str, "subprocess.Popen[bytes]"]:
    program = environment_of("profile").with_name("py-spy")
    (FOLDER / "profile").mkdir(parents=True, exist_ok=True)
    return {
        name: subprocess.Popen(
            [
                str(program), "record", "--format", "raw", "--rate", str(RATE), "--function",
                "--pid", str(up.pids()[name]), "--output", str(_file(name)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in SAMPLED
    }  # fmt: skip


def _file(name: str) -> Path:
    return FOLDER / "profile" / f"{name}.folded"


def _finish(samplers: Mapping[str, "subprocess.Popen[bytes]"]) -> dict[str, Sampled]:
    found: dict[str, Sampled] = {}
    for name, sampler in samplers.items():
        sampler.send_signal(signal.SIGINT)
        sampler.wait()
        one = found.setdefault(GROUPS[name], Sampled(ours=Counter(), last=Counter()))
        for line in _file(name).read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            own = [frame for frame in frames if frame.partition("(")[2].startswith(OURS)]
            one.ours[own[-1] if own else "elsewhere"] += int(count)
            one.last[frames[-1]] += int(count)
    return found


def _report(ran: Ran, samples: Mapping[str, Sampled], top: int) -> None:
    print(stages_table({"run": {s: {"wall": ran.stages[s], **ran.cpu[s]} for s in ran.stages}}))
    print(f"{ran.seconds:.2f} s, {ran.chunks:,} chunks, {ran.rows:,} rows\n")
    for group, found in samples.items():
        cpu, all_samples = ran.cpu_of(group), sum(found.ours.values())
        for title, counted in (("ours", found.ours), ("innermost", found.last)):
            rows = [
                [frame, f"{count / all_samples:.1%}", *_each(ran, cpu * count / all_samples)]
                for frame, count in counted.most_common(top)
            ]
            header = [f"{group}, {title}", "share", "CPU s", "ms a chunk", "µs a row"]
            print(table(header, rows))


def _each(ran: Ran, seconds: float) -> list[str]:
    return [
        number(seconds),
        number(seconds * 1e3 / max(ran.chunks, 1)),
        number(seconds * 1e6 / max(ran.rows, 1)),
    ]


if __name__ == "__main__":
    sys.exit(main())
