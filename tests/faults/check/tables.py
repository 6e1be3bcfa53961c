"""Rules about tables: what every reader saw, and what is there at the end."""

import collections
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tests.faults import models, sources
from tests.faults.check.accounts import FOREVER, PUBLISHED, Account, Turn, Violation

Step = tuple[float, float, models.State]
"""From when a state of a table may be seen, when it must be, and what it is."""


def steps(account: Account, pipeline: str) -> list[Step]:
    """Return the states of a pipeline's table in order."""
    mode = account.pipelines[pipeline]["mode"]
    found: list[Step] = [(-FOREVER, -FOREVER, {})]
    for turn in account.turns_of(pipeline):
        if turn.state == PUBLISHED:
            after = models.published(mode, found[-1][2], turn.files)
            found.append((turn.earliest, turn.ended, after))
    return found


def reads(account: Account) -> Iterator[Violation]:
    """All of a run's rows or none, and the old ones until then, at every moment of every reader."""
    for pipeline in account.pipelines:
        known = steps(account, pipeline)
        seen = [models.seen(state) for _, _, state in known]
        until = account.known_until(pipeline)
        for read in account.of["read"]:
            if read["pipeline"] != pipeline or "error" in read or read["t"] > until:
                continue
            groups = {name: models.Group(*numbers) for name, numbers in read["groups"].items()}
            allowed = [
                i
                for i, (earliest, _, _) in enumerate(known)
                if earliest <= read["t"]
                and (i + 1 == len(known) or known[i + 1][1] >= read["began"])
            ]
            if not any(groups == seen[i] for i in allowed):
                near = _nearest(groups, seen[allowed[-1]])
                table = "silver" if read["silver"] else "target"
                yield Violation(
                    "reads", f"{pipeline} {table} at {read['t']}: no state of its turns: {near}"
                )


def _nearest(found: Mapping[str, models.Group], wanted: Mapping[str, models.Group]) -> str:
    odd = [n for n in {*found, *wanted} if found.get(n) != wanted.get(n)]
    return "; ".join(f"{n}: found {found.get(n)}, newest is {wanted.get(n)}" for n in odd[:3])


def rows(account: Account) -> Iterator[Violation]:
    """Each row that must be there is there once, with its values, and no other."""
    for found in account.of["rows"]:
        pipeline = found["pipeline"]
        if account.known_until(pipeline) < FOREVER:
            continue
        wanted = collections.Counter(
            (name, row[0], row[1], row[2], sources.cost(row[0]))
            for name, of_file in steps(account, pipeline)[-1][2].items()
            for row in of_file
        )
        there = collections.Counter(
            (name, int(id_), int(k), int(v), Decimal(cost))
            for name, id_, k, v, cost in found["rows"]
        )
        where = f"{pipeline} {'silver' if found['silver'] else 'target'}"
        if more := there - wanted:
            yield Violation("rows", f"{where}: {more.total()} too many, e.g. {_some(more)}")
        if less := wanted - there:
            yield Violation("rows", f"{where}: {less.total()} missing, e.g. {_some(less)}")


def _some(rows_: "collections.Counter[Any]") -> str:
    return ", ".join(f"{name} id {id_}" for name, id_, *_ in list(rows_)[:3])


def quarantine(account: Account) -> Iterator[Violation]:
    """The rows that do not fit their schema are in quarantine once, of the newest look at their file."""
    for found in account.of["quarantine"]:
        pipeline = found["pipeline"]
        if account.known_until(pipeline) < FOREVER:
            continue
        there = collections.Counter(
            (run, source, int(number)) for run, source, number in found["rows"]
        )
        wanted = collections.Counter(_quarantined(account, pipeline))
        for what, odd in (("too many", there - wanted), ("missing", wanted - there)):
            if odd:
                some = ", ".join(map(str, list(odd)[:3]))
                yield Violation("quarantine", f"{pipeline}: {odd.total()} {what}, e.g. {some}")


def _quarantined(account: Account, pipeline: str) -> Iterator[tuple[str, str, int]]:
    mode = account.pipelines[pipeline]["mode"]
    newest: dict[str, tuple[Turn, str]] = {}
    for turn in account.turns_of(pipeline):
        if turn.state == PUBLISHED and len(turn.runs) == 1:
            (name,) = turn.runs
            for file in turn.files:
                if mode in {"append", "staged"} and file in newest:
                    continue
                newest[file] = (turn, name.rpartition("/")[2])
    for file, (turn, run) in newest.items():
        for i in range(turn.files[file]["bad"]):
            yield run, file, turn.files[file]["good"] + i
