"""A small API server of Kubernetes over HTTP: objects with versions, optimistic locking, watches, and dials.

It keeps no schema: what the official client sends is stored as it is. What an adapter expects of a real one is
checked by running the same contracts against one (CONTRIBUTING.md says how).
"""

import asyncio
import contextlib
import dataclasses
import enum
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final, NoReturn

from aiohttp import web

GROUPS: Final = {
    "leases": "/apis/coordination.k8s.io/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "pods": "/api/v1",
    "secrets": "/api/v1",
}
KINDS: Final = {
    "leases": "Lease",
    "endpointslices": "EndpointSlice",
    "pods": "Pod",
    "secrets": "Secret",
}
REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
Key = tuple[str, str, str]


class Mishap(enum.Enum):
    """What becomes of a request instead of an answer."""

    DROP = "nothing is done and the connection ends"
    LOSE = "it is done and the connection ends"
    HANG = "nothing is done and nothing is said"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A status that a request is answered with; nothing is done."""

    code: int
    message: str = "refused by a dial"
    retry_after: int | None = None


@dataclasses.dataclass(slots=True)
class KubeApi:
    """Objects of four kinds, whose tokens they are, and dials.

    next_answers: What the next requests meet, in order.
    always: What every request meets, while it is set.
    """

    address: str = ""
    version: int = 0
    objects: dict[Key, dict[str, Any]] = dataclasses.field(default_factory=dict)
    next_answers: list[Mishap | Refusal] = dataclasses.field(default_factory=list)
    next_writes: list[Mishap | Refusal] = dataclasses.field(default_factory=list)
    """The same for requests that write."""
    always: Mishap | Refusal | None = None
    gate: asyncio.Event | None = None
    """What was done is answered when this is set."""
    lists: list[str] = dataclasses.field(default_factory=list)
    """Kinds of the lists that were asked for."""
    watch_count: int = 0
    """Watches that were begun."""
    asked: list[str] = dataclasses.field(default_factory=list)
    """Method and path of each request."""
    tokens: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """Of each token whose it is, and for which audience."""
    audiences: bool = True
    """Whether audiences are looked at: an authenticator that knows none says nothing of them."""
    _events: list[tuple[int, str, str, dict[str, Any]]] = dataclasses.field(default_factory=list)
    _oldest: int = 0
    _changed: asyncio.Condition = dataclasses.field(default_factory=asyncio.Condition)
    _watches: set[asyncio.Task[Any]] = dataclasses.field(default_factory=set)

    def kubeconfig(self, file: Path) -> Path:
        """Write the file that says where this server is."""
        return kubeconfig(file, self.address)

    async def put(self, kind: str, namespace: str, name: str, /, **content: Any) -> dict[str, Any]:
        """Create or replace an object, whatever its version was."""
        key = (kind, namespace, name)
        event = "MODIFIED" if key in self.objects else "ADDED"
        metadata = {**content.pop("metadata", {}), "namespace": namespace, "name": name}
        return await self._store(event, key, {**content, "metadata": metadata})

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        await self._store("DELETED", (kind, namespace, name), self.objects[kind, namespace, name])

    async def forget(self) -> None:
        """Forget what changed: watches from before now are too old."""
        self._events.clear()
        self._oldest = self.version

    async def cut(self) -> None:
        """End the watches under way in the middle of a line."""
        for task in self._watches:
            task.cancel()

    async def _store(self, event: str, key: Key, thing: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        group = GROUPS[key[0]].removeprefix("/apis/").removeprefix("/api/")
        metadata = {**thing["metadata"], "resourceVersion": str(self.version)}
        thing = {**thing, "apiVersion": group, "kind": KINDS[key[0]], "metadata": metadata}
        if event == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = thing
        async with self._changed:
            self._events.append((self.version, f"{key[0]}/{key[1]}", event, thing))
            self._changed.notify_all()
        return thing

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        meets = self._meets(request.method)
        if meets is Mishap.HANG:
            await asyncio.Event().wait()
        if isinstance(meets, Refusal):
            return _status(meets.code, meets.message, meets.retry_after)
        if meets is not Mishap.DROP:
            answer = await self._answer(request)
            if self.gate is not None:
                await self.gate.wait()
        if meets is not None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer

    def _meets(self, method: str) -> Mishap | Refusal | None:
        for dial in (self.next_answers, [] if method == "GET" else self.next_writes):
            if dial:
                return dial.pop(0)
        return self.always

    async def _reviewed(self, request: web.Request) -> web.Response:
        spec = (await request.json())["spec"]
        who, audience = self.tokens.get(spec["token"], ("", ""))
        known = bool(who) and (audience in spec["audiences"] or not self.audiences)
        said = {"authenticated": True, "user": {"username": who}}
        if self.audiences:
            said["audiences"] = [audience]
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        return web.json_response({**review, "status": said if known else {}}, status=201)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == REVIEWS:
            return await self._reviewed(request)
        key = (
            request.match_info["kind"],
            request.match_info["namespace"],
            request.match_info.get("name", ""),
        )
        # Read first: nothing may happen between a look at what is there and the write that rests on it.
        body = await request.json() if request.can_read_body else {}
        if request.method == "POST":
            key = (*key[:2], body["metadata"]["name"])
            if key in self.objects:
                return _status(409, f'{key[0]} "{key[2]}" already exists')
            return web.json_response(await self.put(*key, **body), status=201)
        if not key[2]:
            return await self._many(request, key)
        there = self.objects.get(key)
        if there is None:
            return _status(404, f'{key[0]} "{key[2]}" not found')
        if request.method == "GET":
            return web.json_response(there)
        if request.method == "DELETE":
            await self.delete(*key)
            return web.json_response({"kind": "Status", "status": "Success"})
        if request.method == "PATCH":
            return web.json_response(await self._store("MODIFIED", key, _merged(there, body)))
        if body["metadata"].get("resourceVersion") != there["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified; please apply your changes to it")
        return web.json_response(await self._store("MODIFIED", key, body))

    async def _many(self, request: web.Request, key: Key) -> web.StreamResponse:
        wanted = dict(
            pair.split("=") for pair in request.query.get("labelSelector", "").split(",") if pair
        )
        if request.query.get("watch") in {"true", "True"}:
            return await self._watch(request, f"{key[0]}/{key[1]}", wanted)
        self.lists.append(key[0])
        items = [
            thing for at, thing in self.objects.items() if at[:2] == key[:2] and _has(thing, wanted)
        ]
        group = GROUPS[key[0]].removeprefix("/apis/").removeprefix("/api/")
        return web.json_response(
            {
                "kind": f"{KINDS[key[0]]}List",
                "apiVersion": group,
                "metadata": {"resourceVersion": str(self.version)},
                "items": items,
            }
        )

    async def _watch(
        self, request: web.Request, room: str, wanted: dict[str, str]
    ) -> web.StreamResponse:
        seen = int(request.query.get("resourceVersion") or 0)
        seconds = float(request.query.get("timeoutSeconds") or 3600)
        self.watch_count += 1
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if seen < self._oldest:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            return response
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            async with asyncio.timeout(seconds):
                await self._tell(response, room, wanted, seen)
        except TimeoutError:
            return response
        except (asyncio.CancelledError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            self._watches.discard(task)

    async def _tell(
        self, response: web.StreamResponse, room: str, wanted: dict[str, str], seen: int
    ) -> NoReturn:
        while True:
            await self._later(seen)
            for version, where, event, thing in self._events_after(seen):
                seen = version
                if where == room and _has(thing, wanted):
                    line = json.dumps({"type": event, "object": thing}).encode() + b"\n"
                    await response.write(line)

    async def _later(self, version: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._events_after(version))

    def _events_after(self, version: int) -> list[tuple[int, str, str, dict[str, Any]]]:
        return [event for event in self._events if event[0] > version]


def kubeconfig(file: Path, address: str) -> Path:
    """Write a kubeconfig without credentials; return it."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    file.write_text(json.dumps(content))
    return file


def _has(thing: dict[str, Any], wanted: dict[str, str]) -> bool:
    labels = thing["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in wanted.items())


def _merged(old: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    made = dict(old)
    for name, value in change.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, dict):
            made[name] = _merged(made.get(name) or {}, value)
        else:
            made[name] = value
    return made


def _status(code: int, message: str, retry_after: int | None = None) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response({**body, "message": message}, status=code, headers=headers)


@contextlib.asynccontextmanager
async def kube_api(port: int = 0) -> AsyncGenerator[KubeApi]:
    """Serve on loopback while the block lasts."""
    api = KubeApi()
    app = web.Application()
    for group in set(GROUPS.values()):
        room = f"{group}/namespaces/{{namespace}}/{{kind}}"
        app.router.add_route("*", room, api.handle)
        app.router.add_route("*", f"{room}/{{name}}", api.handle)
    app.router.add_route("POST", REVIEWS, api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    api.address = f"http://{host}:{bound}"
    try:
        yield api
    finally:
        await runner.cleanup()


async def _serve() -> None:
    async with kube_api() as api:
        sys.stdout.write(f"{api.address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
