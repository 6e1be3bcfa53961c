"""`convergence runs queue`: how the slots of workers are shared at this moment."""

from collections.abc import Iterable

import click
from convergence.orchestrator.v1.queue_pb2 import (
    AccountQueue,
    StreamQueue,
    TenantQueue,
    WorkerSlots,
)

from libs.client.cli import output
from libs.client.cli.listings import Listing
from libs.client.cli.session import Session, connected
from libs.common.names import PLATFORM

EVERY_TENANT = f"tenants/{PLATFORM}"


@click.command()
@click.option(
    "--all", "everybody", is_flag=True, help="All tenants and the workers (needs platform:admin)."
)
@connected
def queue(session: Session, everybody: bool) -> int:
    """Show which slots of workers a tenant has, and what waits.

    \b
    Examples:
      convergence runs queue
      convergence runs queue --all --output json
    """
    parent = EVERY_TENANT if everybody else str(session.tenant())
    with session.client() as client:
        answer = client.runs.queue(parent)
    if session.json:
        output.print_json(output.plain(answer))
        return 0
    output.print_table(_tenants(answer.tenants), "no tenant has a slot or waits for one")
    if answer.accounts:
        click.echo()
        output.print_table(_accounts(answer.accounts), "")
    if everybody:
        click.echo()
        output.print_table(_workers(answer.workers), "the orchestrator knows no worker")
        _print_streams(answer.streams)
    return 0


def _tenants(tenants: Iterable[TenantQueue]) -> Listing:
    rows = [
        (
            one.tenant.rpartition("/")[2],
            f"{one.slot_weight:g}",
            f"{one.chunk_count}" if one.chunk_count else "all",
            f"{one.slot_count}",
            f"{one.waiting_chunk_count}",
            _lanes(one),
            output.moment(one.wait_start_time),
            f"{one.begun_run_count} of {one.live_run_count}",
            f"{one.waiting_run_count}",
        )
        for one in tenants
    ]
    numbers = ("weight", "at most", "slots", "waiting")
    return output.table(
        rows, "tenant", *numbers, "of them", "since", "runs", "pending", right=(*numbers, "pending")
    )


def _lanes(tenant: TenantQueue) -> str:
    return ", ".join(
        f"{lane.waiting_chunk_count} {output.short_lane(lane.lane)}"
        for lane in tenant.lanes
        if lane.waiting_chunk_count
    )


def _accounts(accounts: Iterable[AccountQueue]) -> Listing:
    rows = [
        (
            one.tenant.rpartition("/")[2],
            one.secret,
            f"{one.requests_per_minute:g}",
            f"{one.given_requests_per_minute:g}",
            f"{one.using_count}",
            f"{one.waiting_count}",
            "rests" if one.resting else "takes requests",
        )
        for one in accounts
    ]
    numbers = ("a minute", "given", "to", "waiting")
    return output.table(rows, "tenant", "account", *numbers, "now", right=numbers)


def _print_streams(streams: StreamQueue) -> None:
    if streams.per_hour_count:
        wait = output.moment(streams.ready_time)
        when = f"the next one at {wait}" if wait else f"{streams.ready_count} at once"
        click.echo(f"\nstreams: {streams.per_hour_count} an hour, {when}")


def _workers(workers: Iterable[WorkerSlots]) -> Listing:
    rows = [
        (
            one.address,
            f"{one.slot_count}",
            f"{one.busy_slot_count}",
            "drains" if one.draining else "rests" if one.resting else "takes chunks",
        )
        for one in workers
    ]
    return output.table(rows, "worker", "slots", "busy", "now", right=("slots", "busy"))
