"""Keys and tenants as rows of `metadata.api_keys` and `metadata.tenants`, and back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from libs.common.names import PLATFORM, TENANT_ID
from services.auth import keys
from services.auth.keys import KeyRecord
from services.auth.tenants import Limits, Tenant, TenantState

Row = Mapping[str, object]
"""Values by column, as BigQuery's client gives them: TIMESTAMP as datetime, NULL as None."""

DIGEST_LENGTH: Final = 64


def key_of(row: Row) -> KeyRecord:
    """Read a row of `metadata.api_keys`, which somebody may have made by hand.

    NULL in a column beyond the first six means its default; NULL in `is_active` means FALSE.

    Raises:
        ValueError: the row names no key of a tenant: the message says why and shows no secret.
    """
    digest = _text(row, "api_key_hash").strip().lower()
    if len(digest) != DIGEST_LENGTH or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(
            f"api_key_hash has {len(digest)} characters; allowed is TO_HEX(SHA256(key))"
        )
    tenant = _text(row, "tenant_id")
    if tenant != PLATFORM and not TENANT_ID.fullmatch(tenant):
        raise ValueError(f"tenant_id is {tenant!r}; allowed is {TENANT_ID.pattern} or {PLATFORM}")
    key_id = _text(row, "key_id")
    scopes = row.get("scopes")
    return KeyRecord(
        digest=digest,
        tenant=tenant,
        key_id=key_id if keys.valid_key_id(key_id) else keys.derived_key_id(digest),
        create_time=_time(row, "created_at"),
        created_by=_text(row, "created_by"),
        active=row.get("is_active") is True,
        description=_text(row, "description"),
        scopes=keys.parse_scopes(None if scopes is None else str(scopes), tenant),
        expire_time=_time(row, "expires_at"),
        revoke_time=_time(row, "revoked_at"),
        superseded_by=_text(row, "superseded_by"),
        last_use_time=_time(row, "last_used_at"),
    )


def row_of_key(key: KeyRecord) -> dict[str, object]:
    """Return the values of every column of `metadata.api_keys`."""
    return {
        "api_key_hash": key.digest,
        "tenant_id": key.tenant,
        "created_at": key.create_time,
        "created_by": key.created_by,
        "is_active": key.active,
        "description": key.description,
        "key_id": key.key_id,
        "scopes": " ".join(sorted(key.scopes)),
        "expires_at": key.expire_time,
        "revoked_at": key.revoke_time,
        "superseded_by": key.superseded_by or None,
        "last_used_at": key.last_use_time,
    }


def tenant_of(row: Row) -> Tenant:
    """Read a row of `metadata.tenants`.

    Raises:
        ValueError: id, state or a time is none.
    """
    tenant_id = _text(row, "tenant_id")
    if not TENANT_ID.fullmatch(tenant_id):
        raise ValueError(f"tenant_id is {tenant_id!r}; allowed is {TENANT_ID.pattern}")
    create_time, update_time = _time(row, "create_time"), _time(row, "update_time")
    if create_time is None or update_time is None:
        raise ValueError(f"create_time or update_time of {tenant_id} is NULL")
    prefixes = row.get("source_prefixes") or ()
    assert isinstance(prefixes, list | tuple)
    return Tenant(
        tenant_id=tenant_id,
        create_time=create_time,
        update_time=update_time,
        display_name=_text(row, "display_name"),
        state=TenantState(_text(row, "state")),
        bigquery_project=_text(row, "bigquery_project"),
        bigquery_location=_text(row, "bigquery_location"),
        service_account=_text(row, "service_account"),
        source_prefixes=tuple(str(prefix) for prefix in prefixes),
        limits=Limits(
            calls_per_second=float(str(row.get("calls_per_second") or 0)),
            call_burst=int(str(row.get("call_burst") or 0)),
            live_run_count=int(str(row.get("live_run_count") or 0)),
            slot_weight=float(str(row.get("slot_weight") or 0)),
            chunk_count=int(str(row.get("chunk_count") or 0)),
            read_bytes_per_day=int(str(row.get("read_bytes_per_day") or 0)),
        ),
    )


def row_of_tenant(tenant: Tenant) -> dict[str, object]:
    """Return the values of every column of `metadata.tenants`."""
    return {
        "tenant_id": tenant.tenant_id,
        "display_name": tenant.display_name,
        "state": tenant.state.value,
        "bigquery_project": tenant.bigquery_project,
        "bigquery_location": tenant.bigquery_location,
        "service_account": tenant.service_account,
        "source_prefixes": list(tenant.source_prefixes),
        "calls_per_second": tenant.limits.calls_per_second,
        "call_burst": tenant.limits.call_burst,
        "live_run_count": tenant.limits.live_run_count,
        "create_time": tenant.create_time,
        "update_time": tenant.update_time,
        "slot_weight": tenant.limits.slot_weight,
        "chunk_count": tenant.limits.chunk_count,
        "read_bytes_per_day": tenant.limits.read_bytes_per_day,
    }


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value)


def _time(row: Row, column: str) -> datetime | None:
    value = row.get(column)
    if value is None:
        return None
    assert isinstance(value, datetime)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
