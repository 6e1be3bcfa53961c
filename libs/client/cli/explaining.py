"""Shows how the platform explains a run: paragraphs for people, in the server's sentences."""

from collections.abc import Iterator

from convergence.orchestrator.v1.explanation_pb2 import Explanation
from convergence.orchestrator.v1.run_pb2 import RunEvent, RunState

from libs.client.cli.listings import visible
from libs.client.cli.output import moment, short_state


def explained(found: Explanation) -> Iterator[str]:
    """Yield paragraphs: state, what happened, whose turn it is, what readers see, what to do, records."""
    yield f"Run {found.run} is {short_state(RunState.Name(found.state))}."
    yield "\n".join(visible(sentence) for sentence in found.happened)
    yield found.turn
    safe = "Data is safe" if found.data_safe else "Data may not be safe"
    yield f"{safe}. {found.data}"
    if found.advice:
        commands = [f"  {command}" for command in found.commands]
        yield "\n".join([f"To do: {' '.join(visible(text) for text in found.advice)}", *commands])
    if found.events:
        yield "\n".join(["These records show it:", *map(_record, found.events)])


def _record(event: RunEvent) -> str:
    told = f"{moment(event.event_time)} {event.event_type} ({event.event_id})"
    return f"  #{event.position} {told}: {visible(event.summary)}"
