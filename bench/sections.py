"""What is measured, section by section: each returns figures, and what they were computed from.

Ours and the peers take turns within a section, so that what the machine does otherwise meets both.
"""

import asyncio
import dataclasses
import os
import shutil
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from bench import alone, floors, money
from bench.cancelling import stopped_planning, stopped_reading
from bench.data import DIGITS, FOLDER, FORMATS, Format, Source, block, usage, usage_of_bytes
from bench.figures import Figure, ratio, spread
from bench.machine import cpu_seconds, peak_bytes
from bench.measuring import ProgramFailed
from bench.programs import (
    DLT_ARROW,
    DLT_DEFAULT,
    DUCKDB,
    INGESTR,
    POLARS,
    SLING,
    Loaded,
    Program,
    load,
)
from bench.runs import Expected, Mesh, Ran, WrongRun, mesh
from bench.tenants import Pipeline
from libs.common.errors import ServiceError

MIB: Final = 2**20
CHUNK: Final = 64 * MIB
SHOWN: Final[dict[Format, str]] = {"csv": "CSV", "ndjson": "NDJSON", "parquet": "Parquet"}
WARM_ROWS: Final = 20_000
TINY_ROWS: Final = 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    repeats: int
    worker_rows: int
    run_rows: int
    default_rows: int
    default_repeats: int
    memory_bytes: tuple[int, int]
    plan_bytes: int
    money_rows: int
    chunks: int
    chunk_repeats: int
    cancels: int
    formats: tuple[Format, ...]
    """Of whole runs; a worker, memory and money are measured in all."""
    others: bool
    """Whether programs without a bar are measured too."""


FULL: Final = Size(
    repeats=3,
    worker_rows=1_000_000,
    run_rows=5_000_000,
    default_rows=1_000_000,
    default_repeats=1,
    memory_bytes=(10**9, 10**10),
    plan_bytes=10**10,
    money_rows=200_000,
    chunks=2_000,
    chunk_repeats=3,
    cancels=10,
    formats=FORMATS,
    others=True,
)
QUICK: Final = Size(
    repeats=3,
    worker_rows=300_000,
    run_rows=500_000,
    default_rows=50_000,
    default_repeats=1,
    memory_bytes=(10**8, 10**9),
    plan_bytes=10**9,
    money_rows=20_000,
    chunks=300,
    chunk_repeats=1,
    cancels=3,
    formats=("csv",),
    others=False,
)


