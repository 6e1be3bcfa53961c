"""Names the machine that figures come from."""

import os
import platform
from pathlib import Path


def described() -> str:
    """Return processor, cores, memory, kernel and Python in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model}, {gibibytes:.0f} GiB, "
        f"{platform.system()} {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, pages shared with others included."""
    return _kibibytes(Path(f"/proc/{pid}/status"), "VmRSS:") * 1024


def proportional_bytes(pid: int) -> int:
    """Return the resident memory of a process, pages shared with others in equal parts."""
    return _kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024


def _kibibytes(file: Path, name: str) -> int:
    found = (line.split() for line in file.read_text().splitlines())
    return next(int(words[1]) for words in found if words and words[0] == name)
