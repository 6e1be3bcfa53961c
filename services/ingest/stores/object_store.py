"""Objects of a bucket: found by glob below the tenant's prefixes, read one version at a time."""

import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import io
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from services.ingest.chunks import Input
from services.ingest.failures import (
    Cancelled,
    PrefixNotAllowed,
    SourceNotAllowed,
    SourceNotFound,
    SourceProtocolBroken,
    SourceTooLarge,
)
from services.ingest.stores.addresses import Address, below
from services.ingest.stores.globs import Glob
from services.ingest.stores.store_failures import changed, failure

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

MIB: Final = 1024 * 1024
BLOCK: Final = 4 * MIB
"""Bytes of one request of a stream."""
AHEAD: Final = 2
"""Requests of a stream that are under way while what came before is read."""
NEAR: Final = MIB
"""Bytes around a small read anywhere in an object that come with it."""
PAGE: Final = 1000
PARALLEL: Final = 16
"""Objects that are asked for their version at once."""
MOST_OBJECTS: Final = 20_000
"""Most objects of a source: more chunks than these fit into no plan."""
LOOK_SECONDS: Final = 0.2
"""How often a wait for the store looks whether the run was cancelled."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """The objects of one bucket that a tenant may read.

    connected: Returns what asks the bucket of `address`, always the same; its calls end within a
        limited time. Raises SourceNotAllowed, SourceUnauthenticated, SecretNotFound, SecretNotPrivate,
        Unavailable where no key can be had or the address is none that may be reached.
    prefixes: What the tenant may read.
    cancelled: Ends every wait for the store.
    """

    address: Address
    connected: Callable[[], GCSStore | S3Store]
    prefixes: tuple[str, ...]
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)

    def find(self, pattern: str, cancelled: threading.Event) -> list[Input]:
        """Return the objects that a glob matches: `gs://bucket/glob` of this very bucket."""
        where, glob = self._glob(pattern)
        found: list[ObjectMeta] = []
        for page in self._pages(glob.folder):
            if cancelled.is_set():
                raise Cancelled
            found += (meta for meta in page if glob.matches(meta["path"]))
            if len(found) > MOST_OBJECTS:
                raise _too_many(pattern)
        inputs = self._versions(found, cancelled)
        if not inputs:
            text = f"no object {where}; put one there or correct `path` of the source"
            raise SourceNotFound(text, source=pattern, found="nothing")
        return sorted(inputs, key=lambda input_: input_.input_id)

    def open(self, planned: Input) -> "Object":
        """Return the planned version of an object; that it is there is found out when it is read."""
        self._allow(planned.input_id, planned.input_id)
        self.connected()
        return Object(store=self, planned=planned, key=self._key(planned.input_id))

    def check(self, planned: Input) -> None:
        """Ask whether the object is as it was planned."""
        self._allow(planned.input_id, planned.input_id)
        now = self._head(self._key(planned.input_id))
        if now is None:
            raise changed(planned.input_id, "is gone")
        if self._input(now).version != planned.version:
            raise changed(planned.input_id, "was written again")

    def _glob(self, pattern: str) -> tuple[Address, Glob]:
        try:
            where = Address.parse(pattern)
            glob = Glob.parse(where.key)
        except ValueError as error:
            raise SourceNotAllowed("path", str(error), found=pattern) from error
        self._allow(where.of(glob.folder), pattern)
        return where, glob

    def _allow(self, folder: str, found: str) -> None:
        mine = self.address.of("")
        if not folder.startswith(mine):
            raise SourceNotAllowed("path", f"found {found!r}; allowed is {mine}…", found=found)
        if not below(folder, self.prefixes):
            raise PrefixNotAllowed(found, self.prefixes)

    def _key(self, name: str) -> str:
        return name.removeprefix(self.address.of(""))

    def _pages(self, folder: str) -> "Iterator[list[ObjectMeta]]":
        name = self.address.of(folder)
        client, prefix = self.connected(), folder.rstrip("/") or None
        pages = obstore.list(client, prefix=prefix, chunk_size=PAGE)
        while True:
            page = called(lambda: next(pages, None), name)
            if page is None:
                return
            yield cast("list[ObjectMeta]", page)

    def _versions(self, found: "list[ObjectMeta]", cancelled: threading.Event) -> list[Input]:
        """Return inputs with their versions, which a list of Cloud Storage does not name.

        An empty one may be no object but the mark of a folder, and is asked for too.
        """
        known = [m for m in found if self.address.scheme == "s3" and m["size"]]
        asked = [m["path"] for m in found if self.address.scheme == "gs" or not m["size"]]

        def head(key: str) -> "ObjectMeta | None":
            if cancelled.is_set():
                raise Cancelled
            return self._head(key)

        with _threads(PARALLEL) as pool:
            known += (meta for meta in pool.map(head, asked) if meta is not None)
        return [self._input(meta) for meta in known]

    def _head(self, key: str) -> "ObjectMeta | None":
        """Return what the store says of an object, None if it is not there."""
        client = self.connected()
        try:
            return called(lambda: obstore.head(client, key), self.address.of(key))
        except SourceNotFound:
            return None

    def _input(self, meta: "ObjectMeta") -> Input:
        etag = (meta["e_tag"] or "").strip('"')
        name = self.address.of(meta["path"])
        version = meta["version"] if self.address.scheme == "gs" else etag
        if not version:
            text = f"{name}: the store names no version of it, so nothing says when it changes"
            raise SourceProtocolBroken(text, source=name)
        return Input(
            input_id=name,
            content_hash=f"etag:{etag}" if etag else "",
            size_bytes=meta["size"],
            change_time_nanos=_nanos(meta["last_modified"]),
            version=version,
        )

    def get(self, key: str, planned: Input, start: int, end: int) -> memoryview:
        """Return bytes [start, end) of the planned version, however it is answered."""
        options: GetOptions = {"range": (start, end)}
        if self.address.scheme == "gs":
            options["version"] = planned.version
        else:
            options["if_match"] = f'"{planned.version}"'

        client = self.connected()

        def ask() -> "tuple[ObjectMeta, Any]":
            answer = obstore.get(client, key, options=options)
            return answer.meta, answer.bytes()

        try:
            meta, data = called(ask, planned.input_id)
        except SourceNotFound as error:
            raise changed(planned.input_id, "is gone, or was written again,") from error
        now = self._input(meta)
        if now.version != planned.version or now.size_bytes != planned.size_bytes:
            raise changed(planned.input_id, "was written again")
        view = memoryview(data)
        if len(view) != end - start:
            raise changed(planned.input_id, "became shorter")
        return view


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One version of an object."""

    store: ObjectStore
    planned: Input
    key: str

    @property
    def size_bytes(self) -> int:
        return self.planned.size_bytes

    @contextlib.contextmanager
    def stream(self, start: int, end: int) -> Generator[BinaryIO]:
        """Open bytes [start, end), some blocks of which are asked for ahead."""
        with _threads(AHEAD) as pool:
            blocks = self._blocks(pool, start, min(end, self.size_bytes))
            try:
                yield cast("BinaryIO", io.BufferedReader(_Blocks(blocks), buffer_size=64 * 1024))
            finally:
                blocks.close()

    @contextlib.contextmanager
    def seekable(self) -> Generator[BinaryIO]:
        """Open the object; small reads bring what is near them."""
        with _threads(1) as pool:
            yield cast("BinaryIO", io.BufferedReader(_Anywhere(self, pool), buffer_size=NEAR))

    def _blocks(
        self, pool: concurrent.futures.Executor, start: int, end: int
    ) -> Generator[memoryview]:
        starts = iter(range(start, end, BLOCK))

        def ask(count: int) -> "list[concurrent.futures.Future[memoryview]]":
            return [self._asked(pool, at, end) for at in itertools.islice(starts, count)]

        under_way = ask(AHEAD)
        try:
            while under_way:
                block = self.wait(under_way.pop(0))
                under_way += ask(1)
                yield block
        finally:
            for asked in under_way:
                asked.cancel()

    def _asked(
        self, pool: concurrent.futures.Executor, start: int, end: int
    ) -> "concurrent.futures.Future[memoryview]":
        return pool.submit(self.part, start, min(start + BLOCK, end))

    def part(self, start: int, end: int) -> memoryview:
        """Return bytes [start, end). Raises as the store does."""
        return self.store.get(self.key, self.planned, start, end)

    def wait(self, asked: "concurrent.futures.Future[T]") -> T:
        """Return what was asked for. Raises Cancelled as soon as the run is."""
        while True:
            try:
                return asked.result(LOOK_SECONDS)
            except concurrent.futures.TimeoutError:
                if asked.done():
                    raise
                if self.store.cancelled.is_set():
                    raise Cancelled from None


