"""How a worker's allocators keep memory. Imports nothing that allocates: libraries look once, when loaded.

Buffers of a chunk are megabytes large, made by one thread and let go of by another. Allocators that
keep such memory apart for each thread and library hold far more than what lives at once.
"""

import ctypes
import os
from collections.abc import MutableMapping
from typing import Final

_M_ARENA_MAX: Final = -8
"""A parameter of glibc's mallopt."""

ARENAS: Final = 2
"""Heaps of the C library: of one, threads would wait for each other; eight a processor is its own way."""

LIBRARIES: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What libraries are told by the environment: Arrow shares the heaps of the C library."""


def share(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let all threads take memory from few heaps, where the environment does not say otherwise.

    For the start of a process, before it loads Arrow and has other threads. A C library that has no
    such parameter is left as it is.
    """
    for name, value in LIBRARIES.items():
        environment.setdefault(name, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in environment:
        mallopt(_M_ARENA_MAX, ARENAS)
