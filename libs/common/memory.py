"""How much memory a process may have, and what it has."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """What a process may have, and what it has; `root` is where the kernel's files are."""

    root: Path = Path("/")

    def limit_bytes(self) -> int:
        """Return the least of the limits of the process's control groups, and of the machine."""
        return min([*self._limits(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")])

    def _limits(self) -> Iterator[int]:
        """Yield limits of control groups of version 2 and 1, those around them included."""
        for line in self._lines("proc/self/cgroup"):
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            home = "sys/fs/cgroup/memory" if controllers else "sys/fs/cgroup"
            parts = [part for part in path.split("/") if part]
            for count in range(len(parts), -1, -1):
                for limit in self._lines("/".join([home, *parts[:count], name])):
                    if limit.isdigit():
                        yield int(limit)

    def used_bytes(self) -> int:
        """Return what is resident now; 0 where the kernel does not say."""
        for line in self._lines("proc/self/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def _lines(self, path: str) -> list[str]:
        try:
            return (self.root / path).read_text().splitlines()
        except OSError:
            return []
