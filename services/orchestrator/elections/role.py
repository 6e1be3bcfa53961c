"""How callers come to the orchestrator that leads: the port, and its keeper."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.elections.elections import LeaseLost, LeaseTaken

log = structlog.get_logger()

LOOK_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0


class Role(Protocol):
    """Leads callers to one orchestrator."""

    async def take(self) -> None:
        """Lead callers to this orchestrator and to no other. May be repeated.

        Raises:
            LeaseTaken, LeaseLost: it does not lead any more, and nothing was changed.
            FailedPrecondition: it cannot before somebody changes what is named.
            Unavailable: it cannot now.
        """

    async def leave(self) -> None:
        """Lead no caller to this orchestrator, which does not lead.

        Raises:
            FailedPrecondition: it cannot before somebody changes what is named.
            Unavailable: it cannot now.
        """


async def give_up(role: Role) -> None:
    """Leave the role that this orchestrator may have from a former life; go on if that cannot be done now."""
    try:
        await role.leave()
    except (FailedPrecondition, Unavailable) as error:
        log.warning("role.kept", reason=error.reason, cause=str(error))


async def keep(role: Role, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Take the role now, and again whenever somebody has changed that; for as long as this one leads.

    Raises:
        LeaseTaken, LeaseLost: it does not.
    """
    while True:
        try:
            await role.take()
        except (LeaseTaken, LeaseLost):
            raise
        except (FailedPrecondition, Unavailable) as error:
            log.warning("role.refused", reason=error.reason, cause=str(error))
            await sleep(RETRY_SECONDS)
        else:
            await sleep(LOOK_SECONDS)
