"""`convergence keys`: what callers show."""

from datetime import UTC, datetime, timedelta

import click
from convergence.auth.v1.api_key_pb2 import ApiKey

from libs.client import NewKey
from libs.client.cli import output
from libs.client.cli.parameters import Span
from libs.client.cli.session import Session, connected


@click.group()
def keys() -> None:
    """Create and end API keys (needs tenant:admin).

    \b
    Example:
      convergence keys create --tenant acme_corp --description "nightly job" --expires-in 90d
    """


@keys.command()
@click.option("--description", default="", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="What it may do (repeatable): runs:read, runs:write, pipelines:read, tenant:admin, platform:admin. Without: the first three.",
)
@click.option("--expires-in", type=Span(), help="When it ends, e.g. 90d; without: never.")
@click.option("--platform", is_flag=True, help="A key of the platform, not of a tenant.")
@connected
def create(
    session: Session,
    description: str,
    scopes: tuple[str, ...],
    expires_in: timedelta | None,
    platform: bool,
) -> int:
    """Create a key and show it, once.

    \b
    Examples:
      convergence keys create --tenant acme_corp --description "nightly job"
      convergence keys create --tenant acme_corp --scope runs:read --expires-in 30d --output json
    """
    parent = "tenants/-" if platform else str(session.tenant())
    ends = datetime.now(UTC) + expires_in if expires_in else None
    with session.client() as client:
        made = client.keys.create(parent, description=description, scopes=scopes, expire_time=ends)
    return _show_new(session, made)


@keys.command("list")
@click.option("--platform", is_flag=True, help="Keys of the platform, not of a tenant.")
@connected
def list_(session: Session, platform: bool) -> int:
    """List keys without their secrets, newest first.

    \b
    Example:
      convergence keys list --tenant acme_corp
    """
    parent = "tenants/-" if platform else str(session.tenant())
    with session.client() as client:
        found = client.keys.list(parent)
    if session.json:
        output.print_json([output.plain(key) for key in found])
        return 0
    rows = [
        (
            key.name,
            key.description,
            "active" if key.active else "ended",
            _may(key),
            output.moment(key.expire_time) or "never",
            output.moment(key.last_use_time),
        )
        for key in found
    ]
    columns = ("key", "description", "state", "scopes", "ends", "last used")
    listing = output.table(rows, *columns, prose=["description", "scopes"])
    output.print_table(listing, f"{parent} has no keys; `convergence keys create` makes one")
    return 0


@keys.command()
@click.argument("name", metavar="KEY")
@click.option(
    "--overlap",
    type=Span(),
    help="How long the old key still works; a day if left out, 0m ends it now.",
)
@connected
def rotate(session: Session, name: str, overlap: timedelta | None) -> int:
    """Make a key like KEY and let KEY end after an overlap.

    \b
    Example:
      convergence keys rotate tenants/acme_corp/apiKeys/k_3fz9 --overlap 2h
    """
    with session.client() as client:
        made = client.keys.rotate(_full(session, name), overlap=overlap)
    return _show_new(session, made)


@keys.command()
@click.argument("name", metavar="KEY")
@connected
def revoke(session: Session, name: str) -> int:
    """End KEY; every service refuses it within a minute.

    \b
    Example:
      convergence keys revoke tenants/acme_corp/apiKeys/k_3fz9
    """
    with session.client() as client:
        key = client.keys.revoke(_full(session, name))
    if session.json:
        output.print_json(output.plain(key))
    else:
        click.echo(f"{key.name} is revoked; every service refuses it within a minute")
    return 0


def _full(session: Session, name: str) -> str:
    return name if name.startswith("tenants/") else f"{session.tenant()}/apiKeys/{name}"


def _show_new(session: Session, made: NewKey) -> int:
    if session.json:
        output.print_json({"key": output.plain(made.key), "secret": made.secret})
        return 0
    click.echo(f"key {made.key.name} ({_may(made.key)}), shown this once:\n")
    click.echo(f"  export CONVERGENCE_API_KEY={made.secret}\n")
    if made.superseded:
        click.echo(f"{made.superseded.name} ends {output.moment(made.superseded.expire_time)}")
    return 0


def _may(key: ApiKey) -> str:
    return ", ".join(key.scopes) or "runs:read, runs:write, pipelines:read"
