"""Runs one program as a process of its own: how long, how much processor time, how much memory."""

import dataclasses
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.machine import descendants, peak_bytes

POLL_SECONDS: Final = 0.1
FAMILY_EVERY: Final = 3
"""Looks at memory between two searches for processes below; both cost what is measured some time."""

SAID_CHARACTERS: Final = 300


class ProgramFailed(Exception):
    """A program did not do its work; the text ends with what it said last."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A whole process, its interpreter's start included, and the processes that it started."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def run(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], timeout: float
) -> Measured:
    """Run `command` to its end, its errors going to `log`.

    Raises:
        ProgramFailed: It ended with another status than 0, or had to be ended after `timeout` seconds.
    """
    with log.open("wb") as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            start_new_session=True,
        )
        memory = _Memory(process.pid)
        late = threading.Timer(timeout, _end, [process.pid])
        late.start()
        assert process.stdout is not None, "it is piped"
        output = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        timed_out = not late.is_alive()
        late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    if process.returncode:
        said = (log.read_text(errors="replace").strip() or output.strip())[-SAID_CHARACTERS:]
        why = f"was ended after {timeout:.0f} s" if timed_out else f"exit {process.returncode}"
        raise ProgramFailed(f"{Path(command[1]).name}: {why}: {' '.join(said.split())}")
    return Measured(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=memory.peak(),
        output=output,
    )


class _Memory(threading.Thread):
    """Watches the peak of a process and of those below it; they are added up."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._peaks: dict[int, int] = {}
        self.start()

    def run(self) -> None:
        family = [self._pid]
        for number in itertools.count():
            if not Path(f"/proc/{self._pid}").exists():
                return
            if number % FAMILY_EVERY == 0:
                family = descendants(self._pid)
            for pid in family:
                try:
                    self._peaks[pid] = peak_bytes(pid)
                except (OSError, StopIteration):
                    continue
            time.sleep(POLL_SECONDS)

    def peak(self) -> int:
        self.join()
        return sum(self._peaks.values())


def _end(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)
