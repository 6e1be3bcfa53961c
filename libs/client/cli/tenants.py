"""`convergence tenants`: the customers of the platform."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from convergence.auth.v1.tenant_pb2 import Tenant, TenantLimits, TenantState

from libs.client import Client, NewKey, config_tree
from libs.client.cli import output
from libs.client.cli.asking import confirm
from libs.client.cli.session import Session, connected
from libs.client.cli.tenant_limits import limiting, limits_text, taken
from libs.common import errors

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def tenants() -> None:
    """Create and end tenants (needs platform:admin).

    \b
    Examples:
      convergence tenants create acme_corp --display-name "Acme Corp" --configs configs
      convergence tenants list
    """


def reading(command: F) -> F:
    """Add the options that say as whom and where a tenant's sources may read."""
    prefixes = click.option(
        "--may-read",
        multiple=True,
        metavar="URI",
        help="What sources may read: gs://bucket/prefix/ or s3://bucket/prefix/; may be repeated.",
    )
    account = click.option(
        "--service-account", metavar="EMAIL", help="Whom sources on gs:// without a secret act as."
    )
    return prefixes(account(command))


def _reach(*, may_read: tuple[str, ...], service_account: str | None) -> dict[str, Any]:
    """Return the fields of a tenant that the options of `reading` set."""
    fields: dict[str, Any] = {"source_prefixes": sorted(may_read)} if may_read else {}
    return fields if service_account is None else fields | {"service_account": service_account}


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@click.option("--display-name", default="", help="What people call the tenant.")
@limiting
@reading
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
    display_name: str,
    **options: Any,
) -> int:
    """Create a tenant, lay out its files and make its first key.

    May be repeated: what is there stays as it is, and a key is made only while the tenant has none.
    An option that differs from what the tenant has is refused.

    \b
    Examples:
      convergence tenants create acme_corp
      convergence tenants create acme_corp --configs /srv/configs --display-name "Acme Corp"
      convergence tenants create acme_corp --may-read s3://acme-exports/focus/
    """
    limits = taken(options)
    wanted = Tenant(display_name=display_name, **_reach(**options))
    if any(limits.values()):
        wanted.limits.CopyFrom(TenantLimits(**limits))
    with session.client() as client:
        tenant = _created(client, tenant_id, wanted)
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


def _created(client: Client, tenant_id: str, wanted: Tenant) -> Tenant:
    """Return the tenant, created unless it is there and has what `wanted` sets."""
    try:
        return client.tenants.create(tenant_id, wanted)
    except errors.AlreadyExists as error:
        if error.reason != "TENANT_EXISTS":
            raise
        there = client.tenants.get(f"tenants/{tenant_id}")
        if any(getattr(there, field.name) != value for field, value in wanted.ListFields()):
            raise
        return there


def first_key(client: Client, tenant: str) -> NewKey | None:
    """Make a key of `tenant` unless it has one."""
    if client.keys.list(tenant, limit=1):
        return None
    return client.keys.create(tenant, description="first key")


def _show_created(tenant: Tenant, written: list[Path], key: NewKey | None, folder: Path) -> None:
    tenant_id = tenant.name.rpartition("/")[2]
    click.echo(f"{tenant.name} is {_state(tenant)}")
    if written:
        click.echo(f"{len(written)} files in {folder}; its README.md says what goes where")
    if key:
        click.echo(
            f"key {key.key.name}, shown this once:\n\n  export CONVERGENCE_API_KEY={key.secret}\n"
        )
    else:
        click.echo(f"no key was made; `convergence keys list --tenant {tenant_id}` shows its keys")


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
            (
                tenant.name.rpartition("/")[2],
                tenant.display_name,
                _state(tenant),
                output.moment(tenant.create_time),
            )
            for tenant in found
        ]
        listing = output.table(rows, "tenant", "display name", "state", "created")
        output.print_table(listing, "no tenants; `convergence tenants create ID` makes one")
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
@click.option("--display-name", help="What people call the tenant.")
@limiting
@reading
@click.option("--read-nothing", is_flag=True, help="Let it read no object store.")
@connected
def update(
    session: Session, tenant_id: str, display_name: str | None, read_nothing: bool, **options: Any
) -> int:
    """Change a tenant; what no option names stays as it is.

    \b
    Examples:
      convergence tenants update acme_corp --may-read gs://acme-bills/ --may-read s3://acme/focus/
      convergence tenants update acme_corp --read-nothing --service-account ""
      convergence tenants update acme_corp --slot-weight 2 --chunks 8
    """
    changed: dict[str, Any] = {} if display_name is None else {"display_name": display_name}
    limits = taken(options)
    changed |= _reach(**options)
    if read_nothing:
        if "source_prefixes" in changed:
            raise click.UsageError("found --read-nothing and --may-read; give one of them")
        changed["source_prefixes"] = []
    if not changed and not limits:
        raise click.UsageError("found nothing to change; give an option that says what to change")
    wanted = Tenant(name=str(session.tenant(tenant_id)), limits=TenantLimits(**limits), **changed)
    paths = (*changed, *(f"limits.{field}" for field in limits))
    with session.client() as client:
        return _show(session, client.tenants.update(wanted, *paths))


@tenants.command()
@click.argument("tenant_id", metavar="ID")
@connected
def suspend(session: Session, tenant_id: str) -> int:
    """Stop a tenant; its runs that do not publish yet are cancelled.

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
    """End a tenant, its keys and its data; its id is never used again.

    \b
    Example:
      convergence tenants delete acme_corp
    """
    name = session.tenant(tenant_id)
    confirm(f"Drop all data of {name}, for ever?", yes=yes)
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
        "limits": limits_text(tenant.limits),
        "created": output.moment(tenant.create_time),
        "changed": output.moment(tenant.update_time),
    }
    output.console().print(output.facts(pairs))
    return 0


def _state(tenant: Tenant) -> str:
    return output.short_state(TenantState.Name(tenant.state))
