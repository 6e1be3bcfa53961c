"""What every command shares: options, the client it calls with, and how it fails."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, TypeVar

import click

from libs.client import Client
from libs.client.cli import failures, output
from libs.client.cli.profiles import Profile, ProfileUnusable, resolve
from libs.common import errors
from libs.common.names import PipelineName, RunName, TenantName

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
        try:
            return Client(self.profile.address, self.profile.api_key)
        except ValueError as error:
            raise click.UsageError(f"address: {error}") from error

    def tenant(self, text: str = "") -> TenantName:
        """Return the tenant named by `text` (an id or a full name), else by option or profile."""
        found = text or self.profile.tenant
        if not found:
            raise click.UsageError(
                "no tenant: give --tenant ID, set CONVERGENCE_TENANT, or use a full name "
                "such as tenants/acme_corp/pipelines/p_focus_billing"
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
            raise click.UsageError(
                f"run is {text!r}; allowed is PIPELINE/RUN or "
                "tenants/TENANT/pipelines/PIPELINE/runs/RUN, as `convergence runs list` prints"
            )
        return _parsed(RunName.parse, f"{self.pipeline(pipeline)}/runs/{run}")


def connected(command: Callable[..., int]) -> Callable[..., None]:
    """Give a command the options that all share and a Session; turn failures into a text and a status."""

    @functools.wraps(command)
    def run(**options: Any) -> None:
        given = {name: options.pop(name) for name in ("address", "tenant", "profile")}
        chosen = options.pop("output")
        try:
            session = Session(profile=resolve(os.environ, **given), format=chosen)
        except ProfileUnusable as error:
            raise click.UsageError(str(error)) from error
        sys.exit(answered(lambda: command(session, **options), chosen))

    for option in reversed(OPTIONS):
        run = option(run)
    return run


OPTIONS = (
    click.option("--tenant", metavar="ID", help="Tenant, where names leave it out."),
    click.option(
        "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
    ),
    click.option("--address", metavar="HOST:PORT", help="Edge to call. [CONVERGENCE_ADDRESS]"),
    click.option(
        "--profile", metavar="NAME", help="Profile of profiles.toml. [CONVERGENCE_PROFILE]"
    ),
)


def answered(work: Callable[[], int], chosen: str) -> int:
    """Return the exit status of `work`; say what failed on standard error."""
    try:
        return work()
    except errors.ServiceError as error:
        said = failures.refusal(error)
    except OSError as error:
        said = failures.Refusal(message=str(error), status=failures.WRONG_ARGUMENTS)
    click.echo(said.json() if chosen == "json" else "\n".join(said.lines()), err=True)
    return said.status


def date_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--date`."""
    return click.option("--date", "window_time", metavar="YYYY-MM-DD", callback=_day, help=text)


def _day(context: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    del context, option
    if text is None:
        return None
    try:
        return output.parse_day(text)
    except ValueError:
        raise click.BadParameter(
            f"found {text!r}; allowed is YYYY-MM-DD, e.g. 2026-11-20"
        ) from None


def _parsed(parse: Callable[[str], Name], text: str) -> Name:
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
