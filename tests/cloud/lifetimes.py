"""Lifetimes of hours and days, checked in two phases.

`python -m tests.cloud.lifetimes begin` leaves streams and a result in a dataset of its own; `… end`, as often as
one likes in the days after, looks at each once its time has come, and deletes the dataset with the last.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from tests.cloud.scratch import LABEL, SECONDS, Scratch, codes, job_name, numbers, refusals
from tests.support.appending import COMMITTED, PENDING

DATASET: Final = "convergence_check_lifetimes"
KEPT: Final = dt.timedelta(days=8)
LIVES: Final = {
    "pending, sealed": dt.timedelta(hours=4),
    "pending, open": dt.timedelta(hours=24),
    "committed, idle": dt.timedelta(hours=72),
    "result of a query": dt.timedelta(hours=24),
}
MARGIN: Final = 0.1
"""Part of a lifetime before its end up to which it must be there, and after which it must be gone."""

Said = Callable[[str], None]


def begin(at: Scratch, now: dt.datetime) -> None:
    """Leave two of each kind: one to be looked at before its end, one after."""
    made: Any = bigquery.Dataset(at.dataset)
    made.location, made.labels = at.client.location, {LABEL: "lifetimes"}
    made.default_table_expiration_ms = int(KEPT.total_seconds() * 1000)
    at.client.create_dataset(made, timeout=SECONDS)
    fields = "(kind STRING, turn STRING, name STRING, began TIMESTAMP)"
    at.run(f"CREATE TABLE `{at.dataset}.begun` {fields}")
    at.run(f"CREATE TABLE `{at.dataset}.t` (n INT64)")
    for turn in ("before", "after"):
        for kind, name in _left(at).items():
            row = f"('{kind}', '{turn}', '{name}', TIMESTAMP '{now.isoformat()}')"
            at.run(f"INSERT INTO `{at.dataset}.begun` (kind, turn, name, began) VALUES {row}")


def end(at: Scratch, now: dt.datetime, say: Said) -> bool:
    """Look at all whose time has come; return whether each was as believed."""
    believed = True
    begun = at.rows(f"SELECT kind, turn, name, began FROM `{at.dataset}.begun` ORDER BY 1, 2 DESC")
    left = len(begun)
    for kind, turn, name, began in begun:
        lives, age = LIVES[kind], now - began
        if turn == "after" and age < lives * (1 + MARGIN):
            say(
                f"not yet   {kind}: come back after {began + lives * (1 + MARGIN):%Y-%m-%d %H:%M} UTC"
            )
            continue
        if turn == "before" and age > lives * (1 - MARGIN):
            say(f"missed    {kind}: nobody looked before its end")
        else:
            there = _there(at, kind, name)
            as_believed = there == (turn == "before")
            believed = believed and as_believed
            say(
                f"{'held     ' if as_believed else 'BROKEN   '} {kind}: {'there' if there else 'gone'} after {age}"
            )
        at.run(f"DELETE FROM `{at.dataset}.begun` WHERE name = '{name}'")
        left -= 1
    if not left:
        at.client.delete_dataset(at.dataset, delete_contents=True, timeout=SECONDS)
    return believed


def _left(at: Scratch) -> dict[str, str]:
    table = f"{at.dataset}.t"
    streams = {
        "pending, open": at.open(table, PENDING),
        "committed, idle": at.open(table, COMMITTED),
    }
    for stream in streams.values():
        at.append(stream, numbers(1), offset=0)
    result = at.run("SELECT 1 AS n", job_id=job_name()).job_id
    return {**streams, "pending, sealed": at.staged(table, numbers(1)), "result of a query": result}


def _there(at: Scratch, kind: str, name: str) -> bool:
    try:
        match kind:
            case "pending, sealed":
                return not refusals(at.commit(f"{at.dataset}.t", name))
            case "result of a query":
                return at.found(name) == [(1,)]
            case _:
                return codes(at.append(name, numbers(1, 1), offset=1)) == [0]
    except GoogleAPICallError:
        return False
