"""What is so at this moment of a run that somebody asks about."""

from services.orchestrator.conductor.admission import told
from services.orchestrator.conductor.awaiting import missing_of
from services.orchestrator.conductor.conductor import Conductor, table_of
from services.orchestrator.conductor.live import Live
from services.orchestrator.explanations.present import Delayed, Present, Slots, Working
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState


def present_of(conductor: Conductor, run: Run) -> Present:
    """Return who works on a run, what failed last, and what it waits for."""
    live = conductor.live.get(run.name, Live())
    table, holder = _waits_for(conductor, run)
    wait = conductor.admission.wait_of(run)
    ledger = conductor.mesh.history.ledger
    share = ledger.share(run.name.tenant)
    return Present(
        now=conductor.mesh.clock(),
        working=_working(run, live),
        delayed=_delayed(run, live),
        slots=_slots(conductor, run.name.tenant),
        missing=missing_of(ledger, run) if run.state is RunState.PENDING else (),
        limit=told(wait, share) if wait else "",
        ahead=wait.ahead_count if wait else 0,
        table=table,
        holder=holder,
    )


def _working(run: Run, live: Live) -> tuple[Working, ...]:
    return tuple(
        Working(
            input_id=chunk.input_id,
            worker=trying.worker,
            since=trying.since,
            row_count=beat.row_count if beat else 0,
            throttled=bool(beat and beat.throttled),
            hedged_at=trying.hedged_at,
        )
        for chunk in run.missing
        if (trying := live.trying.get(chunk.chunk_id))
        for beat in [live.beats.get(chunk.chunk_id)]
    )


def _delayed(run: Run, live: Live) -> tuple[Delayed, ...]:
    """Return the step's setback, unless chunks are read again, then those of chunks that nobody has."""
    found = [("", live.step)] if live.step and not live.trying else []
    found += [
        (chunk.input_id, live.setbacks[chunk.chunk_id])
        for chunk in run.missing
        if chunk.chunk_id in live.setbacks and chunk.chunk_id not in live.trying
    ]
    return tuple(
        Delayed(what=what, tries=one.tries, reason=one.reason, message=one.message)
        for what, one in found
    )


def _slots(conductor: Conductor, tenant: str) -> Slots:
    dispatcher = conductor.mesh.dispatcher
    workers, tenants = dispatcher.workers(), dispatcher.tenants()
    return Slots(
        busy=sum(one.slot_count for one in tenants if one.tenant == tenant),
        cap=conductor.mesh.history.ledger.share(tenant).chunk_count,
        free=sum(
            max(w.slot_count - w.busy, 0) for w in workers if not w.resting and not w.draining
        ),
        others=sum(one.tenant != tenant for one in tenants),
        all=sum(worker.slot_count for worker in workers if not worker.draining),
    )


def _waits_for(conductor: Conductor, run: Run) -> tuple[str, str]:
    """Return a table that the run wants to write to and the run that does; empty if it need not wait."""
    wanted: list[str] = []
    if run.state is RunState.AUDITING and run.audited:
        wanted = [table_of(run)]
    if run.state is RunState.TRANSFORMING:
        left = [t for t in run.spec.transforms if t.transform_id not in run.transforms]
        wanted = [t.target.table_id(run.name.tenant) for t in left[:1]]
    for table in wanted:
        holder = conductor.locks.holder(table)
        if holder and holder != run.name:
            return table, holder.run
    return "", ""
