"""Samples the process that it is started in, if BENCH_SAMPLES names a folder.

Every 5 ms the processor time that each Python thread has used since the last look goes to the stack that
it is in now: to the innermost frame, and to the innermost frame of our own code. `{pid}.json` in the
folder has the sums so far, in seconds. Threads that are not Python's (Polars, gRPC, DuckDB) are not seen.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

PERIOD = 0.005
WRITTEN_EVERY = 50


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{frame.f_lineno} {code.co_qualname}"


def _ours(frame: FrameType | None) -> str:
    while frame is not None:
        name = frame.f_code.co_filename
        if ("/services/" in name or "/libs/" in name) and "site-packages" not in name:
            return _name(frame)
        frame = frame.f_back
    return "no frame of ours"


def _sample(folder: Path) -> None:
    used: dict[int, float] = {}
    last: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    file = folder / f"{os.getpid()}.json"
    draft = file.with_suffix(".new")
    for number in range(sys.maxsize):
        for thread, frame in sys._current_frames().items():
            if thread == threading.get_ident():
                continue
            try:
                now = time.clock_gettime(time.pthread_getcpuclockid(thread))
            except OSError:
                continue
            spent = now - used.get(thread, now if number == 0 else 0.0)
            used[thread] = now
            if spent > 0:
                last[_name(frame)] += spent
                ours[_ours(frame)] += spent
        if number % WRITTEN_EVERY == 0:
            draft.write_text(json.dumps({"innermost": last, "ours": ours}))
            draft.replace(file)
        time.sleep(PERIOD)


if folder := os.environ.get("BENCH_SAMPLES"):
    threading.Thread(target=_sample, args=[Path(folder)], daemon=True).start()
