"""For which windows pipelines have succeeded: a fold over the records, which outlives the runs."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from libs.common.names import PipelineName, RunName
from services.orchestrator.runs.records import (
    Record,
    RunCancelled,
    RunCreated,
    RunSucceeded,
    RunSuperseded,
)

KEPT: Final = 1_000
KEPT_FOR: Final = timedelta(days=800)
"""Longer than `catch_up` and `after_timeout` together: no run waits for a window so much older."""


@dataclasses.dataclass(slots=True)
class Successes:
    """Windows [start, end) of SUCCEEDED runs by pipeline, and of runs that may yet succeed.

    Of a pipeline all are known, but those beyond KEPT that end longer than KEPT_FOR before its newest.
    """

    windows: dict[PipelineName, dict[tuple[datetime, datetime], None]] = dataclasses.field(
        default_factory=dict
    )
    created: dict[str, tuple[datetime, datetime]] = dataclasses.field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Apply a record; those that begin or end no run with a window change nothing."""
        detail = record.detail
        if isinstance(detail, RunCreated) and detail.window_start and detail.window_end:
            self.created[record.run] = detail.window_start, detail.window_end
        elif isinstance(detail, RunCancelled | RunSuperseded):
            self.created.pop(record.run, None)
        elif isinstance(detail, RunSucceeded) and (window := self.created.pop(record.run, None)):
            self._succeed(RunName.parse(record.run).parent, window)

    def _succeed(self, pipeline: PipelineName, window: tuple[datetime, datetime]) -> None:
        windows = self.windows.setdefault(pipeline, {})
        windows[window] = None
        if len(windows) <= KEPT:
            return
        oldest = max(end for _, end in windows) - KEPT_FOR
        for old in [one for one in windows if one[1] < oldest]:
            del windows[old]

    def contain(self, pipeline: PipelineName, start: datetime, end: datetime) -> bool:
        """Return whether a run of a pipeline has succeeded whose window contains [start, end)."""
        return any(first <= start and end <= last for first, last in self.windows.get(pipeline, {}))

    def snapshot(self) -> Iterator[str]:
        """Yield the state as JSON texts, one a window."""
        for pipeline, windows in self.windows.items():
            for start, end in windows:
                yield json.dumps(["", str(pipeline), start.isoformat(), end.isoformat()])
        for run, (start, end) in self.created.items():
            yield json.dumps(["created", run, start.isoformat(), end.isoformat()])

    def restore(self, items: Iterable[str]) -> None:
        """Be what `snapshot` said."""
        self.windows, self.created = {}, {}
        for kind, name, start, end in map(json.loads, items):
            window = datetime.fromisoformat(start), datetime.fromisoformat(end)
            if kind:
                self.created[name] = window
            else:
                self.windows.setdefault(PipelineName.parse(name), {})[window] = None
