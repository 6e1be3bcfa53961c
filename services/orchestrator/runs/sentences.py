"""Records of the journal as sentences for people."""

from services.orchestrator.runs import records as r


def sentence(detail: r.Part) -> str:  # noqa: PLR0911, PLR0912, C901 one case a kind of record
    """Say in one sentence what a record means."""
    match detail:
        case r.RunCreated():
            waits = f", waiting for {', '.join(detail.after)}" * bool(detail.after)
            fire = f" of {detail.fire_time:%Y-%m-%d %H:%M} UTC" if detail.fire_time else ""
            by = f"{detail.created_by or 'unknown'}{fire}"
            return f"created by {by} with spec {detail.spec_hash[:12]}{waits}"
        case r.RunPlanning():
            return "planning: nothing is looked at before this moment"
        case r.RunPlanned():
            known = f", {len(detail.known_inputs)} known inputs left out" * bool(
                detail.known_inputs
            )
            return f"planned {len(detail.chunks)} chunks{known}"
        case r.ChunkCompleted():
            done = detail.landed
            return (
                f"{done.read_row_count} rows read, {done.landed_row_count} landed, "
                f"{done.quarantined_row_count} quarantined by worker {detail.worker}"
            )
        case r.ChunksLost():
            return f"{len(detail.chunk_ids)} chunks are read again: {detail.cause}"
        case r.RunIngested():
            return "every planned chunk is done"
        case r.RunAudited():
            failed = sum(not result.success for result in detail.results)
            return f"counts and sums agree; {failed} of {len(detail.results)} expectations failed"
        case r.RunHeld():
            return (
                f"held until {detail.expire_time:%Y-%m-%d %H:%M} UTC: {'; '.join(detail.reasons)}"
            )
        case r.RunPublishing():
            who = f", approved by {detail.by}" * bool(detail.by)
            return f"publishing{who}: from here the run only goes forward"
        case r.RunPublished():
            return "published: readers see all rows"
        case r.TransformStarted():
            return f"transform {detail.transform_id} is merged by job {detail.job_id}"
        case r.TransformCompleted():
            return f"transform {detail.transform_id} published {detail.row_count} rows"
        case r.TransformFailed():
            return f"transform {detail.transform_id} failed: {detail.failure.message}"
        case r.RunSucceeded():
            return "succeeded"
        case r.RunFailed():
            return f"failed ({detail.failure.reason}): {detail.failure.message}"
        case r.RunCancelling() | r.RunCancelled():
            who = f" by {detail.by}" * bool(detail.by)
            why = f": {detail.reason}" * bool(detail.reason)
            return (
                f"{'cancelling' if isinstance(detail, r.RunCancelling) else 'cancelled'}{who}{why}"
            )
        case r.RunSuperseded():
            return f"superseded: newer looks are published by {detail.by_run or 'later runs'}"
        case r.RunRetried():
            return f"attempt {detail.attempt} begins" + ", planning anew" * detail.replan
    raise AssertionError(f"no sentence for {type(detail).__name__}")
