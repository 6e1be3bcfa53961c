"""Keeps the dispatcher's workers those that are found: a channel for who comes, an end for who is gone."""

import contextlib
from collections.abc import Callable
from typing import Protocol

import structlog

from services.orchestrator.workers.discovery import Discovery, Found, Place
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.workers import Worker

log = structlog.get_logger()


class Leaving(Worker, Protocol):
    """A worker whose calls can be ended."""

    def leave(self) -> None:
        """Take the worker for gone: its calls end at once, as those of a worker that died."""


class Connection(Protocol):
    """What a worker is called over."""

    async def close(self) -> None:
        """End it. May be repeated."""


class Roster:
    """The workers that there are, each with a connection of its own."""

    def __init__(
        self,
        discovery: Discovery,
        dispatcher: Dispatcher,
        open_worker: Callable[[str], tuple[Leaving, Connection]],
    ) -> None:
        self._discovery = discovery
        self._dispatcher = dispatcher
        self._open = open_worker
        self._there: dict[Place, tuple[Leaving, Connection]] = {}

    async def follow(self) -> None:
        """Follow who is found, for ever."""
        async with contextlib.aclosing(self._discovery.follow()) as versions:
            async for found in versions:
                await self._arrange(found)

    async def _arrange(self, found: Found) -> None:
        for place in self._there.keys() - found.keys():
            await self._part(place)
        for place, takes_work in found.items():
            if place not in self._there:
                self._there[place] = self._open(place.address)
                self._dispatcher.join(self._there[place][0])
                log.info("worker.found", address=place.address)
            self._dispatcher.drain(self._there[place][0], not takes_work)

    async def _part(self, place: Place) -> None:
        worker, connection = self._there.pop(place)
        self._dispatcher.leave(worker)
        worker.leave()
        await connection.close()
        log.info("worker.gone", address=place.address)

    async def close(self) -> None:
        """End all connections."""
        for _, connection in self._there.values():
            await connection.close()
