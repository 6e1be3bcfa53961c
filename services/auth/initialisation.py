"""What `convergence admin init` does: makes what is missing, verifies the rest, changes nothing twice."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from libs.common.errors import FailedPrecondition
from libs.common.lineage import PlatformColumn
from libs.common.names import PLATFORM
from libs.metadata.tables import TABLES, MetadataTable
from services.auth import keys
from services.auth.key_admin import NewKey
from services.auth.key_store import KeyStore
from services.auth.keys import KeyRecord
from services.auth.signing_keys import SigningKeyStore
from services.auth.tokens import Signer, SigningKey

CREATED_BY: Final = "convergence admin init"


class SchemaChanged(FailedPrecondition):
    reason = "SCHEMA_CHANGED"

    def __init__(self, table: MetadataTable, column: str, found: str, wanted: str) -> None:
        super().__init__(
            f"column {column} of {table.table_id} is {found} and must be {wanted}; "
            "correct it by hand, keeping its data, and run the command again",
            table=table.table_id,
            column=column,
        )


class MetadataStore(Protocol):
    """Where the metadata tables are."""

    async def ensure(self, table: MetadataTable) -> tuple[bool, Sequence[PlatformColumn]]:
        """Make `table` unless it exists; say whether it was made, and which columns it has."""
        ...

    async def add(self, table: MetadataTable, columns: Sequence[PlatformColumn]) -> None:
        """Add nullable columns."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was made; texts name what there is."""

    tables_created: tuple[str, ...]
    columns_added: tuple[str, ...]
    signing_key_id: str
    signing_key_created: bool
    platform_key: KeyRecord
    new_key: NewKey | None
    revoked: tuple[str, ...]


def missing_columns(
    table: MetadataTable, found: Sequence[PlatformColumn]
) -> tuple[PlatformColumn, ...]:
    """Return the columns that `found` lacks.

    Raises:
        SchemaChanged: a column has another type, is (no) array, or is missing and cannot be NULL.
    """
    known = {column.name.lower(): column for column in found}
    missing = []
    for column in table.columns:
        old = known.get(column.name.lower())
        if old is None and column.mode == "REQUIRED":
            raise SchemaChanged(table, column.name, "missing", f"{column.type} {column.mode}")
        if old is None:
            missing.append(column)
        elif _shape(old) != _shape(column):
            raise SchemaChanged(table, column.name, _shape(old), _shape(column))
    return tuple(missing)


def _shape(column: PlatformColumn) -> str:
    return f"ARRAY<{column.type}>" if column.mode == "REPEATED" else column.type


async def initialise(
    metadata: MetadataStore,
    key_store: KeyStore,
    signing_key_store: SigningKeyStore,
    *,
    now: Callable[[], datetime],
    replace_key: bool = False,
) -> Done:
    """Make tables, signing key and platform key where they are missing.

    With `replace_key` a new platform key is made, then those that earlier runs made are revoked.
    """
    created, added = await _tables(metadata)
    pem_created = await signing_key_store.create(SigningKey.generate().pem())
    signer = Signer.parse(await signing_key_store.read())
    own = await _own_keys(key_store)
    new = None
    if replace_key or not own:
        new = _new_platform_key(now())
        await key_store.insert(new.key)
    revoked = [key for key in own if replace_key and key.active]
    for key in revoked:
        await key_store.revoke(key.digest, at=now())
    return Done(
        tables_created=created,
        columns_added=added,
        signing_key_id=signer.key_id,
        signing_key_created=pem_created,
        platform_key=new.key if new else own[0],
        new_key=new,
        revoked=tuple(key.key_id for key in revoked),
    )


async def _tables(metadata: MetadataStore) -> tuple[tuple[str, ...], tuple[str, ...]]:
    created, added = [], []
    for table in TABLES:
        made, found = await metadata.ensure(table)
        if made:
            created.append(table.table_id)
        if missing := missing_columns(table, found):
            await metadata.add(table, missing)
            added += [f"{table.table_id}.{column.name}" for column in missing]
    return tuple(created), tuple(added)


async def _own_keys(key_store: KeyStore) -> list[KeyRecord]:
    """Return the platform keys that this command made, active ones first, then the newest."""
    own = [
        key
        for key in await key_store.read()
        if key.tenant == PLATFORM and key.created_by == CREATED_BY
    ]
    return sorted(own, key=lambda key: (key.active, str(key.create_time)), reverse=True)


def _new_platform_key(now: datetime) -> NewKey:
    secret = keys.new_secret(PLATFORM)
    key = KeyRecord(
        digest=keys.digest_of(secret),
        tenant=PLATFORM,
        key_id=keys.new_key_id(),
        create_time=now,
        created_by=CREATED_BY,
        description="platform key",
        scopes=keys.SCOPES,
    )
    return NewKey(key=key, secret=secret)
