"""The embedded BigQuery, whose appends and commits can be stopped half-way; see `pausing.py`.

Runs in the engine's environment: `python -m tests.support.pausing_engine PAUSES [engine's options]`.
A write to table `t` has stored its rows and not committed them when it finds `PAUSES/t`; it says
`PAUSES/t.reached` and goes on once `PAUSES/t` is gone.
"""

import runpy
import sys
import threading
from pathlib import Path

from bqemulator.domain.events import DomainEvent, EventBus, TableDataChanged

POLL_SECONDS = 0.005


def stop_where_told(pauses: Path) -> None:
    """Let the event that a write publishes before its commit wait."""
    publish = EventBus.publish
    idle = threading.Event()

    def held(self: EventBus, event: DomainEvent) -> None:
        if isinstance(event, TableDataChanged) and (pause := pauses / event.table_id).exists():
            pause.with_suffix(".reached").touch()
            while pause.exists():
                idle.wait(POLL_SECONDS)
        publish(self, event)

    EventBus.publish = held


if __name__ == "__main__":
    stop_where_told(Path(sys.argv.pop(1)))
    runpy.run_module("libs.local.engine", run_name="__main__", alter_sys=True)