@dataclasses.dataclass(slots=True)
class Result:
    """A section's figures and measurements. `failures` are peers and runs that gave none."""

    figures: list[Figure] = dataclasses.field(default_factory=list)
    loads: list[Loaded] = dataclasses.field(default_factory=list)
    runs: dict[str, list[Ran]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = dataclasses.field(default_factory=dict)

    def peer(self, program: Program, source: Source) -> None:
        """Measure a peer; what it fails with becomes the figure's detail."""
        name = f"{program.name}, {source.path.suffix[1:]}"
        if name in self.failures:
            return
        try:
            loaded = load(program, source)
        except ProgramFailed as error:
            self.failures[name] = str(error)
            say(f"{name}: FAILED: {error}")
            return
        self.loads.append(loaded)
        say(f"{name}: {loaded.seconds:.2f} s, {loaded.cpu_seconds:.2f} CPU s")

    def ours(self, name: str, up: Mesh, pipeline: Pipeline, wanted: Expected) -> None:
        """Measure one of our runs."""
        try:
            ran = up.run(pipeline, wanted)
        except (WrongRun, ServiceError) as error:
            self.failures[name] = str(error)
            say(f"{name}: FAILED: {error}")
            return
        self.runs[name].append(ran)
        say(f"{name}: {ran.seconds:.2f} s, {ran.cpu_seconds:.2f} CPU s")

    def of(self, program: Program, source: Source) -> list[Loaded]:
        wanted = (program.name, source.path.name)
        return [one for one in self.loads if (one.program, one.source) == wanted]

    def why(self, *names: str) -> str:
        return "; ".join(self.failures[name] for name in names if name in self.failures)


def say(text: str) -> None:
    """Show how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def expected(source: Source) -> Expected:
    return Expected(rows=source.rows, sums=source.sums)


def worker(size: Size) -> Result:
    """Processor time a row in the workers against Polars, on one mesh that is warm."""
    result = Result()
    sources = {f: usage(size.worker_rows, f) for f in FORMATS}
    warm = {f: usage(WARM_ROWS, f) for f in FORMATS}
    pipelines = {
        (f, n): Pipeline(id=f"worker_{f}_{n}", files=(s.path,), format=f)
        for n in range(size.repeats)
        for f, s in sources.items()
    }
    warming = {f: Pipeline(id=f"warm_{f}", files=(s.path,), format=f) for f, s in warm.items()}
    with mesh("worker", [*pipelines.values(), *warming.values()]) as up:
        for format_, pipeline in warming.items():
            up.run(pipeline, expected(warm[format_]))
        for (format_, _), pipeline in pipelines.items():
            source = sources[format_]
            result.peer(POLARS, source)
            result.ours(f"worker {format_}", up, pipeline, expected(source))
    result.figures = [_worker_figure(result, f, sources[f]) for f in FORMATS]
    return result


def _worker_figure(result: Result, format_: Format, source: Source) -> Figure:
    name, each = f"worker {format_}", 1e6 / source.rows
    runs = result.runs[name]
    ours = [ran.cpu_of("workers") * each for ran in runs]
    planning = [ran.cpu_of("workers", stage="PLANNING") * each for ran in runs]
    floor = [one.work_cpu_seconds * each for one in result.of(POLARS, source)]
    detail = (
        f"ours {spread(ours, 'µs')} a row, of it planning {spread(planning, 'µs')}; "
        f"Polars {spread(floor, 'µs')}; {source.rows:,} rows"
    )
    return Figure(
        what=f"CPU a row in the workers, {SHOWN[format_]}, against Polars scan → cast → sink_parquet",
        value=ratio(ours, floor),
        bar=1.5,
        stretch=1.2,
        detail=result.why(name, f"{POLARS.name}, {format_}") or detail,
        short=f"worker_{format_}",
    )


def run(size: Size) -> Result:
    """Whole runs that append, and whole runs that replace, against dlt's Arrow path."""
    result = Result()
    sources = {f: usage(size.run_rows, f) for f in size.formats}
    for turn in range(size.repeats):
        for format_, source in sources.items():
            result.peer(DLT_ARROW, source)
            if size.others and turn == 0:
                result.peer(DUCKDB, source)
                result.peer(POLARS, source)
            _append(result, format_, source)
            if turn == 0 or format_ == "csv":
                _replace(result, format_, source)
    for format_, source in sources.items():
        result.figures += _run_figures(result, format_, source)
    engine = [ran.peak_of("engine") / MIB for ran in result.runs["append csv"]]
    result.figures.append(
        Figure(
            what=f"peak memory of the embedded engine, `append` of {size.run_rows:,} CSV rows",
            value=statistics.median(engine) if engine else None,
            unit="MiB",
            bar=1.2 * 1024,
            stretch=800,
            detail=result.why("append csv") or spread(engine, "MiB"),
        )
    )
    return result


def _append(result: Result, format_: Format, source: Source) -> None:
    append = Pipeline(id="appended", files=(source.path,), format=format_)
    with mesh("append", [append]) as up:
        result.ours(f"append {format_}", up, append, expected(source))


def _replace(result: Result, format_: Format, source: Source) -> None:
    """Fill a scope on a mesh of its own, then replace it."""
    replace = Pipeline(
        id="replaced",
        files=(source.path,),
        format=format_,
        mode="replace",
        table_rule=True,
        transform=True,
    )
    with mesh("replace", [replace]) as up:
        result.ours(f"first replace {format_}", up, replace, expected(source))
        result.ours(f"replace {format_}", up, replace, expected(source))


def _run_figures(result: Result, format_: Format, source: Source) -> list[Figure]:
    theirs = [one.seconds for one in result.of(DLT_ARROW, source)]
    failed = f"{DLT_ARROW.name}, {format_}"
    figures = []
    for mode, bar, stretch, what, short in (
        ("append", 1.3, 1.0, "`append` without table rules", "run_append_vs_dlt_arrow"),
        ("replace", 2.5, 1.5, "`replace` of a full scope, table rule and transform", "replace"),
    ):
        ours = [ran.seconds for ran in result.runs[f"{mode} {format_}"]]
        detail = f"ours {spread(ours, 's')}, dlt {spread(theirs, 's')}; {source.rows:,} rows"
        figures.append(
            Figure(
                what=f"whole run, {what}, {SHOWN[format_]}, against dlt's Arrow path",
                value=ratio(ours, theirs),
                bar=bar,
                stretch=stretch,
                detail=result.why(f"{mode} {format_}", failed) or detail,
                short=short if format_ == "csv" else f"{short}_{format_}",
            )
        )
    return figures


def default(size: Size) -> Result:
    """Whole runs against the paths that people use by default."""
    result = Result()
    for format_ in size.formats:
        source = usage(size.default_rows, format_)
        append = Pipeline(id="appended", files=(source.path,), format=format_)
        for turn in range(size.repeats):
            if turn < size.default_repeats:
                result.peer(DLT_DEFAULT, source)
                for program in (SLING, INGESTR) if size.others else ():
                    if program is not INGESTR or format_ == "csv":
                        result.peer(program, source)
            with mesh("append", [append]) as up:
                result.ours(f"append {format_}", up, append, expected(source))
        result.figures.append(_default_figure(result, format_, source))
    if size.others:
        result.failures[f"{INGESTR.name}, ndjson and parquet"] = (
            "0.14.155 reads CSV alone from a disk; later versions carry no program but fetch one"
        )
    return result


def _default_figure(result: Result, format_: Format, source: Source) -> Figure:
    ours = [ran.seconds for ran in result.runs[f"append {format_}"]]
    theirs = [one.seconds for one in result.of(DLT_DEFAULT, source)]
    detail = f"ours {spread(ours, 's')}, dlt {spread(theirs, 's')}; {source.rows:,} rows"
    return Figure(
        what=f"whole run, `append`, {SHOWN[format_]}: how many times faster than dlt's default path",
        value=ratio(theirs, ours),
        bar=8,
        stretch=12,
        at_least=True,
        detail=result.why(f"append {format_}", f"{DLT_DEFAULT.name}, {format_}") or detail,
        short="vs_dlt_default" if format_ == "csv" else "",
    )


def memory(size: Size) -> Result:
    """What a worker alone needs for a small and for a large source."""
    result = Result()
    for format_ in FORMATS:
        peaks = [asyncio.run(_peak(format_, usage_of_bytes(n, format_))) for n in size.memory_bytes]
        small, large = (peak / MIB for peak in peaks)
        which = " and ".join(f"{n / 1e9:g} GB" for n in size.memory_bytes)
        what = f"of a worker, {SHOWN[format_]} of {which}, 64 MiB chunks, two at once"
        result.figures += [
            Figure(
                what=f"peak memory {what}",
                value=max(small, large),
                unit="MiB",
                bar=450,
                stretch=300,
                detail=f"{small:,.0f} and {large:,.0f} MiB",
            ),
            Figure(
                what=f"growth of the peak {what}",
                value=(large / small - 1) * 100,
                unit="%",
                bar=5,
                detail=f"from {small:,.0f} to {large:,.0f} MiB",
            ),
        ]
    return result


async def _peak(format_: Format, source: Source) -> int:
    say(f"memory {format_}: {source.rows:,} rows, {source.size_bytes / 1e9:.2f} GB")
    async with alone.worker(source, format_) as asked:
        plan = await asked.plan(CHUNK)
        landed = await asked.ingest_all(plan)
        if landed != source.rows:
            raise alone.ChunkFailed(f"{landed} rows landed of {source.rows}")
        peak, cpu = peak_bytes(asked.pid), cpu_seconds(asked.pid)
    say(f"memory {format_}: {peak / MIB:,.0f} MiB, {cpu:.1f} CPU s, {len(plan.chunks)} chunks")
    return peak


def planning(size: Size) -> Result:
    """Planning a large CSV against reading it, from the disk and from the page cache."""
    result = Result()
    source = usage_of_bytes(size.plan_bytes, "csv")
    for where, cached, short in (
        ("from disk", False, "plan_vs_cat"),
        ("from the page cache", True, "plan_vs_cat_cached"),
    ):
        ours, theirs, cpu = asyncio.run(_plans(source, size.repeats, cached=cached))
        result.figures.append(
            Figure(
                what=f"planning a CSV (found, hashed, cut) {where}, against reading it with `cat`",
                value=ratio(ours, theirs),
                bar=1.2,
                detail=f"ours {spread(ours, 's')}, of CPU {spread(cpu, 's')}; "
                f"cat {spread(theirs, 's')}; {source.size_bytes / 1e9:.2f} GB",
                short=short,
            )
        )
    return result


async def _plans(
    source: Source, repeats: int, *, cached: bool
) -> tuple[list[float], list[float], list[float]]:
    """Return seconds of plans and of `cat` in turns, and processor seconds of the plans."""
    ours, theirs, cpu = list[float](), list[float](), list[float]()
    prepare = _cat if cached else _forget
    async with alone.worker(source, "csv") as asked:
        for _ in range(repeats):
            prepare(source)
            theirs.append(_cat(source))
            prepare(source)
            began, used = time.monotonic(), cpu_seconds(asked.pid)
            await asked.plan(CHUNK)
            ours.append(time.monotonic() - began)
            cpu.append(cpu_seconds(asked.pid) - used)
            say(f"plan {ours[-1]:.2f} s, cat {theirs[-1]:.2f} s{', cached' if cached else ''}")
    return ours, theirs, cpu


def _forget(source: Source) -> None:
    """Have the kernel drop the file from its page cache."""
    with source.path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _cat(source: Source) -> float:
    began = time.monotonic()
    subprocess.run(["cat", str(source.path)], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def exact(size: Size) -> Result:
    """Money of up to 18 digits after the point: published and quarantined against the source."""
    result = Result()
    made = {f: money.charges(size.money_rows, f) for f in FORMATS}
    pipelines = {
        f: Pipeline(
            id=f"money_{f}",
            files=(path,),
            format=f,
            columns=money.COLUMNS,
            row_rules=False,
            quarantining=money.QUARANTINING,
            chunk_bytes="1MiB",
        )
        for f, (path, _) in made.items()
    }
    with mesh("money", list(pipelines.values())) as up:
        for format_, pipeline in pipelines.items():
            wanted, name = made[format_][1], f"money {format_}"
            result.ours(name, up, pipeline, wanted)
            equal = name not in result.failures
            result.figures.append(
                Figure(
                    what=f"money published + quarantined less source text, {SHOWN[format_]}, 18 digits",
                    value=0.0 if equal else None,
                    unit="",
                    bar=0,
                    detail=result.why(name) or _sums(result.runs[name][0], wanted),
                )
            )
    return result


def _sums(ran: Ran, wanted: Expected) -> str:
    read, landed, quarantined = ran.money["amount"]
    return (
        f"amount {read} = {landed} + {quarantined}; {wanted.rows:,} rows, "
        f"{wanted.quarantined:,} quarantined"
    )


def chunks(size: Size) -> Result:
    """Many tiny files, a chunk each: what a chunk costs beyond its bytes."""
    result = Result()
    files, wanted = tiny_files(size.chunks)
    pipeline = Pipeline(id="tiny", files=files, format="csv")
    for _ in range(size.chunk_repeats):
        with mesh("chunks", [pipeline]) as up:
            result.ours("chunks", up, pipeline, wanted)
    each = [ran.seconds / ran.chunks * 1000 for ran in result.runs["chunks"]]
    used = [ran.cpu_seconds / ran.chunks * 1000 for ran in result.runs["chunks"]]
    detail = f"{spread(each, 'ms')}; of CPU {spread(used, 'ms')}, all processes"
    result.figures.append(
        Figure(
            what=f"a chunk of {TINY_ROWS} rows, end to end, in a run of {size.chunks:,}",
            value=statistics.median(each) if each else None,
            unit="ms",
            bar=15,
            stretch=5,
            detail=result.why("chunks") or detail,
            short="chunk_ms",
        )
    )
    return result


def tiny_files(count: int) -> tuple[tuple[Path, ...], Expected]:
    """Write so many CSV files of TINY_ROWS rows each."""
    folder = FOLDER / "data" / f"tiny-{count}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frame, units = block(0, count * TINY_ROWS)
    files = []
    for number in range(count):
        files.append(folder / f"part-{number:05}.csv")
        frame.slice(number * TINY_ROWS, TINY_ROWS).write_csv(files[-1])
    sums = {name: Decimal(value).scaleb(-DIGITS) for name, value in units.items()}
    return tuple(files), Expected(rows=frame.height, sums=sums)


def cancelling(size: Size) -> Result:
    """Runs that are cancelled while workers read or plan: how long the workers go on."""
    result = Result()
    source = usage(size.run_rows, "csv")
    pipeline = Pipeline(id="cancelled", files=(source.path,), format="csv", chunk_bytes="16MiB")
    for what, stopped, share in (
        ("reads chunks", stopped_reading, 0.3),
        ("plans", stopped_planning, 0.06),
    ):
        step = share * source.rows / 1_000_000 / size.cancels
        seconds: list[float] = []
        with mesh("cancelling", [pipeline]) as up:
            for turn in range(size.cancels):
                seconds.append(stopped(up, pipeline, turn * step))
                say(f"cancelled while a worker {what}: {seconds[-1]:.2f} s")
        result.figures.append(
            Figure(
                what=f"CancelRun while a worker {what} → none works on the run, the slowest of {size.cancels}",
                value=max(seconds),
                unit="s",
                bar=2,
                detail=f"median {statistics.median(seconds):.2f} s; {source.rows:,} rows",
            )
        )
    return result


def floor(size: Size) -> Result:
    """What each step takes when only its library does it: below that no code of ours can come."""
    return Result(figures=floors.measured(usage(size.worker_rows, "csv"), size.repeats))


SECTIONS: Final[Mapping[str, Callable[[Size], Result]]] = {
    "worker": worker,
    "run": run,
    "default": default,
    "memory": memory,
    "planning": planning,
    "money": exact,
    "chunks": chunks,
    "cancelling": cancelling,
    "floors": floor,
}
QUICK_SECTIONS: Final = ("worker", "run", "default", "planning", "money", "chunks")
