"""Tenants in `metadata.tenants`."""

from collections.abc import Sequence

from libs.bigquery.client import BigQuery
from libs.metadata.tables import TENANTS
from services.auth.bigquery_tables import BigQueryTable
from services.auth.rows import row_of_tenant, tenant_of
from services.auth.tenants import Tenant, TenantNotFound, TenantStale, refuse_confusable


class BigQueryTenantStore:
    """Inserting checks ids inside the statement, so that of two replicas only one can win."""

    def __init__(self, bq: BigQuery) -> None:
        self._table = BigQueryTable(bq, TENANTS)

    async def read(self) -> Sequence[Tenant]:
        return await self._table.read(tenant_of)

    async def insert(self, tenant: Tenant) -> Tenant:
        await self._table.run(
            f"MERGE {self._table.sql} t USING ("
            f"SELECT @tenant_id AS id, (SELECT COUNT(*) FROM {self._table.sql} o "
            "WHERE STARTS_WITH(o.tenant_id, CONCAT(@tenant_id, '_')) "
            "OR STARTS_WITH(@tenant_id, CONCAT(o.tenant_id, '_'))) AS confusable_count"
            ") s ON t.tenant_id = s.id "
            f"WHEN NOT MATCHED AND s.confusable_count = 0 THEN INSERT {self._table.insert_clause()}",
            row_of_tenant(tenant),
        )
        standing = {found.tenant_id: found for found in await self.read()}
        refuse_confusable(tenant.tenant_id, standing)
        if tenant.tenant_id not in standing:
            raise TenantNotFound(
                tenant.tenant_id, "its row in metadata.tenants cannot be read: correct it"
            )
        return standing[tenant.tenant_id]

    async def swap(self, old: Tenant, new: Tenant) -> None:
        row = row_of_tenant(new)
        changed = [column for column in row if column not in ("tenant_id", "create_time")]
        sets = ", ".join(f"{column} = @{column}" for column in changed)
        count = await self._table.run(
            f"UPDATE {self._table.sql} SET {sets} "
            "WHERE tenant_id = @tenant_id AND update_time IN (@old_time, @update_time)",
            {
                **{name: value for name, value in row.items() if name != "create_time"},
                "old_time": old.update_time,
            },
        )
        if count:
            return
        if new.tenant_id not in {found.tenant_id for found in await self.read()}:
            raise TenantNotFound(new.tenant_id)
        raise TenantStale(new.tenant_id)
