"""Names the machine that figures come from, and reads what its kernel counts of a process."""

import os
import platform
from pathlib import Path
from typing import Final

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


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


def peak_bytes(pid: int) -> int:
    """Return the most resident memory that a process has had since it became this program."""
    return _kibibytes(Path(f"/proc/{pid}/status"), "VmHWM:") * 1024


def proportional_bytes(pid: int) -> int:
    """Return the resident memory of a process, pages shared with others in equal parts."""
    return _kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far, in user and kernel mode, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def descendants(pid: int) -> list[int]:
    """Return a process and all below it that run now."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def _kibibytes(file: Path, name: str) -> int:
    found = (line.split() for line in file.read_text().splitlines())
    return next(int(words[1]) for words in found if words and words[0] == name)
