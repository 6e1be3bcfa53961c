"""Which process a pid means: a pid alone may have been given to another since."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, and when it began in its system's own words."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; return False if the process is gone."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def identity(pid: int) -> Identity | None:
    """Return the identity of a process that runs, None if there is none."""
    began = started(pid)
    return Identity(pid=pid, started=began) if began else None


def started(pid: int) -> str:
    """Return when the process began, empty if there is none (or only its exit status is left)."""
    if not sys.platform.startswith("linux"):
        return _ps(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else f"{boot}:{fields[19]}"


def _ps(pid: int) -> str:
    asked = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip()
