"""`convergence tenants`: the customers of the platform."""

from pathlib import Path
from typing import Any

import click
from convergence.auth.v1.tenant_pb2 import Tenant, TenantLimits, TenantState

from libs.client import Client, NewKey, config_tree
from libs.client.cli import output
from libs.client.cli.session import Session, connected


@click.group()
def tenants() -> None:
    """Create and end tenants (needs a key with platform:admin).

    \b
    Example:
      convergence tenants create acme_corp --display-name "Acme Corp" --configs configs
      convergence tenants list
    """


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@click.option("--display-name", default="", help="What people call the tenant.")
@click.option(
    "--bigquery-project", default="", help="Project of its datasets; the platform's if left out."
)
@click.option(
    "--bigquery-location",
    default="",
    help="Where its data stays, for ever; the platform's if left out.",
)
@click.option(
    "--service-account", default="", help="Account that its BigQuery work and sources act as."
)
@click.option(
    "--source-prefix",
    "source_prefixes",
    multiple=True,
    help="URI that its sources may read (repeatable).",
)
@click.option(
    "--calls-per-second", type=float, default=0.0, help="Rate limit; 0 is the platform's."
)
@click.option("--live-runs", type=int, default=0, help="Live runs at once; 0 is the platform's.")
@click.option(
    "--configs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("configs"),
    show_default=True,
    help="Where to lay out its files.",
)
@click.option("--no-files", is_flag=True, help="Lay out no files.")
@click.option("--no-key", is_flag=True, help="Make no key.")
@connected
def create(
    session: Session,
    tenant_id: str,
    configs: Path,
    no_files: bool,
    no_key: bool,
    calls_per_second: float,
    live_runs: int,
    **fields: Any,
) -> int:
    """Create a tenant, lay out its files and make its first key.

    May be repeated: what is there stays as it is, and a key is made only while the tenant has none.

    \b
    Examples:
      convergence tenants create acme_corp
      convergence tenants create acme_corp --configs /srv/configs --bigquery-location EU
    """
    wanted = Tenant(**fields)
    if calls_per_second or live_runs:
        limits = TenantLimits(calls_per_second=calls_per_second, live_run_count=live_runs)
        wanted.limits.CopyFrom(limits)
    with session.client() as client:
        tenant = client.tenants.create(tenant_id, wanted)
        written = [] if no_files else config_tree.lay_out(configs, tenant_id)
        key = None if no_key else first_key(client, tenant.name)
    if session.json:
        output.print_json(
            {
                "tenant": output.plain(tenant),
                "files": [str(path) for path in written],
                "key": output.plain(key.key) if key else None,
                "secret": key.secret if key else None,
            }
        )
        return 0
    _show_created(tenant, written, key, configs / tenant_id)
    return 0


def first_key(client: Client, tenant: str) -> NewKey | None:
    """Make a key of `tenant` unless it has one."""
    if client.keys.list(tenant, limit=1):
        return None
    return client.keys.create(tenant, description="first key")


def _show_created(tenant: Tenant, written: list[Path], key: NewKey | None, folder: Path) -> None:
    console = output.console()
    console.print(f"{tenant.name} is {_state(tenant)}")
    if written:
        console.print(f"{len(written)} example files in {folder}: read them, then fill secrets/")
    if key:
        console.print(
            f"key {key.key.name}, shown this once:\n\n  export CONVERGENCE_API_KEY={key.secret}\n"
        )
    else:
        console.print(
            "it has keys: `convergence keys list` shows them, `keys create` makes another"
        )


@tenants.command("list")
@click.option("--deleted", is_flag=True, help="List tombstones too.")
@connected
def list_(session: Session, deleted: bool) -> int:
    """List tenants by id.

    \b
    Example:
      convergence tenants list --output json
    """
    with session.client() as client:
        found = client.tenants.list(show_deleted=deleted)
    if session.json:
        output.print_json([output.plain(tenant) for tenant in found])
    else:
        rows = [
            (tenant.name, tenant.display_name, _state(tenant), output.moment(tenant.create_time))
            for tenant in found
        ]
        output.console().print(output.table(rows, "tenant", "display name", "state", "created"))
    return 0


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@connected
def get(session: Session, tenant_id: str) -> int:
    """Show a tenant.

    \b
    Example:
      convergence tenants get acme_corp
    """
    with session.client() as client:
        return _show(session, client.tenants.get(str(session.tenant(tenant_id))))


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@connected
def suspend(session: Session, tenant_id: str) -> int:
    """Stop a tenant: it starts nothing, and runs that do not publish yet are cancelled.

    \b
    Example:
      convergence tenants suspend acme_corp
    """
    with session.client() as client:
        return _show(session, client.tenants.suspend(str(session.tenant(tenant_id))))


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@connected
def resume(session: Session, tenant_id: str) -> int:
    """Let a suspended tenant go on.

    \b
    Example:
      convergence tenants resume acme_corp
    """
    with session.client() as client:
        return _show(session, client.tenants.resume(str(session.tenant(tenant_id))))


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def delete(session: Session, tenant_id: str, yes: bool) -> int:
    """End a tenant: its keys are revoked, its datasets dropped, its id never used again.

    \b
    Example:
      convergence tenants delete acme_corp
    """
    name = session.tenant(tenant_id)
    if not yes:
        click.confirm(f"Drop all data of {name}, for ever?", abort=True, err=True)
    with session.client() as client:
        return _show(session, client.tenants.delete(str(name)))


def _show(session: Session, tenant: Tenant) -> int:
    if session.json:
        output.print_json(output.plain(tenant))
        return 0
    pairs = {
        "tenant": tenant.name,
        "display name": tenant.display_name,
        "state": _state(tenant),
        "project": tenant.bigquery_project,
        "location": tenant.bigquery_location,
        "service account": tenant.service_account,
        "may read": "\n".join(tenant.source_prefixes),
        "created": output.moment(tenant.create_time),
        "changed": output.moment(tenant.update_time),
    }
    output.console().print(output.facts(pairs))
    return 0


def _state(tenant: Tenant) -> str:
    return output.short_state(TenantState.Name(tenant.state))
