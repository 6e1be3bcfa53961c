"""A history as the rules look at it: turns of pipelines in order, and entries by kind."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.faults.histories import Entry

FOREVER: Final = float("inf")
PUBLISHED: Final = "SUCCEEDED"


@dataclasses.dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: the rule that says so, and what is wrong where."""

    rule: str
    text: str


@dataclasses.dataclass(slots=True, kw_only=True)
class Turn:
    """One delivery and the run that it led to."""

    name: str
    pipeline: str
    scenario: str
    last: bool
    files: Mapping[str, Mapping[str, Any]]
    began: float
    ended: float = FOREVER
    state: str = "UNFINISHED"
    runs: set[str] = dataclasses.field(default_factory=set)
    """What creates were answered with."""
    acknowledged: float = FOREVER
    """When its create was first answered: from then on its run is under way."""
    approved: float | None = None
    """When its approval was first asked for."""

    @property
    def earliest(self) -> float:
        """Return before which moment nothing of it may be seen."""
        return self.began if self.approved is None else self.approved


class Account:
    """A whole history."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.of: dict[str, list[Entry]] = collections.defaultdict(list)
        for entry in entries:
            self.of[entry["kind"]].append(entry)
        (self.begun,) = self.of["begun"] or [{"t": 0.0, "scale": 1.0, "least": {}}]
        self.pipelines = {e["pipeline"]: e for e in self.of["pipeline"]}
        self.turns: dict[str, Turn] = {}
        for e in self.of["turn"]:
            self.turns[e["turn"]] = Turn(
                name=e["turn"], pipeline=e["pipeline"], scenario=e["scenario"],
                last=e["last"], files=e["files"], began=e["t"],
            )  # fmt: skip
        for e in self.of["outcome"]:
            turn = self.turns[e["turn"]]
            turn.state, turn.ended = e["state"], e["t"]
        for e in self.of["answered"]:
            if e["op"] == "create":
                turn = self.turns[e["turn"]]
                turn.runs.add(e["run"])
                turn.acknowledged = min(turn.acknowledged, e["t"])
        for e in self.of["asked"]:
            turn = self.turns[e["turn"]]
            if e["op"] == "approve" and turn.approved is None:
                turn.approved = e["t"]

    def turns_of(self, pipeline: str) -> list[Turn]:
        """Return a pipeline's turns in order, up to one whose end nobody knows."""
        found = []
        for turn in self.turns.values():
            if turn.pipeline == pipeline:
                if turn.state == "UNFINISHED":
                    break
                found.append(turn)
        return found

    def known_until(self, pipeline: str) -> float:
        """Return from when on nobody knows what a pipeline's table must hold."""
        unknown = [
            t.began
            for t in self.turns.values()
            if t.pipeline == pipeline and t.state == "UNFINISHED"
        ]
        return min(unknown, default=FOREVER)

    def members(self, *roles: str) -> frozenset[str]:
        """Return the processes that are something to the others, and the links that lead to them."""
        return frozenset(e["name"] for e in self.of["member"] if e["role"] in roles)

    @property
    def processes(self) -> list[str]:
        return [e["name"] for e in self.of["member"] if not e["link"]]

    @property
    def faults(self) -> list[Entry]:
        """Return those faults that were done while an acknowledged run was not at its end."""
        spans = [(turn.acknowledged, turn.ended) for turn in self.turns.values()]
        return [e for e in self.of["fault"] if any(a <= e["t"] <= b for a, b in spans)]

    @property
    def scale(self) -> float:
        return float(self.begun["scale"])
