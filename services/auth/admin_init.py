"""`python -m services.auth.admin_init`: makes the metadata tables, the signing key and the platform key."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from libs.bigquery.client import Connection, connect
from libs.common.errors import ServiceError, Unavailable
from libs.metadata.tables import TABLES
from services.auth.app import Settings, opened_signing_keys
from services.auth.bigquery_keys import BigQueryKeyStore
from services.auth.bigquery_metadata import BigQueryMetadata
from services.auth.initialisation import Done, initialise

REFUSED = 3
UNREACHABLE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when all is there, 3 when something was refused, 4 when BigQuery cannot be reached."""
    asked = _parser().parse_args(arguments)
    settings = Settings.load()
    try:
        done = asyncio.run(_initialise(settings, replace_key=asked.replace_key))
    except Unavailable as error:
        sys.stderr.write(f"error: {error}\n")
        return UNREACHABLE
    except (ServiceError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED
    text = json.dumps(as_json(done)) if asked.output == "json" else "\n".join(as_lines(done))
    sys.stdout.write(f"{text}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.auth.admin_init", description=__doc__)
    parser.add_argument(
        "--replace-key", action="store_true", help="make a new platform key and revoke the old"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    return parser


async def _initialise(settings: Settings, *, replace_key: bool) -> Done:
    with connect(Connection.of(settings)) as bq, opened_signing_keys(settings) as signing_keys:
        return await initialise(
            BigQueryMetadata(bq),
            BigQueryKeyStore(bq),
            signing_keys,
            now=lambda: datetime.now(UTC),
            replace_key=replace_key,
        )


def as_json(done: Done) -> dict[str, object]:
    """Return what was done for programs; `secret` is null unless a key was made."""
    return {
        "tables": [table.table_id for table in TABLES],
        "tables_created": list(done.tables_created),
        "columns_added": list(done.columns_added),
        "signing_key": {"key_id": done.signing_key_id, "created": done.signing_key_created},
        "platform_key": {
            "name": str(done.platform_key.name),
            "created": done.new_key is not None,
            "secret": done.new_key.secret if done.new_key else None,
        },
        "revoked": list(done.revoked),
    }


def as_lines(done: Done) -> list[str]:
    """Return what was done for people."""
    there = len(TABLES) - len(done.tables_created)
    lines = [f"tables: {len(done.tables_created)} created, {there} verified"]
    lines += [f"column added: {column}" for column in done.columns_added]
    made = "created" if done.signing_key_created else "verified"
    lines.append(f"signing key: {done.signing_key_id} {made}")
    lines += [f"platform key revoked: {key_id}" for key_id in done.revoked]
    name = done.platform_key.name
    if done.new_key is None:
        state = "is there" if done.platform_key.active else "is revoked"
        lines.append(f"platform key: {name} {state}; --replace-key makes another")
        return lines
    lines += [
        f"platform key: {name}, shown this once:",
        "",
        f"  export CONVERGENCE_API_KEY={done.new_key.secret}",
        "",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