class _Blocks(io.RawIOBase):
    """Blocks one after another as a file."""

    def __init__(self, blocks: Iterator[memoryview]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        if not self._rest:
            self._rest = next(self._blocks, memoryview(b""))
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Anywhere(io.RawIOBase):
    """An object as a file that can be read anywhere."""

    def __init__(self, blob: Object, pool: concurrent.futures.Executor) -> None:
        self._blob = blob
        self._pool = pool
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blob.size_bytes}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, into: Any) -> int:
        start, end = self._at, min(self._at + min(len(into), 2 * BLOCK), self._blob.size_bytes)
        if start >= end:
            return 0
        data = self._blob.wait(self._pool.submit(self._blob.part, start, end))
        into[: len(data)] = data
        self._at = end
        return len(data)


@contextlib.contextmanager
def _threads(count: int) -> Generator[concurrent.futures.Executor]:
    """Open threads that nobody waits for at the end: what they ask ends by itself."""
    pool = concurrent.futures.ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def called(call: Callable[[], T], name: str) -> T:
    """Return what a call to the store returns; raise what its failure means about `name`."""
    try:
        return call()
    except (BaseError, OSError) as error:
        raise failure(error, name) from None


def _too_many(pattern: str) -> SourceTooLarge:
    return SourceTooLarge(
        f"{pattern} matches more than {MOST_OBJECTS} objects; narrow `path` of the source",
        source=pattern,
        allowed=str(MOST_OBJECTS),
    )


def _nanos(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
