"""The Python SDK and the CLI: typed clients of what tenants and operators may call.

`AsyncClient` and `Client` (blocking) have the same methods. Resources come back as the generated messages
of `convergence.*.v1`, whose comments are their manual; what no message holds is a small dataclass.
Failures are the kinds of `libs.common.errors`, with `reason` and `metadata`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from libs.client.aio import AsyncClient
    from libs.client.blocking import Client
    from libs.client.keys import NewKey
    from libs.client.runs import SETTLED, Watched

__all__ = ["SETTLED", "AsyncClient", "Client", "NewKey", "Watched"]

_HOMES = {
    "AsyncClient": "aio",
    "Client": "blocking",
    "NewKey": "keys",
    "SETTLED": "runs",
    "Watched": "runs",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: the CLI has something to say to gRPC before it is loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
