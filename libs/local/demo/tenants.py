"""The two tenants of the demonstration: their files, secrets, keys and runs."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Final

from convergence.auth.v1.tenant_pb2 import Tenant

from libs.client import AsyncClient
from libs.client.config_tree import lay_out, write_secret
from libs.local.mesh.plans import ROOT

EXAMPLES: Final = ROOT / "examples" / "configs"
BILL: Final = EXAMPLES / "acme_corp" / "bills" / "focus_sample.csv"
BILL_PIPELINE: Final = "p_focus_billing"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DemoTenant:
    """A tenant, the key that opens its source, and the pipelines that are run for it."""

    tenant_id: str
    display_name: str
    source_key: str
    pipelines: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"tenants/{self.tenant_id}"


TENANTS: Final = (
    DemoTenant(
        tenant_id="acme_corp",
        display_name="Acme Corp",
        source_key="sk-admin-acme-demo",
        pipelines=(BILL_PIPELINE, "p_openai_daily"),
    ),
    DemoTenant(
        tenant_id="widgetsinc",
        display_name="Widgets Inc",
        source_key="sk-admin-widgets-demo",
        pipelines=("p_openai_daily",),
    ),
)


def write_files(configs: Path, openai_address: str, bill: Path) -> None:
    """Lay out both tenants' files: the examples, with this bill and the local OpenAI's address."""
    for tenant in TENANTS:
        folder = configs / tenant.tenant_id
        shutil.copytree(EXAMPLES / tenant.tenant_id, folder)
        lay_out(configs, tenant.tenant_id)
        write_secret(configs, tenant.tenant_id, "openai_api_key", tenant.source_key)
        source = folder / "sources" / "openai_usage.yml"
        text, count = re.subn(
            r"(?m)^(\s+base_url:).*$", rf"\1 {openai_address}", source.read_text()
        )
        assert count == 1, f"{source} has one base_url"
        source.write_text(text)
    bills = configs / "acme_corp" / "bills"
    if bill.resolve() != BILL.resolve():
        (bills / BILL.name).unlink()
        shutil.copy(bill, bills / bill.name)


async def create(platform: AsyncClient, tenant: DemoTenant) -> str:
    """Create the tenant and return its first key."""
    await platform.tenants.create(tenant.tenant_id, Tenant(display_name=tenant.display_name))
    made = await platform.keys.create(tenant.name, description="demonstration")
    return made.secret
