"""`convergence schedules`: when pipelines start runs by themselves, and what became of it."""

from collections.abc import Iterator

import click
from convergence.orchestrator.v1.run_pb2 import RunState
from convergence.orchestrator.v1.schedule_pb2 import (
    Fire,
    FireCause,
    FireOutcome,
    NextFire,
    OverlapPolicy,
    Schedule,
)
from google.protobuf.duration_pb2 import Duration
from rich.console import RenderableType

from libs.client.cli import output
from libs.client.cli.receipts import window_text
from libs.client.cli.session import Session, connected

SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


@click.group()
def schedules() -> None:
    """Look at schedules, pause and resume them.

    A pipeline has one if its file says `schedule`.

    \b
    Examples:
      convergence schedules list --tenant acme_corp
      convergence schedules pause p_openai_daily --reason "the source is down"
    """


@schedules.command("list")
@connected
def list_(session: Session) -> int:
    """List the schedules of a tenant, with their next and last fires.

    \b
    Example:
      convergence schedules list --tenant acme_corp
    """
    with session.client() as client:
        found = client.schedules.list(str(session.tenant()))
    if session.json:
        output.print_json([output.plain(one) for one in found])
        return 0
    rows = [
        (
            _pipeline(one),
            one.cron,
            one.time_zone,
            _state(one),
            output.moment(one.next_fires[0].due_time) if one.next_fires else "",
            _became(one.last_fires[0]) if one.last_fires else "",
        )
        for one in found
    ]
    nothing = f"no pipeline of {session.tenant()} has `schedule` in its file"
    columns = ("pipeline", "cron", "zone", "state", "next", "last")
    output.print_table(output.table(rows, *columns, prose=["last"]), nothing)
    return 0


@schedules.command()
@click.argument("pipeline")
@connected
def get(session: Session, pipeline: str) -> int:
    """Show a schedule: next fires, and what became of the last.

    \b
    Example:
      convergence schedules get p_openai_daily
    """
    with session.client() as client:
        found = client.schedules.get(_name(session, pipeline))
    return _show(session, found)


@schedules.command()
@click.argument("pipeline")
@click.option("--reason", required=True, help="Why, for whoever finds it paused.")
@connected
def pause(session: Session, pipeline: str, reason: str) -> int:
    """Let nothing fire until it is resumed; runs go on.

    \b
    Example:
      convergence schedules pause p_openai_daily --reason "the source is down"
    """
    with session.client() as client:
        found = client.schedules.pause(_name(session, pipeline), reason=reason)
    return _show(session, found)


@schedules.command()
@click.argument("pipeline")
@connected
def resume(session: Session, pipeline: str) -> int:
    """Let it fire again; what was missed is made up, each window once.

    \b
    Example:
      convergence schedules resume p_openai_daily
    """
    with session.client() as client:
        found = client.schedules.resume(_name(session, pipeline))
    return _show(session, found)


def _name(session: Session, pipeline: str) -> str:
    return f"{session.pipeline(pipeline.removesuffix('/schedule'))}/schedule"


def _show(session: Session, found: Schedule) -> int:
    if session.json:
        output.print_json(output.plain(found))
        return 0
    console = output.console()
    for part in _shown(found):
        console.print(part)
    return 0


def _shown(found: Schedule) -> Iterator[RenderableType]:
    yield output.facts(
        {
            "schedule": found.name,
            "cron": f"{found.cron} ({found.time_zone})",
            "state": _state(found),
            "paused": _paused(found),
            "hindered": found.hindrance,
            "overlap": _word(OverlapPolicy.Name(found.overlap)),
            "jitter": _span(found.jitter),
            "catch up": _span(found.catch_up),
            "after": "\n".join(found.after),
            "waits at most": _span(found.after_timeout),
        }
    )
    yield ""
    rows = [_next(one) for one in found.next_fires]
    yield output.table(rows, "nominal", "due", "window", title="next fires")
    if found.waiting_fires:
        yield ""
        waits = [
            (output.moment(one.fire_time), _word(FireCause.Name(one.cause)))
            for one in found.waiting_fires
        ]
        yield output.table(waits, "nominal", "because of", title="fires that wait")
    if found.last_fires:
        yield ""
        last = [
            (_nominal(one), _became(one), one.run, output.moment(one.decide_time))
            for one in found.last_fires
        ]
        columns = ("nominal", "became", "run", "decided")
        yield output.table(last, *columns, title="last fires", prose=["became"])


def _next(one: NextFire) -> tuple[str, str, str]:
    window = window_text(one.window) if one.HasField("window") else "what is delivered by then"
    return output.moment(one.fire_time), output.moment(one.due_time), window


def _pipeline(found: Schedule) -> str:
    return found.name.split("/")[-2]


def _state(found: Schedule) -> str:
    if found.HasField("pause"):
        return "paused"
    return "hindered" if found.hindrance else "active"


def _paused(found: Schedule) -> str:
    if not found.HasField("pause"):
        return ""
    pause = found.pause
    return f"{output.moment(pause.pause_time)} by {pause.by or 'unknown'}: {pause.reason}"


def _nominal(fire: Fire) -> str:
    first = output.moment(fire.fire_time)
    if fire.fire_count == 1:
        return first
    return f"{fire.fire_count} from {first} to {output.moment(fire.last_fire_time)}"


def _became(fire: Fire) -> str:
    """Return `started, SUCCEEDED`, `skipped (same window)`, `refused: why`."""
    outcome = _word(FireOutcome.Name(fire.outcome))
    if fire.message:
        return f"{outcome}: {fire.message}"
    if fire.cause:
        return f"{outcome} ({_word(FireCause.Name(fire.cause))})"
    state = output.short_state(RunState.Name(fire.run_state))
    return f"{outcome}, {state}" if fire.run_state else outcome


def _word(name: str) -> str:
    """Return `FIRE_CAUSE_SAME_WINDOW` as `same window`."""
    return " ".join(name.split("_")[2:]).lower()


def _span(duration: Duration) -> str:
    """Return `7d`, `90s`: the longest unit that says it in whole numbers; empty for nothing."""
    seconds = duration.seconds
    fits = (f"{seconds // size}{unit}" for unit, size in SPANS if seconds % size == 0)
    return next(fits) if seconds else ""
