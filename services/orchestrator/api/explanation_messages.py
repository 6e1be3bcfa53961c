"""Explanations as messages."""

from convergence.orchestrator.v1 import explanation_pb2

from services.orchestrator.api.run_messages import event_message
from services.orchestrator.explanations.explanation import Explanation


def explanation_message(found: Explanation) -> explanation_pb2.Explanation:
    """Return an explanation with the records that show it."""
    return explanation_pb2.Explanation(
        run=str(found.run.name),
        state=f"RUN_STATE_{found.run.state}",
        happened=found.happened,
        fault=f"FAILURE_KIND_{(found.fault or 'unspecified').upper()}",
        turn=found.turn,
        data_safe=found.data_safe,
        data=found.data,
        advice=found.advice,
        commands=found.commands,
        events=[event_message(told) for told in found.records],
    )
