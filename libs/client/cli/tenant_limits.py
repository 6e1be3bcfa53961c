"""What a tenant may use at once, as options and as text."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from convergence.auth.v1.tenant_pb2 import TenantLimits

from libs.client.cli.parameters import Whole

F = TypeVar("F", bound=Callable[..., Any])

FIELDS: Final = (
    "calls_per_second",
    "live_run_count",
    "slot_weight",
    "chunk_count",
    "read_bytes_per_day",
)
"""Fields of TenantLimits that have an option, in order of the help."""

OPTIONS: Final = (
    click.option(
        "--calls-per-second",
        type=click.FloatRange(min=0),
        metavar="NUMBER",
        help="Rate limit; 0 is the platform's.",
    ),
    click.option(
        "--live-runs",
        "live_run_count",
        type=Whole(),
        help="Runs that have begun at once, further ones wait; 0 is the platform's.",
    ),
    click.option(
        "--slot-weight",
        type=click.FloatRange(min=0),
        metavar="NUMBER",
        help="Share of the workers' slots against other tenants; 0 is 1.",
    ),
    click.option(
        "--chunks",
        "chunk_count",
        type=Whole(),
        help="Chunks that workers have at once; 0 is no cap.",
    ),
    click.option(
        "--bytes-per-day",
        "read_bytes_per_day",
        type=Whole(),
        help="Bytes of sources after which runs wait for the next day (UTC); 0 is no cap.",
    ),
)


def limiting(command: F) -> F:
    """Add the options of FIELDS; one that is not given is None."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def taken(options: dict[str, Any]) -> dict[str, Any]:
    """Take the limits out of a command's options; return those that were given, by field."""
    limits = {field: options.pop(field) for field in FIELDS}
    return {field: value for field, value in limits.items() if value is not None}


def limits_text(limits: TenantLimits) -> str:
    """Return the limits that are not the platform's."""
    told = {
        "calls a second": f"{limits.calls_per_second:g}",
        "calls at once": f"{limits.call_burst}",
        "live runs": f"{limits.live_run_count}",
        "slot weight": f"{limits.slot_weight:g}",
        "chunks at once": f"{limits.chunk_count}",
        "bytes a day": f"{limits.read_bytes_per_day}",
    }
    return ", ".join(f"{number} {what}" for what, number in told.items() if number != "0")
