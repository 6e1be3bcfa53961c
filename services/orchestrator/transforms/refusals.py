"""Why a transform may not run."""

import dataclasses
from collections.abc import Collection

from libs.common.errors import FailedPrecondition


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that a transform may not contain; line and column count from 1, 0 is unknown."""

    line: int
    column: int
    found: str
    allowed: str
    advice: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.line else ""
        return f"{where}found {self.found}; allowed is {self.allowed}; {self.advice}"


class TransformRefused(FailedPrecondition):
    """The SQL is not one allowed SELECT; `refusals` names everything that is wrong."""

    reason = "TRANSFORM_INVALID"

    def __init__(self, refusals: Collection[Refusal], transform: str = "") -> None:
        self.refusals = tuple(refusals)
        violations = {
            f"{one.line}:{one.column} {one.found}": f"allowed is {one.allowed}; {one.advice}"
            for one in self.refusals
        }
        text = "; ".join(map(str, self.refusals))
        super().__init__(
            f"transform {transform or 'SQL'} is refused: {text}",
            violations=violations,
            transform=transform,
        )
