"""API keys in `metadata.api_keys`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from libs.bigquery.client import BigQuery
from libs.metadata.tables import API_KEYS
from services.auth.bigquery_tables import READ_SECONDS, BigQueryTable
from services.auth.keys import KeyRecord
from services.auth.rows import key_of, row_of_key


class BigQueryKeyStore:
    """Statements match `LOWER(api_key_hash)`, since rows may have been made by hand."""

    def __init__(self, bq: BigQuery, *, read_seconds: float = READ_SECONDS) -> None:
        self._table = BigQueryTable(bq, API_KEYS, read_seconds=read_seconds)

    async def read(self) -> Sequence[KeyRecord]:
        return await self._table.read(key_of)

    async def insert(self, key: KeyRecord) -> None:
        await self._table.run(
            f"MERGE {self._table.sql} t USING (SELECT @api_key_hash AS digest) s "
            "ON LOWER(t.api_key_hash) = s.digest "
            f"WHEN NOT MATCHED THEN INSERT {self._table.insert_clause()}",
            row_of_key(key),
        )

    async def supersede(self, digest: str, *, successor: str, expire_time: datetime) -> None:
        await self._table.run(
            f"UPDATE {self._table.sql} SET superseded_by = @superseded_by, "
            "expires_at = LEAST(COALESCE(expires_at, @expires_at), @expires_at) "
            "WHERE LOWER(api_key_hash) = @api_key_hash",
            {"superseded_by": successor, "expires_at": expire_time, "api_key_hash": digest},
        )

    async def revoke(self, digest: str, *, at: datetime) -> None:
        await self._table.run(
            f"UPDATE {self._table.sql} SET is_active = FALSE, revoked_at = COALESCE(revoked_at, @revoked_at) "
            "WHERE LOWER(api_key_hash) = @api_key_hash",
            {"revoked_at": at, "api_key_hash": digest},
        )

    async def revoke_all(self, tenant: str, *, at: datetime) -> None:
        await self._table.run(
            f"UPDATE {self._table.sql} SET is_active = FALSE, revoked_at = COALESCE(revoked_at, @revoked_at) "
            "WHERE tenant_id = @tenant_id",
            {"revoked_at": at, "tenant_id": tenant},
        )

    async def touch(self, uses: Mapping[str, datetime]) -> None:
        if not uses:
            return
        await self._table.run(
            f"MERGE {self._table.sql} t USING ("
            "SELECT digest, used_at FROM UNNEST(@digests) AS digest WITH OFFSET AS i "
            "JOIN UNNEST(@times) AS used_at WITH OFFSET AS j ON i = j"
            ") s ON LOWER(t.api_key_hash) = s.digest "
            "WHEN MATCHED AND (t.last_used_at IS NULL OR t.last_used_at < s.used_at) "
            "THEN UPDATE SET last_used_at = s.used_at",
            {"digests": list(uses), "times": list(uses.values())},
        )
