"""Datasets and whose they are: a dataset belongs to a tenant by its label, never by its name."""

from collections.abc import Mapping
from typing import Final

from google.api_core import exceptions
from google.cloud import bigquery

from libs.bigquery.client import BigQuery, rest_retry
from libs.bigquery.deadline import Deadline
from libs.bigquery.failures import DatasetNotOwned, calling
from libs.bigquery.tables import TIMEOUT, DatasetId

TENANT_LABEL: Final = "convergence_tenant"


def ensure_dataset(
    bq: BigQuery,
    dataset: DatasetId,
    *,
    tenant: str = "",
    location: str = "",
    labels: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> bool:
    """Make `dataset` for `tenant` unless it exists, and return whether this call made it.

    Args:
        bq: Where.
        dataset: What to make; one found is left as it is.
        tenant: Whose; empty for a dataset of the platform itself.
        location: Where its data lies; empty for the connection's location.
        labels: Labels of a new dataset besides the tenant's.
        timeout: Seconds for everything.

    Raises:
        DatasetNotOwned: It exists without this tenant's label; a platform dataset, with a label.
    """
    limit = Deadline(timeout)
    wanted = bigquery.Dataset(str(dataset))
    wanted.location = location or bq.connection.location
    owner = {TENANT_LABEL: tenant} if tenant else {}
    wanted.labels = {**(labels or {}), **owner}
    with calling(bq.endpoint, "bigquery.create_dataset", f"create dataset {dataset}"):
        try:
            found = _get(bq, dataset, limit.left())
        except exceptions.NotFound:
            try:
                bq.rest.create_dataset(wanted, retry=rest_retry(limit.left()), timeout=limit.left())
            except exceptions.Conflict:
                found = _get(bq, dataset, limit.left())
            else:
                return True
    _check_owner(dataset, found.labels.get(TENANT_LABEL, ""), tenant)
    return False


def dataset_owner(bq: BigQuery, dataset: DatasetId, *, timeout: float = TIMEOUT) -> str | None:
    """Return the tenant whose label `dataset` carries, empty for none, None if it is missing."""
    with calling(bq.endpoint, "bigquery.get_dataset", f"read dataset {dataset}"):
        try:
            found = _get(bq, dataset, timeout)
        except exceptions.NotFound:
            return None
    return str(found.labels.get(TENANT_LABEL, ""))


def check_owner(bq: BigQuery, dataset: DatasetId, *, tenant: str, timeout: float = TIMEOUT) -> None:
    """Raise DatasetNotOwned if `dataset` is there and does not carry the label of `tenant`."""
    owner = dataset_owner(bq, dataset, timeout=timeout)
    if owner is not None:
        _check_owner(dataset, owner, tenant)


def list_datasets(bq: BigQuery, *, tenant: str, timeout: float = TIMEOUT) -> tuple[DatasetId, ...]:
    """Return the datasets that carry the label of `tenant`, in order of name."""
    retry = rest_retry(timeout)
    with calling(bq.endpoint, "bigquery.list_datasets", f"list the datasets of {tenant}"):
        found = [
            DatasetId(item.project, item.dataset_id)
            for item in bq.rest.list_datasets(retry=retry, timeout=timeout)
            if item.labels.get(TENANT_LABEL) == tenant
        ]
    return tuple(sorted(found))


def drop_dataset(
    bq: BigQuery, dataset: DatasetId, *, tenant: str, timeout: float = TIMEOUT
) -> None:
    """Drop `dataset` with all its tables; a missing one is fine, another's is DatasetNotOwned."""
    limit = Deadline(timeout)
    owner = dataset_owner(bq, dataset, timeout=limit.left())
    if owner is None:
        return
    _check_owner(dataset, owner, tenant)
    with calling(bq.endpoint, "bigquery.delete_dataset", f"drop dataset {dataset}"):
        bq.rest.delete_dataset(
            str(dataset),
            delete_contents=True,
            not_found_ok=True,
            retry=rest_retry(limit.left()),
            timeout=limit.left(),
        )


def _get(bq: BigQuery, dataset: DatasetId, timeout: float) -> bigquery.Dataset:
    return bq.rest.get_dataset(str(dataset), retry=rest_retry(timeout), timeout=timeout)


def _check_owner(dataset: DatasetId, found: str, tenant: str) -> None:
    if found == tenant:
        return
    has = "carries another label" if found else "lacks the label"
    raise DatasetNotOwned(
        f"dataset {dataset} {has} {TENANT_LABEL}, which must be {tenant or 'absent'}: rename or "
        f"remove it, or correct the label after making sure whose it is",
        dataset=str(dataset),
        tenant=tenant,
    )
