"""The Python SDK and the CLI: typed clients of what tenants and operators may call.

`AsyncClient` and `Client` (blocking) have the same methods. Resources come back as the generated messages
of `convergence.*.v1`, whose comments are their manual; what no message holds is a small dataclass.
Failures are the kinds of `libs.common.errors`, with `reason` and `metadata`.
"""

from libs.client.aio import AsyncClient
from libs.client.blocking import Client
from libs.client.keys import NewKey
from libs.client.runs import SETTLED, Watched

__all__ = ["SETTLED", "AsyncClient", "Client", "NewKey", "Watched"]
