"""Everything that the journal says: runs, request ids, published scopes and inputs. A fold, no I/O."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

from libs.common.names import PipelineName, RunName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run, apply
from services.orchestrator.runs.states import LIVE, RunState


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Who published a scope value last, and how new its look at the source was."""

    snapshot: int
    run: str


@dataclasses.dataclass(slots=True)
class Ledger:
    """The state of the world after all records applied, in order of position."""

    position: int = 0
    runs: dict[RunName, Run] = dataclasses.field(default_factory=dict)
    requests: dict[tuple[str, str], RunName] = dataclasses.field(default_factory=dict)
    """Runs by (tenant, request id)."""
    looks: dict[tuple[PipelineName, str], dict[tuple[str, ...], dict[tuple[str, ...], Look]]] = (
        dataclasses.field(default_factory=dict)
    )
    """Newest published look by (pipeline, table), columns of the scope and combination of their values."""
    inputs: dict[tuple[PipelineName, str], dict[str, str]] = dataclasses.field(default_factory=dict)
    """Content hash of published inputs by (pipeline, table) and input id."""
    untransformed: dict[tuple[PipelineName, str], dict[tuple[str, ...], int]] = dataclasses.field(
        default_factory=dict
    )
    """Values that were published but not transformed, by (pipeline, transform), and since when."""
    history: dict[RunName, list[r.Record]] = dataclasses.field(default_factory=dict)

    def add(self, record: r.Record) -> Run | None:
        """Apply one record; return the run that it is about, None for records about epochs."""
        assert record.position > self.position, "records come in order of position"
        run = None
        if record.run:
            name = RunName.parse(record.run)
            run = apply(self.runs.get(name), record)
            self.runs[name] = run
            self.history.setdefault(name, []).append(record)
            self._index(run, record)
        self.position = record.position
        return run

    def _index(self, run: Run, record: r.Record) -> None:
        detail = record.detail
        if isinstance(detail, r.RunCreated):
            self.requests[run.name.tenant, detail.request_id] = run.name
        elif isinstance(detail, r.RunPublished):
            self._publish(run, record.position)
        elif isinstance(detail, r.TransformCompleted):
            self._transformed(run, record.position, detail)

    def _transformed(self, run: Run, position: int, detail: r.TransformCompleted) -> None:
        """Forget the values that were transformed, but not what was published after the look."""
        jobs = [job for job in run.transform_jobs if job.transform_id == detail.transform_id]
        looked = jobs[-1].looked if jobs and jobs[-1].looked else position
        pending = self.untransformed.get((run.name.parent, detail.transform_id), {})
        for value in values(detail.scope):
            if pending.get(value, position) <= looked:
                pending.pop(value, None)

    def _publish(self, run: Run, position: int) -> None:
        assert run.publishing is not None
        assert run.snapshot is not None
        key = (run.name.parent, run.spec.target.table_id(run.name.tenant))
        look = Look(snapshot=run.snapshot, run=run.name.run)
        if replaced := run.publishing.scope:
            looks = self.looks.setdefault(key, {}).setdefault(columns_of(replaced), {})
            looks.update(dict.fromkeys(values(replaced), look))
        self.inputs.setdefault(key, {}).update(run.publishing.inputs)
        for transform in run.spec.transforms:
            pending = self.untransformed.setdefault((run.name.parent, transform.transform_id), {})
            pending.update(dict.fromkeys(published(run), position))

    def inputs_of(self, run: Run) -> dict[str, str]:
        """Return the content hash of all inputs that a run's pipeline has published to its table."""
        return self.inputs.get((run.name.parent, run.spec.target.table_id(run.name.tenant)), {})

    def publisher(self, run: Run, input_id: str) -> str:
        """Return the run of the same pipeline that published an input last; empty if none did."""
        found = [
            (other.position, str(other.name))
            for other in self.of(run.name.parent)
            if other.published and other.publishing and input_id in dict(other.publishing.inputs)
        ]
        return max(found, default=(0, ""))[1]

    def begun(self, run: Run) -> int:
        """Return the journal position at which a run was created."""
        return self.history[run.name][0].position

    def live(self, tenant: str) -> int:
        """Return how many runs of a tenant are live."""
        return sum(run.state in LIVE for run in self.runs.values() if run.name.tenant == tenant)

    def of(self, parent: PipelineName) -> Iterator[Run]:
        """Yield the runs of a pipeline, in no order."""
        return (run for run in self.runs.values() if run.name.parent == parent)

    def superseded(self, run: Run) -> str | None:
        """Return the run that made `run` old: newer looks at ALL its scope values are published."""
        if run.snapshot is None or run.spec.write.mode != "replace" or not run.scope:
            return None
        newest = [self._look(run, value) for value in values(run.scope)]
        if all(look is not None and look.snapshot > run.snapshot for look in newest):
            return next(look.run for look in newest if look is not None)
        return None

    def _look(self, run: Run, value: tuple[str, ...]) -> Look | None:
        """Return the newest published look at rows that a value of the run's scope owns.

        Looks through other columns count where one row may lie in both: a pipeline's scope may have
        been changed between two of its runs.
        """
        columns = columns_of(run.scope)
        key = (run.name.parent, run.spec.target.table_id(run.name.tenant))
        found: list[Look] = []
        for others, looks in self.looks.get(key, {}).items():
            if others == columns:
                found += [looks[value]] if value in looks else []
                continue
            mine = dict(zip(columns, value, strict=True))
            found += [
                look
                for other, look in looks.items()
                if all(mine.get(c, v) == v for c, v in zip(others, other, strict=True))
            ]
        return max(found, key=lambda look: look.snapshot, default=None)

    def newest(self, run: Run) -> tuple[r.Scope, r.Scope]:
        """Split the run's scope into the values of which it is the newest look, and the others."""
        assert run.snapshot is not None
        columns = columns_of(run.scope)
        mine: list[tuple[str, ...]] = []
        older: list[tuple[str, ...]] = []
        for value in values(run.scope):
            look = self._look(run, value)
            newer_is_there = look is not None and look.snapshot > run.snapshot
            (older if newer_is_there else mine).append(value)
        return scope(columns, mine), scope(columns, older)


def values(scope_: r.Scope) -> Iterator[tuple[str, ...]]:
    """Yield the combinations that a scope stands for, in order of its first column."""
    if scope_:
        yield from itertools.product(*(column_values for _, column_values in scope_))


def columns_of(scope_: r.Scope) -> tuple[str, ...]:
    """Return the columns of a scope, in its order."""
    return tuple(column for column, _ in scope_)


def published(run: Run) -> list[tuple[str, ...]]:
    """Return the values that a run makes visible: of its scope, of `append` the names of inputs."""
    assert run.publishing is not None
    if run.spec.write.mode == "append":
        return [(name,) for name, _ in run.publishing.inputs]
    return list(values(run.publishing.scope))


def scope(columns: Iterable[str], combinations: Iterable[tuple[str, ...]]) -> r.Scope:
    """Return the smallest scope that has all `combinations`; empty if there are none."""
    combined = list(combinations)
    if not combined:
        return ()
    return tuple(
        (column, tuple(dict.fromkeys(c[i] for c in combined))) for i, column in enumerate(columns)
    )


OPEN_STATES = LIVE | {RunState.HELD, RunState.FAILED}
"""Runs that the conductor has something to do for, be it to end one that nobody asks after."""
