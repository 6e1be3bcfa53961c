"""What manifests in a store name: the newest of each delivery, and exactly its files."""

import dataclasses
import glob
import threading
from collections.abc import Iterable
from typing import Final

from services.ingest.chunks import Chunk, Input
from services.ingest.failures import Cancelled, SourceNotFound, SourceUnavailable
from services.ingest.sources import manifests
from services.ingest.sources.manifests import Kind, Look, Manifest, Named, invalid
from services.ingest.stores.store import Store

LARGEST_MANIFEST: Final = 16 * 1024 * 1024
UNDER_WAY_SECONDS: Final = 60.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file of a delivery: where it is, and what its manifest says of it."""

    input: Input
    manifest: Input
    named: Named


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """The files of all deliveries, in order of name, and the names of the deliveries.

    A delivery that has no file is among the names.
    """

    files: tuple[Listed, ...] = ()
    names: tuple[str, ...] = ()


def find(store: Store, path: str, kind: Kind, cancelled: threading.Event) -> Deliveries:
    """Return what the manifests that a glob matches name.

    Raises:
        ManifestInvalid: a manifest is none of its kind, or names what is not there or differs.
        SourceUnavailable: an export is being written.
        ServiceError: as the store does.
        Cancelled: `cancelled` was set.
    """
    found = store.find(path, cancelled)
    chosen = manifests.newest([_look(store, kind, input_, cancelled) for input_ in found])
    listed: list[Listed] = []
    for look in chosen:
        read = manifests.read_aws if kind == "aws" else manifests.read_azure
        manifest = read(look.input, _text(store, look.input, cancelled))
        listed += _files(store, look.input, manifest, cancelled)
    return Deliveries(
        files=tuple(sorted(listed, key=lambda file: file.input.input_id)),
        names=tuple(look.delivery for look in chosen),
    )


def _look(store: Store, kind: Kind, manifest: Input, cancelled: threading.Event) -> Look:
    if kind == "aws":
        return manifests.look_aws(manifest)
    return manifests.look_azure(manifest, _text(store, manifest, cancelled))


def _text(store: Store, manifest: Input, cancelled: threading.Event) -> bytes:
    if cancelled.is_set():
        raise Cancelled
    size = manifest.size_bytes
    if size > LARGEST_MANIFEST:
        raise invalid(manifest, f"found {size} bytes; allowed are {LARGEST_MANIFEST}")
    with store.open(manifest).stream(0, size) as file:
        return file.read(size)


def _files(
    store: Store, at: Input, manifest: Manifest, cancelled: threading.Event
) -> Iterable[Listed]:
    """Yield the files of a manifest as they are in the store, each of which is there."""
    there: dict[str, Input] = {}
    for folder in dict.fromkeys(named.input_id.rpartition("/")[0] for named in manifest.files):
        try:
            found = store.find(f"{glob.escape(folder)}/*", cancelled)
        except SourceNotFound:
            continue
        there |= {input_.input_id: input_ for input_ in found}
    for named in manifest.files:
        input_ = there.get(named.input_id)
        if input_ is None:
            raise invalid(at, f"it names {named.input_id}, which is not there")
        if named.size_bytes not in {None, input_.size_bytes}:
            raise invalid(
                at,
                f"it says that {named.input_id} has {named.size_bytes} bytes, and it has "
                f"{input_.size_bytes}",
            )
        if manifest.before_nanos is not None and input_.change_time_nanos > manifest.before_nanos:
            text = (
                f"{named.input_id} was written after {at.input_id}: the export is being written; "
                "try again when its manifest is there"
            )
            raise SourceUnavailable(text, retry_after=UNDER_WAY_SECONDS, source=named.input_id)
        delivered = dataclasses.replace(input_, delivery=manifest.delivery)
        yield Listed(input=delivered, manifest=at, named=named)


def counted(chunks: list[Chunk], of: Listed) -> list[Chunk]:
    """Return the chunks of a file, which together have as many rows as the manifest says.

    Raises ManifestInvalid where they have not.
    """
    stated = of.named.row_count
    if stated is None:
        return chunks
    if len(chunks) == 1 and chunks[0].expected_row_count is None:
        return [dataclasses.replace(chunks[0], expected_row_count=stated)]
    counts = [chunk.expected_row_count for chunk in chunks]
    total = sum(count for count in counts if count is not None)
    if None not in counts and total != stated:
        raise invalid(
            of.manifest, f"it says that {of.input.input_id} has {stated} rows, and it has {total}"
        )
    return chunks
