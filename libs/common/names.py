"""Resource names. Each begins with its tenant, so that one place can compare tenants."""

import dataclasses
import re
from typing import Final, Self

ID: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
TENANT_ID: Final = re.compile(r"[a-z][a-z0-9_]{1,62}")
PLATFORM: Final = "-"
"""Tenant of platform keys: no tenant has this id."""


def checked(text: str, pattern: re.Pattern[str], what: str) -> str:
    """Return `text` if it is a whole match of `pattern`; raise ValueError naming both otherwise."""
    if not pattern.fullmatch(text):
        raise ValueError(f"{what} is {text!r}; allowed is {pattern.pattern}")
    return text


def _parts(text: str, *collections: str) -> list[str]:
    parts = text.split("/")
    if len(parts) != 2 * len(collections) or tuple(parts[::2]) != collections:
        form = "/".join(f"{name}/{{{name.rstrip('s')}}}" for name in collections)
        raise ValueError(f"found {text!r}; allowed is {form}")
    return parts[1::2]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class TenantName:
    """`tenants/{tenant}`."""

    tenant: str

    @classmethod
    def parse(cls, text: str) -> Self:
        (tenant,) = _parts(text, "tenants")
        return cls(checked(tenant, TENANT_ID, "tenant"))

    def __str__(self) -> str:
        return f"tenants/{self.tenant}"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class PipelineName:
    """`tenants/{tenant}/pipelines/{pipeline}`."""

    tenant: str
    pipeline: str

    @classmethod
    def parse(cls, text: str) -> Self:
        tenant, pipeline = _parts(text, "tenants", "pipelines")
        return cls(checked(tenant, TENANT_ID, "tenant"), checked(pipeline, ID, "pipeline"))

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/pipelines/{self.pipeline}"

    def run(self, run: str) -> "RunName":
        return RunName(self.tenant, self.pipeline, run)

    def backfill(self, backfill: str) -> "BackfillName":
        return BackfillName(self.tenant, self.pipeline, backfill)


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class ScheduleName:
    """`tenants/{tenant}/pipelines/{pipeline}/schedule`: a pipeline has one, or none."""

    tenant: str
    pipeline: str

    @classmethod
    def parse(cls, text: str) -> Self:
        pipeline, _, last = text.rpartition("/")
        if last != "schedule":
            form = "tenants/{tenant}/pipelines/{pipeline}/schedule"
            raise ValueError(f"found {text!r}; allowed is {form}")
        parent = PipelineName.parse(pipeline)
        return cls(parent.tenant, parent.pipeline)

    @property
    def parent(self) -> PipelineName:
        return PipelineName(self.tenant, self.pipeline)

    def __str__(self) -> str:
        return f"{self.parent}/schedule"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class RunName:
    """`tenants/{tenant}/pipelines/{pipeline}/runs/{run}`."""

    tenant: str
    pipeline: str
    run: str

    @classmethod
    def parse(cls, text: str) -> Self:
        tenant, pipeline, run = _parts(text, "tenants", "pipelines", "runs")
        return cls(
            checked(tenant, TENANT_ID, "tenant"),
            checked(pipeline, ID, "pipeline"),
            checked(run, ID, "run"),
        )

    @property
    def parent(self) -> PipelineName:
        return PipelineName(self.tenant, self.pipeline)

    def __str__(self) -> str:
        return f"{self.parent}/runs/{self.run}"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class BackfillName:
    """`tenants/{tenant}/pipelines/{pipeline}/backfills/{backfill}`."""

    tenant: str
    pipeline: str
    backfill: str

    @classmethod
    def parse(cls, text: str) -> Self:
        tenant, pipeline, backfill = _parts(text, "tenants", "pipelines", "backfills")
        return cls(
            checked(tenant, TENANT_ID, "tenant"),
            checked(pipeline, ID, "pipeline"),
            checked(backfill, ID, "backfill"),
        )

    @property
    def parent(self) -> PipelineName:
        return PipelineName(self.tenant, self.pipeline)

    def __str__(self) -> str:
        return f"{self.parent}/backfills/{self.backfill}"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class ApiKeyName:
    """`tenants/{tenant}/apiKeys/{key}`; the tenant of platform keys is `-`."""

    tenant: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        tenant, key = _parts(text, "tenants", "apiKeys")
        if tenant != PLATFORM:
            checked(tenant, TENANT_ID, "tenant")
        return cls(tenant, checked(key, ID, "key"))

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/apiKeys/{self.key}"


def tenant_of(name: str) -> str | None:
    """Return the tenant that a resource name or parent begins with, None if it is no such name."""
    head, _, rest = name.partition("/")
    tenant = rest.partition("/")[0]
    if head != "tenants" or not (tenant == PLATFORM or TENANT_ID.fullmatch(tenant)):
        return None
    return tenant
