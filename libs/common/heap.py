"""How allocators keep memory. Imports nothing that allocates: libraries look once, when loaded.

Buffers of rows are megabytes large, made by one thread and let go of by another. Allocators that
keep such memory apart for each thread and library hold far more than what lives at once; those that
give it back at once get it again for the next batch, page by page, which costs more than to fill it.
"""

import ctypes
import os
from collections.abc import Mapping, MutableMapping
from typing import Final

MIB: Final = 1024 * 1024

ARENAS: Final = 2
"""Heaps of the C library: of one, threads would wait for each other; eight a processor is its own way."""

KEPT_BYTES: Final = 64 * MIB
"""Free memory at the end of a heap that is not given back: what a batch and its requests let go of."""

LARGEST_BYTES: Final = 32 * MIB
"""Of an allocation that a heap holds; a larger one is given back as soon as it is free."""

HEAPS: Final = {
    "MALLOC_ARENA_MAX": (-8, ARENAS),
    "MALLOC_TRIM_THRESHOLD_": (-1, KEPT_BYTES),
    "MALLOC_MMAP_THRESHOLD_": (-3, LARGEST_BYTES),
}
"""Parameters of glibc's mallopt and their values, by the variables that say otherwise."""

LIBRARIES: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What libraries are told by the environment: Arrow shares the heaps of the C library."""


def share(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let all threads and libraries take memory from few heaps, as `few` does.

    For the start of a process, before it loads Arrow and has other threads.
    """
    for name, value in LIBRARIES.items():
        environment.setdefault(name, value)
    few(environment)


def few(environment: Mapping[str, str] = os.environ) -> None:
    """Let all threads take memory from few heaps, where the environment does not say otherwise.

    A C library that has no such parameters is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for variable, (parameter, amount) in HEAPS.items():
        if variable not in environment:
            mallopt(parameter, amount)
