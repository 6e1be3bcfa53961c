"""What cannot be saved: each step that a run needs, done by nothing but the library that does it.

`python -m bench.floors STEP FILE` does one of them in a process of its own and prints its processor
seconds and its bytes; `append` needs the address of a server, which `serve` is.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import blake3
import grpc
import pyarrow.parquet as pq

from bench.data import Source
from bench.engine import FLOOR
from bench.engine_rows import store
from bench.figures import Figure
from bench.machine import cpu_seconds
from libs.local.mesh.plans import ROOT

BLOCK: Final = 4 * 2**20
REQUEST_ROWS: Final = 10_000
WHOLE: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
METHOD: Final = "/floor/Append"
ENGINE: Final = str(ROOT / ".venvs" / "engine" / "bin" / "python")


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            yield block


def read(file: Path) -> int:
    """Read a file from the page cache and do nothing with it."""
    return sum(len(block) for block in _blocks(file))


def hashed(file: Path) -> int:
    """Read it and hash it with BLAKE3."""
    found, size = blake3.blake3(), 0
    for block in _blocks(file):
        found.update(block)
        size += len(block)
    return size


def counted(file: Path) -> int:
    """Read it and count its quotes and line feeds, as an exact cut needs."""
    size = 0
    for block in _blocks(file):
        block.count(b'"')
        block.count(b"\n")
        size += len(block)
    return size


def _requests(file: Path) -> list[bytes]:
    """Return the rows of a Parquet file as Arrow, in messages of some MiB."""
    batches = pq.ParquetFile(file).iter_batches(REQUEST_ROWS)
    return [batch.serialize().to_pybytes() for batch in batches]


def append(file: Path, address: str) -> tuple[float, int]:
    """Send rows, serialized before, over one gRPC stream; return processor seconds and bytes."""
    requests = _requests(file)
    with grpc.insecure_channel(address, options=WHOLE) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(METHOD)
        list(call(iter(requests[:1])))
        began = time.process_time()
        answered = sum(1 for _ in call(iter(requests)))
        used = time.process_time() - began
    assert answered == len(requests)
    return used, sum(map(len, requests))


def serve() -> None:
    """Serve until stdin ends; print the address, and at the end the processor seconds used."""
    server = grpc.server(ThreadPoolExecutor(2), options=WHOLE)
    answer: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
        lambda said, _: (b"" for _ in said)
    )
    handler = grpc.method_handlers_generic_handler("floor", {"Append": answer})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(None).wait()


STEPS: Final[dict[str, Callable[[Path], int]]] = {"read": read, "hash": hashed, "count": counted}


def measured(source: Source, repeats: int) -> list[Figure]:
    """Return the floors of a CSV's rows, in processor time a row: medians."""
    figures = [
        _figure(
            f"planning: {what}",
            statistics.median(_step(name, str(source.path))[0] for _ in range(repeats)),
            source.rows,
            source.size_bytes,
        )
        for name, what in (
            ("read", "read the file"),
            ("hash", "read and hash it (BLAKE3)"),
            ("count", "read it and count quotes and line feeds"),
        )
    ]
    with tempfile.TemporaryDirectory(prefix="bench-floors-") as directory:
        file = Path(directory) / "rows.parquet"
        store(file, source.rows)
        turns = [_appended(file) for _ in range(repeats)]
        sent, received = (statistics.median(turn[i] for turn in turns) for i in (0, 1))
        size = turns[0][2]
        figures += [
            _figure("workers: send rows as Arrow over gRPC", sent, source.rows, size),
            _figure("engine: receive them", received, source.rows, size),
        ]
        stored = statistics.median(_stored(file) for _ in range(repeats))
        figures.append(
            _figure("engine: let DuckDB store them from Parquet", stored, source.rows, size)
        )
    return figures


def _stored(file: Path) -> float:
    """Return the processor seconds of DuckDB alone."""
    target = file.with_suffix(".duckdb")
    target.unlink(missing_ok=True)
    command = [ENGINE, "-c", FLOOR, str(file), str(target)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(said.split()[-2])


def _figure(what: str, seconds: float, rows: int, size: int) -> Figure:
    return Figure(
        what=what,
        value=seconds / rows * 1e6,
        unit="µs",
        detail=f"{seconds:.2f} CPU s; {rows:,} rows, {size / 1e6:,.0f} MB, "
        f"{seconds / size * 1e9:.2f} CPU s a GB",
    )


def _step(*given: str) -> tuple[float, int]:
    command = [sys.executable, "-m", "bench.floors", *given]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    seconds, size = json.loads(said)
    return float(seconds), int(size)


def _appended(file: Path) -> tuple[float, float, int]:
    """Return the sender's and the receiver's processor seconds, and the bytes sent."""
    command = [sys.executable, "-m", "bench.floors", "serve", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        before = cpu_seconds(server.pid)
        sent, size = _step("append", str(file), address)
        received = cpu_seconds(server.pid) - before
        assert server.stdin is not None
        server.stdin.close()
    return sent, received, size


def main() -> int:
    """Do one step and print what it took."""
    name, file = sys.argv[1], Path(sys.argv[2])
    if name == "serve":
        serve()
        return 0
    if name == "append":
        print(json.dumps(append(file, sys.argv[3])))
        return 0
    began = time.process_time()
    size = STEPS[name](file)
    print(json.dumps([time.process_time() - began, size]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
