"""What a process may have, by what the kernel says."""

import os
from pathlib import Path

import pytest

from libs.common.memory import Memory

MIB = 1024 * 1024
MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def kernel(root: Path, **files: str) -> Memory:
    """Return the memory of a kernel whose files these are; `__` stands for `/`."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("memory_", "memory.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Memory(root)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param(
            {"proc__self__cgroup": "0::/\n", "sys__fs__cgroup__memory_max": "536870912\n"},
            512 * MIB,
            id="version_2",
        ),
        pytest.param(
            {
                "proc__self__cgroup": "0::/pods/worker\n",
                "sys__fs__cgroup__pods__worker__memory_max": "max\n",
                "sys__fs__cgroup__pods__memory_max": "268435456\n",
            },
            256 * MIB,
            id="the_least_around_a_process",
        ),
        pytest.param(
            {
                "proc__self__cgroup": "9:cpuset:/\n4:cpu,memory:/docker/x\n",
                "sys__fs__cgroup__memory__docker__x__memory_limit_in_bytes": "134217728\n",
                "sys__fs__cgroup__memory__memory_limit_in_bytes": "9223372036854771712\n",
            },
            128 * MIB,
            id="version_1",
        ),
    ],
)
def test_a_container_has_its_limit(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    assert kernel(tmp_path, **files).limit_bytes() == limit


def test_without_a_limit_the_machine_is_one(tmp_path: Path) -> None:
    assert kernel(tmp_path).limit_bytes() == MACHINE
    memory = kernel(tmp_path, proc__self__cgroup="0::/\n", sys__fs__cgroup__memory_max="max\n")
    assert memory.limit_bytes() == MACHINE


def test_what_is_resident_is_what_the_kernel_says(tmp_path: Path) -> None:
    memory = kernel(tmp_path, proc__self__status="VmHWM:\t900 kB\nVmRSS:\t  800 kB\n")
    assert memory.used_bytes() == 800 * 1024
    assert 10 * MIB < Memory().used_bytes() < MACHINE
