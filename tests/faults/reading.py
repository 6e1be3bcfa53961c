"""Readers: they ask the engine itself what tables hold, all the time, past every link."""

import dataclasses
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.faults.histories import History
from tests.faults.sources import Pipeline

MISSING = ("notFound", "Not found", "does not exist", "accessDenied")


class Unanswered(Exception):
    """The engine gave no answer."""


@dataclasses.dataclass(slots=True)
class Engine:
    """SELECTs over BigQuery's REST port."""

    session: aiohttp.ClientSession
    address: Callable[[], str]
    project: str = "local"

    async def rows(self, sql: str, *, seconds: float = 20.0) -> list[list[Any]] | None:
        """Return a query's rows as texts, None if a table is missing; raise Unanswered."""
        url = f"http://{self.address()}/bigquery/v2/projects/{self.project}/queries"
        body = {"query": sql, "useLegacySql": False, "maxResults": 1_000_000}
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self.session.post(url, json=body, timeout=timeout) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unanswered(repr(error)) from error
        refused = answer.get("error") or next(iter(answer.get("errors", ())), None)
        if refused:
            if any(sign in str(refused) for sign in MISSING):
                return None
            raise Unanswered(str(refused))
        if not answer.get("jobComplete", True) or answer.get("pageToken"):
            raise Unanswered("not complete")
        return [[cell["v"] for cell in row["f"]] for row in answer.get("rows", ())]


def question(table: str, column: str) -> str:
    return (
        f"SELECT {column} AS origin, COUNT(*) AS c, COUNT(DISTINCT id) AS d, MIN(id) AS lo,"
        f" MAX(id) AS hi, SUM(id) AS total FROM {table} GROUP BY 1"
    )


async def read(engine: Engine, history: History, pipeline: Pipeline, *, silver: bool) -> bool:
    """Read a table once and record what was seen; return whether there was an answer."""
    table = pipeline.silver if silver else pipeline.target
    began = history.now()
    facts: dict[str, Any] = {"pipeline": pipeline.name, "silver": silver, "began": began}
    try:
        rows = await engine.rows(question(table, "origin" if silver else "_source"))
    except Unanswered as error:
        history.write("read", **facts, error=str(error)[:200])
        return False
    groups = {origin: [int(n) for n in numbers] for origin, *numbers in rows or ()}
    history.write("read", **facts, groups=groups)
    return True
