"""Everything that stands between the mesh's processes: links, and BigQuery's two ports."""

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable

from libs.local.mesh.states import State
from tests.faults.histories import History
from tests.faults.links import Link
from tests.faults.mesh import LINKS
from tests.faults.odometer import Odometer
from tests.faults.rest_port import RestPort
from tests.faults.storage_port import StoragePort


@dataclasses.dataclass(slots=True, kw_only=True)
class Wire:
    """Open links; where they lead is known once the mesh has a state."""

    odometer: Odometer
    links: dict[str, Link]
    rest: RestPort
    storage: StoragePort
    state: State | None = None
    leader: Callable[[], str | None] = lambda: None
    """Address of the orchestrator that leads."""
    struck: Callable[[str, str], None] = lambda kind, at: None

    def addresses(self) -> dict[str, str]:
        return {name: link.address for name, link in self.links.items()}


@contextlib.asynccontextmanager
async def opened(history: History) -> AsyncGenerator[Wire]:
    """Open every link and port of a mesh to come."""
    odometer = Odometer()

    def at(name: str) -> str:
        return made.state.addresses()[name] if made.state else ""

    def upstream(name: str) -> str | None:
        if name == "bigquery_rest":
            return made.rest.address
        if name == "bigquery_grpc":
            return made.storage.address
        if name == "orchestrator":
            return made.leader()
        return at(name) or None

    def struck(kind: str, where: str) -> None:
        made.struck(kind, where)

    made = Wire(
        odometer=odometer,
        links={name: Link(lambda n=name: upstream(n)) for name in LINKS},  # type: ignore[misc]
        rest=RestPort(lambda: at("bigquery_rest"), odometer, struck),
        storage=StoragePort(lambda: at("bigquery_grpc"), odometer, struck, history.now),
    )
    async with contextlib.AsyncExitStack() as stack:
        parts: list[RestPort | StoragePort | Link] = [made.rest, made.storage, *made.links.values()]
        for part in parts:
            await part.open()
            stack.push_async_callback(part.close)
        yield made
