"""Everything that the journal says: runs, request ids, published scopes and inputs. A fold, no I/O."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from libs.common.names import BackfillName, PipelineName, RunName
from services.orchestrator.backfills.backfill import Backfills
from services.orchestrator.runs import records as r
from services.orchestrator.runs.folds import Fold
from services.orchestrator.runs.run import Run, apply
from services.orchestrator.runs.states import BEGUN, LIVE, RunState
from services.orchestrator.runs.successes import Successes
from services.orchestrator.schedules.schedules import Schedules


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Who published a scope value last, and how new its look at the source was."""

    snapshot: int
    run: str


Fixed = tuple[tuple[str, str], ...]
"""The columns of a scope that have one value in every run, with it."""


Key = tuple[PipelineName, str]
"""A pipeline and a table that it publishes to: what is published is known, or forgotten, by it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Who published a delivery last, and the objects whose rows stand under it since."""

    look: Look
    objects: tuple[str, ...]
    adds: bool = False
    """Whether the objects stand beside those of looks that the ledger has forgotten."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """What a run may publish.

    mine: Values to replace, objects included that no manifest names any more.
    older: Values of the run at which newer looks are published.
    deliveries: Deliveries that are replaced as a whole, also those without any object.
    """

    mine: r.Scope
    older: r.Scope
    deliveries: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True)
class Ledger:
    """The state of the world after all records applied, in order of position."""

    position: int = 0
    runs: dict[RunName, Run] = dataclasses.field(default_factory=dict)
    requests: dict[tuple[str, str], RunName] = dataclasses.field(default_factory=dict)
    """Runs by (tenant, request id)."""
    looks: dict[Key, dict[tuple[str, ...], dict[tuple[str, ...], Look]]] = dataclasses.field(
        default_factory=dict
    )
    """Newest published look by (pipeline, table), columns of the scope and combination of their values."""
    inputs: dict[Key, dict[str, str]] = dataclasses.field(default_factory=dict)
    """Content hash of published inputs by (pipeline, table) and input id."""
    publishers: dict[Key, dict[str, str]] = dataclasses.field(default_factory=dict)
    """Id of the run that published an input last, as above."""
    delivered: dict[Key, dict[str, dict[Fixed, Delivered]]] = dataclasses.field(
        default_factory=dict
    )
    """Published deliveries by (pipeline, table), delivery and the scope's fixed values."""
    untransformed: dict[tuple[PipelineName, str], dict[tuple[str, ...], int]] = dataclasses.field(
        default_factory=dict
    )
    """Values that were published but not transformed, by (pipeline, transform), and since when."""
    history: dict[RunName, list[r.Record]] = dataclasses.field(default_factory=dict)
    successes: Successes = dataclasses.field(default_factory=Successes)
    schedules: Schedules = dataclasses.field(default_factory=Schedules)
    shares: dict[str, r.Share] = dataclasses.field(default_factory=dict)
    """What tenants may have of what all share, as the newest record that says it."""
    backfills: Backfills = dataclasses.field(default_factory=Backfills)
    live_runs: dict[str, dict[RunName, None]] = dataclasses.field(default_factory=dict)
    """Runs that move by themselves, by tenant, in the order in which they began to."""
    read_bytes: dict[str, tuple[date, int]] = dataclasses.field(default_factory=dict)
    """By tenant the last day (UTC) on which a chunk of it was completed, and the bytes read on it."""
    _begun: defaultdict[str, set[RunName]] = dataclasses.field(
        default_factory=lambda: defaultdict(set)
    )
    """Runs in the states BEGUN, by tenant."""
    _pending: defaultdict[str, set[RunName]] = dataclasses.field(
        default_factory=lambda: defaultdict(set)
    )
    """PENDING runs by tenant."""
    _of_pipeline: dict[PipelineName, dict[RunName, None]] = dataclasses.field(default_factory=dict)
    """Runs by pipeline: whoever publishes or watches looks at those of its own, and at nobody else's."""
    published_at: dict[RunName, int] = dataclasses.field(default_factory=dict)
    """Position of the record that a run was published by."""
    versions: dict[int, int] = dataclasses.field(default_factory=dict)
    """Version of the records by the first epoch that wrote it."""
    since: datetime | None = None
    """When the last checkpoint was complete; before there is one, time of the first record."""
    mark: int = 0
    """Position that the last checkpoint speaks of."""
    folds: dict[str, Fold] = dataclasses.field(default_factory=dict)
    """Other state that follows from the same records, by name; checkpoints have it too."""
    recalled: set[Key] | None = None
    """Where something was forgotten: of which keys all is known again. None: nothing was."""
    forgotten: int = 0
    """Runs that have left were created up to this position."""
    forgotten_count: int = 0
    """How many runs have left since the start."""

    def __post_init__(self) -> None:
        own: dict[str, Fold] = {
            "backfills": self.backfills,
            "schedules": self.schedules,
            "successes": self.successes,
        }
        self.folds = {**own, **self.folds}

    def add(self, record: r.Record) -> Run | None:
        """Apply one record; return the run that it is about, None if it is about none."""
        assert record.position > self.position, "records come in order of position"
        run = None
        if record.run:
            name = RunName.parse(record.run)
            run = apply(self.runs.get(name), record)
            if name not in self.runs:
                self._of_pipeline.setdefault(name.parent, {})[name] = None
            self.runs[name] = run
            self.history.setdefault(name, []).append(record)
            self._index(run, record)
        for fold in self.folds.values():
            fold.add(record)
        self._keep(record)
        self.position = record.position
        return run

    def drop(self, run: Run) -> None:
        """Let go of a run, and keep what it has published."""
        del self.runs[run.name], self.history[run.name]
        left = self._of_pipeline[run.name.parent]
        del left[run.name]
        if not left:
            del self._of_pipeline[run.name.parent]
        self.published_at.pop(run.name, None)
        self.requests.pop((run.name.tenant, run.created.request_id), None)

    def _keep(self, record: r.Record) -> None:
        detail = record.detail
        self.since = self.since or record.time
        if isinstance(detail, r.TenantLimited):
            self.shares[detail.tenant] = detail.share
        if isinstance(detail, r.BackfillCreated) and detail.share:
            self.shares[BackfillName.parse(detail.backfill).tenant] = detail.share
        if isinstance(detail, r.CheckpointCompleted):
            self.since, self.mark = record.time, detail.mark
        if isinstance(detail, r.EpochOpened) and self.version != detail.version:
            self.versions[record.epoch] = detail.version

    @property
    def version(self) -> int:
        """Version of the records that the newest epoch wrote; 0 before there is one."""
        return next(reversed(self.versions.values()), 0)

    def knows(self, key: Key) -> bool:
        """Return whether all that a pipeline published to a table is in the ledger."""
        return self.recalled is None or key in self.recalled

    def _place(self, run: Run) -> None:
        """Keep a run among those of its tenant that are as it is now."""
        live = self.live_runs.setdefault(run.name.tenant, {})
        if run.state not in LIVE:
            live.pop(run.name, None)
        else:
            live.setdefault(run.name)
        for states, runs in ((BEGUN, self._begun), ({RunState.PENDING}, self._pending)):
            change = set.add if run.state in states else set.discard
            change(runs[run.name.tenant], run.name)

    def _index(self, run: Run, record: r.Record) -> None:
        detail = record.detail
        self._place(run)
        if isinstance(detail, r.RunCreated | r.RunRetried | r.RunPlanned) and detail.share:
            self.shares[run.name.tenant] = detail.share
        if isinstance(detail, r.RunCreated):
            self.requests[run.name.tenant, detail.request_id] = run.name
        elif isinstance(detail, r.ChunkCompleted):
            self._count(run.name.tenant, record.time.astimezone(UTC).date(), detail.landed)
        elif isinstance(detail, r.RunPublished):
            self._publish(run, record.position)
        elif isinstance(detail, r.TransformCompleted):
            self._transformed(run, record.position, detail)

    def _count(self, tenant: str, day: date, landed: r.Landed) -> None:
        last, read = self.read_bytes.get(tenant, (day, 0))
        before = read if last == day else 0
        self.read_bytes[tenant] = day, before + landed.read_bytes

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
        key = key_of(run)
        look = Look(snapshot=run.snapshot, run=run.name.run)
        if replaced := run.publishing.scope:
            looks = self.looks.setdefault(key, {}).setdefault(columns_of(replaced), {})
            looks.update(dict.fromkeys(values(replaced), look))
        self.published_at[run.name] = position
        self.inputs.setdefault(key, {}).update(run.publishing.inputs)
        names = (name for name, _ in run.publishing.inputs)
        self.publishers.setdefault(key, {}).update(dict.fromkeys(names, run.name.run))
        self._deliver(run, look)
        for transform in run.spec.transforms:
            pending = self.untransformed.setdefault((run.name.parent, transform.transform_id), {})
            pending.update(dict.fromkeys(published(run), position))

    def _deliver(self, run: Run, look: Look) -> None:
        """Keep what stands under each delivery now.

        A run that replaces deliveries as a whole leaves nothing beside its objects. Others (`append`,
        `merge`, journals of earlier versions) add theirs.
        """
        assert run.plan is not None
        assert run.publishing is not None
        key, fixed = key_of(run), run.spec.write.fixed
        read = _read(run)
        whole = bool(run.deliveries)
        for delivery in delivered_by(run):
            entries = self.delivered.setdefault(key, {}).setdefault(delivery, {})
            new = Delivered(look=look, objects=read.get(delivery, ()), adds=not whole)
            before = entries.get(fixed)
            entries[fixed] = new if whole or before is None else beside(before, new)

    def standing(self, parent: PipelineName, table: str, delivery: str) -> tuple[str, ...]:
        """Return the objects that a pipeline has published under a delivery, as far as they stand."""
        entries = self.delivered.get((parent, table), {}).get(delivery, {})
        return tuple(dict.fromkeys(name for entry in entries.values() for name in entry.objects))

    def groups(self, run: Run) -> list[tuple[str, tuple[str, ...]]]:
        """Return pairs (delivery, objects) that a run replaces, each as a whole.

        Objects are those that it reads, then those that stand under the delivery by now. An object
        without a delivery is alone, under an empty name.
        """
        assert run.plan is not None
        read = _read(run)
        named = {name for objects in read.values() for name in objects}
        alone = dict.fromkeys(c.input_id for c in run.plan.chunks if not c.delivery)
        return [
            *(("", (name,)) for name in alone),
            *(
                (
                    delivery,
                    (
                        *read.get(delivery, ()),
                        *(x for x in self.standing(*key_of(run), delivery) if x not in named),
                    ),
                )
                for delivery in run.deliveries
            ),
        ]

    def inputs_of(self, run: Run) -> dict[str, str]:
        """Return the content hash of all inputs that a run's pipeline has published to its table."""
        return self.inputs.get(key_of(run), {})

    def publisher(self, run: Run, input_id: str) -> str:
        """Return the run of the same pipeline that published an input last; empty if none did."""
        found = self.publishers.get(key_of(run), {}).get(input_id)
        return str(run.name.parent.run(found)) if found else ""

    def begun(self, run: Run) -> int:
        """Return the journal position at which a run was created."""
        return self.history[run.name][0].position

    def share(self, tenant: str) -> r.Share:
        """Return what a tenant may have of what all share."""
        return self.shares.get(tenant, r.Share())

    def live(self, tenant: str, *, of_backfills: bool = False) -> int:
        """Return how many runs of a tenant are live: those that backfills drive, or all others.

        A run of a backfill that somebody has retried is one of the others.
        """
        return sum(
            self.runs[name].of_backfill == of_backfills for name in self.live_runs.get(tenant, {})
        )

    def live_beside(self, parent: PipelineName) -> list[Run]:
        """Return the live runs of a pipeline that are of no backfill."""
        live = self.live_runs.get(parent.tenant, {})
        named = [self.runs[name] for name in live if name.parent == parent]
        return [run for run in named if run.created.of_backfill is None]

    def begun_runs(self, tenant: str, *, of_backfills: bool) -> set[RunName]:
        """Return a tenant's runs in the states BEGUN, which count for caps: of backfills, or all others."""
        return {name for name in self._begun[tenant] if self.runs[name].of_backfill == of_backfills}

    def pending_count(self, tenant: str) -> int:
        """Return how many runs of a tenant wait to begin, those of backfills aside."""
        return sum(not self.runs[name].of_backfill for name in self._pending[tenant])

    def read_bytes_on(self, tenant: str, day: date) -> int:
        """Return how many bytes of sources a tenant's completed chunks have read on a day (UTC)."""
        last, read = self.read_bytes.get(tenant, (day, 0))
        return read if last == day else 0

    def of(self, parent: PipelineName) -> Iterator[Run]:
        """Yield the runs of a pipeline, in no order."""
        return (self.runs[name] for name in self._of_pipeline.get(parent, {}))

    def of_tenant(self, tenant: str) -> Iterator[Run]:
        """Yield the runs of a tenant, in no order."""
        own = (parent for parent in self._of_pipeline if parent.tenant == tenant)
        return (run for parent in own for run in self.of(parent))

    def streams_since(self, moment: datetime) -> list[datetime]:
        """Return when the journal noted streams of chunks since a moment, oldest first, one each."""
        records = (
            record
            for name, run in self.runs.items()
            if run.update_time >= moment
            for record in self.history[name]
            if record.time >= moment
        )
        found = [
            (record.time, record.detail.landed)
            for record in records
            if isinstance(record.detail, r.ChunkCompleted)
        ]
        return sorted(
            time for time, landed in found for _ in range(1 + bool(landed.quarantine_stream))
        )

    def superseded(self, run: Run) -> str | None:
        """Return the run that made `run` old: newer looks at ALL its scope values are published."""
        if run.snapshot is None or run.spec.write.mode != "replace":
            return None
        newest = [self._look(run, value) for value in values(run.scope)]
        if run.deliveries:
            newest = [self._group_look(run, *group) for group in self.groups(run)]
        if newest and all(look is not None and look.snapshot > run.snapshot for look in newest):
            return next(look.run for look in newest if look is not None)
        return None

    def _look(self, run: Run, value: tuple[str, ...]) -> Look | None:
        """Return the newest published look at rows that a value of the run's scope owns.

        Looks through other columns count where one row may lie in both: a pipeline's scope may have
        been changed between two of its runs.
        """
        columns = run.spec.scope_columns
        key = key_of(run)
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

    def _group_look(self, run: Run, delivery: str, objects: Iterable[str]) -> Look | None:
        """Return the newest published look at a delivery, or at rows of one of its objects."""
        found = [self._look(run, value) for value in values(run.spec.scope_over(tuple(objects)))]
        entries = self.delivered.get(key_of(run), {}).get(delivery, {})
        if entry := entries.get(run.spec.write.fixed):
            found.append(entry.look)
        looks = [look for look in found if look is not None]
        return max(looks, key=lambda look: look.snapshot, default=None)

    def _newest_of_deliveries(self, run: Run) -> Newest:
        assert run.snapshot is not None
        mine: list[str] = []
        older: list[str] = []
        deliveries: list[str] = []
        read = {name for objects in _read(run).values() for name in objects}
        for delivery, objects in self.groups(run):
            look = self._group_look(run, delivery, objects)
            if look is not None and look.snapshot > run.snapshot:
                older += [name for name in objects if not delivery or name in read]
                continue
            mine += objects
            deliveries += [delivery] if delivery else []
        return Newest(
            mine=run.spec.scope_over(tuple(dict.fromkeys(mine))),
            older=run.spec.scope_over(tuple(dict.fromkeys(older))),
            deliveries=tuple(deliveries),
        )

    def newest(self, run: Run) -> Newest:
        """Split the run's scope into the values of which it is the newest look, and the others.

        A delivery is on one side as a whole; what was published under it since the run was planned
        belongs to it.
        """
        assert run.snapshot is not None
        if run.deliveries:
            return self._newest_of_deliveries(run)
        columns = columns_of(run.scope)
        mine: list[tuple[str, ...]] = []
        older: list[tuple[str, ...]] = []
        for value in values(run.scope):
            look = self._look(run, value)
            newer_is_there = look is not None and look.snapshot > run.snapshot
            (older if newer_is_there else mine).append(value)
        return Newest(mine=scope(columns, mine), older=scope(columns, older))


def key_of(run: Run) -> Key:
    """Return the pipeline and the table that a run publishes to."""
    return run.name.parent, run.spec.target.table_id(run.name.tenant)


def delivered_by(run: Run) -> tuple[str, ...]:
    """Return the deliveries that a published run replaced, or added to."""
    assert run.publishing is not None
    return run.publishing.deliveries if run.deliveries else tuple(_read(run))


def beside(before: Delivered, new: Delivered) -> Delivered:
    """Return what stands under a delivery when the objects of a later look stand beside others."""
    newest = max(before.look, new.look, key=lambda look: look.snapshot)
    objects = tuple(dict.fromkeys((*before.objects, *new.objects)))
    return Delivered(look=newest, objects=objects, adds=before.adds)


def _read(run: Run) -> dict[str, tuple[str, ...]]:
    """Return the objects that a run reads, by delivery and in plan order; those without are left out."""
    assert run.plan is not None
    found: dict[str, dict[str, None]] = {}
    for chunk in run.plan.chunks:
        if chunk.delivery:
            found.setdefault(chunk.delivery, {})[chunk.input_id] = None
    return {delivery: tuple(objects) for delivery, objects in found.items()}


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
