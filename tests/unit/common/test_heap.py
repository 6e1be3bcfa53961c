"""What the process of a worker has its allocators keep, asked of processes that begin as it does."""

import os
import subprocess
import sys

from libs.common.heap import ARENAS

LOADED = """
import sys
from services.ingest import __main__
print("pyarrow" in sys.modules, "polars" in sys.modules)
try:
    __main__.main()
except SystemExit:
    import pyarrow as pa
    print(pa.default_memory_pool().backend_name)
"""
"""A worker that is begun with a setting that it does not know, and ends for that."""

ALLOCATING = """
import ctypes, threading
from libs.common.heap import share
share()
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
def allocate():
    together.wait()
    c.malloc(1000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
c.malloc_info(0, ctypes.c_void_p.in_dll(c, "stdout"))
c.fflush(None)
"""
"""Eight threads that live at once; then what glibc says of its heaps."""


FAULTING = """
import resource
from libs.common.heap import share
share()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * (16 << 20)
before = faults()
for _ in range(10): b"x" * (16 << 20)
print(faults() - before)
"""
"""Sixteen megabytes, let go of and taken again ten times; then how often a page was not there."""


def said(program: str, **environment: str) -> str:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("ARROW_", "MALLOC_"))}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=own | environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_a_worker_loads_arrow_when_it_has_been_told_of_the_heap() -> None:
    assert said(LOADED, CONVERGENCE_INGEST_NO_SUCH="1").split() == ["False", "False", "system"]


def test_many_threads_share_few_heaps() -> None:
    assert said(ALLOCATING).count("<heap nr=") == ARENAS


def test_what_the_environment_says_of_the_heaps_is_kept() -> None:
    assert said(ALLOCATING, MALLOC_ARENA_MAX="4").count("<heap nr=") == 4


def test_what_the_environment_says_of_a_library_is_kept() -> None:
    pool = said(LOADED, CONVERGENCE_INGEST_NO_SUCH="1", ARROW_DEFAULT_MEMORY_POOL="mimalloc")
    assert pool.split()[-1] == "mimalloc"


def test_memory_that_a_batch_lets_go_of_is_there_for_the_next() -> None:
    assert int(said(FAULTING)) < 16 << 20 >> 12
    assert int(said(FAULTING, MALLOC_TRIM_THRESHOLD_="131072")) > 16 << 20 >> 12
