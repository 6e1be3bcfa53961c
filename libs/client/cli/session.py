"""What every command shares: options, the client it calls with, and how it fails."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

from libs.client import Client
from libs.client.addresses import Address
from libs.client.cli.parameters import output_option
from libs.client.cli.profiles import Profile, ProfileUnusable, resolve
from libs.common.names import BackfillName, PipelineName, RunName, TenantName

Name = TypeVar("Name")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One command's way to the edge and its way to answer."""

    profile: Profile
    format: Literal["table", "json"]

    @property
    def json(self) -> bool:
        return self.format == "json"

    def client(self) -> Client:
        """Return a client; an address or a key that cannot be one is refused."""
        try:
            Address.parse(self.profile.address)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="address") from error
        try:
            return Client(self.profile.address, self.profile.api_key)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="API key") from error

    def tenant(self, text: str = "") -> TenantName:
        """Return the tenant named by `text` (an id or a full name), else by option or profile."""
        found = text or self.profile.tenant
        if not found:
            raise click.BadParameter(
                "found none; give --tenant ID, set CONVERGENCE_TENANT, or use a full name "
                "such as tenants/acme_corp/pipelines/p_focus_billing",
                param_hint="tenant",
            )
        return _parsed(TenantName.parse, found if "/" in found else f"tenants/{found}")

    def pipeline(self, text: str) -> PipelineName:
        """Return the pipeline named by an id of the session's tenant or by its full name."""
        full = text if text.startswith("tenants/") else f"{self.tenant()}/pipelines/{text}"
        return _parsed(PipelineName.parse, full)

    def run(self, text: str) -> RunName:
        """Return the run named by `pipeline/run` of the session's tenant or by its full name."""
        if text.startswith("tenants/"):
            return _parsed(RunName.parse, text)
        pipeline, slash, run = text.partition("/")
        if not slash:
            raise click.BadParameter(
                f"found {text!r}; allowed is PIPELINE/RUN or "
                "tenants/TENANT/pipelines/PIPELINE/runs/RUN, as `convergence runs list` prints",
                param_hint="RUN",
            )
        return _parsed(RunName.parse, f"{self.pipeline(pipeline)}/runs/{run}")

    def backfill(self, text: str) -> BackfillName:
        """Return the backfill named by `pipeline/backfill` of the session's tenant or by its full name."""
        if text.startswith("tenants/"):
            return _parsed(BackfillName.parse, text)
        pipeline, slash, backfill = text.partition("/")
        if not slash:
            raise click.BadParameter(
                f"found {text!r}; allowed is PIPELINE/BACKFILL or "
                "tenants/TENANT/pipelines/PIPELINE/backfills/BACKFILL, as `convergence backfills list` "
                "prints",
                param_hint="BACKFILL",
            )
        return _parsed(BackfillName.parse, f"{self.pipeline(pipeline)}/backfills/{backfill}")

    def short_backfill(self, backfill: str) -> str:
        """Return a backfill's name as the next command takes it: PIPELINE/BACKFILL of the own tenant."""
        name = BackfillName.parse(backfill)
        return f"{name.pipeline}/{name.backfill}" if self._own(name.tenant) else backfill

    def short(self, run: str) -> str:
        """Return a run's name as the next command takes it: PIPELINE/RUN of the own tenant."""
        name = RunName.parse(run)
        return f"{name.pipeline}/{name.run}" if self._own(name.tenant) else run

    def _own(self, tenant: str) -> bool:
        return tenant == self.profile.tenant.removeprefix("tenants/")


def connected(command: Callable[..., int]) -> Callable[..., None]:
    """Give a command the options that all share and a Session; its answer is the exit status."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        given = {name: options.pop(name) for name in ("address", "tenant", "profile")}
        try:
            profile = resolve(os.environ, **given)
        except ProfileUnusable as error:
            raise click.UsageError(str(error)) from error
        session = Session(profile=profile, format=options.pop("output"))
        sys.exit(command(session, **options))

    for option in reversed(OPTIONS):
        run = option(run)
    return run


OPTIONS = (
    click.option(
        "--tenant", metavar="ID", help="Tenant, where names leave it out. [CONVERGENCE_TENANT]"
    ),
    output_option(),
    click.option("--address", metavar="HOST:PORT", help="Edge to call. [CONVERGENCE_ADDRESS]"),
    click.option(
        "--profile", metavar="NAME", help="Profile of profiles.toml. [CONVERGENCE_PROFILE]"
    ),
)


def _parsed(parse: Callable[[str], Name], text: str) -> Name:
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
