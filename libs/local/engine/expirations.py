"""When tables say that they expire."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlglot
from bqemulator.api.routes import tables
from bqemulator.catalog import ddl_sync
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from sqlglot import exp

EXPIRES = "expirationTime"
OPTION = "expiration_timestamp"


def expirations_kept() -> None:
    """Keep and show a table's expiration, set by REST or by DDL; nothing drops the table.

    Stock forgets it.
    """
    to_meta, to_rest = tables._rest_to_table_meta, tables._table_to_rest
    sync = ddl_sync.sync_created_table

    def with_expiration(
        project: str, dataset: str, body: dict[str, Any], clock: Any, existing: Any = None
    ) -> Any:
        meta = to_meta(project, dataset, body, clock, existing)
        kept = existing.expiration_time if existing else None
        wanted = _moment(body[EXPIRES]) if EXPIRES in body else kept
        return meta.model_copy(update={"expiration_time": wanted})

    def shown(table: Any) -> dict[str, Any]:
        answer = to_rest(table)
        if table.expiration_time is not None:
            answer[EXPIRES] = str(round(table.expiration_time.timestamp() * 1000))
        return answer

    def synced(sql: str, project: str, ctx: Any) -> None:
        sync(sql, project, ctx)
        if (expires := _declared(sql)) and (target := ddl_sync._detect_plain_create_table(sql)):
            meta = ctx.catalog.get_table(*ddl_sync._split_target(target, project))
            ctx.catalog.update_table(meta.model_copy(update={"expiration_time": expires}))

    tables._rest_to_table_meta, tables._table_to_rest = with_expiration, shown
    for module in (ddl_sync, executor, interpreter):
        module.sync_created_table = synced


def _moment(millis: Any) -> dt.datetime | None:
    return None if millis is None else dt.datetime.fromtimestamp(int(millis) / 1000, dt.UTC)


def _declared(sql: str) -> dt.datetime | None:
    """Return the expiration that a CREATE TABLE's OPTIONS spell out as a TIMESTAMP, None if they do not."""
    if OPTION not in sql.lower():
        return None
    made = sqlglot.parse_one(sql, read="bigquery")
    properties = made.args.get("properties")
    for one in properties.expressions if properties else ():
        value = one.args.get("value")
        if one.name.lower() == OPTION and isinstance(value, exp.Cast):
            return dt.datetime.fromisoformat(value.this.name)
    return None
