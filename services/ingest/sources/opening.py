"""From a request's source to one that can be read, with its tenant's own secret."""

import datetime as dt
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

import httpx
from convergence.ingest.v1 import source_pb2

from libs.common.errors import InvalidRequest
from libs.common.secrets import Secrets
from services.ingest.failures import SourceNotAllowed
from services.ingest.sources.files import Files
from services.ingest.sources.json_file import Pages
from services.ingest.sources.manifests import Kind
from services.ingest.sources.openai import BUCKETS, OpenAi
from services.ingest.sources.records import Dialect
from services.ingest.sources.request_pace import RequestPace
from services.ingest.sources.source import Source
from services.ingest.sources.streams import Compression, Encoding
from services.ingest.stores.addresses import Reach, remote
from services.ingest.stores.buckets import Buckets, Place
from services.ingest.stores.local_files import LocalFiles
from services.ingest.stores.store import Store

FORMATS: Final[dict[int, Literal["csv", "ndjson", "json", "parquet"]]] = {
    source_pb2.FILE_FORMAT_CSV: "csv",
    source_pb2.FILE_FORMAT_NDJSON: "ndjson",
    source_pb2.FILE_FORMAT_JSON: "json",
    source_pb2.FILE_FORMAT_PARQUET: "parquet",
}
COMPRESSIONS: Final[dict[int, Compression | None]] = {
    source_pb2.COMPRESSION_UNSPECIFIED: None,
    source_pb2.COMPRESSION_NONE: "none",
    source_pb2.COMPRESSION_GZIP: "gzip",
    source_pb2.COMPRESSION_ZSTD: "zstd",
}
ENCODINGS: Final[dict[int, Encoding]] = {
    source_pb2.TEXT_ENCODING_UNSPECIFIED: "utf-8",
    source_pb2.TEXT_ENCODING_UTF_8: "utf-8",
    source_pb2.TEXT_ENCODING_UTF_16: "utf-16",
    source_pb2.TEXT_ENCODING_LATIN_1: "latin-1",
}

MANIFESTS: Final[dict[int, Kind | None]] = {
    source_pb2.MANIFEST_KIND_UNSPECIFIED: None,
    source_pb2.MANIFEST_KIND_AWS: "aws",
    source_pb2.MANIFEST_KIND_AZURE: "azure",
}
NOWHERE: Final = Reach()
Pause: TypeAlias = Callable[[threading.Event, float], bool]


class Sources:
    """Opens sources of tenants.

    Args:
        root: Directory of the tenants' folders.
        secrets: Where secrets are.
        http: For APIs.
        buckets: Opens object stores.
        local_files: Whether sources may read files below the tenants' folders.
        allow_private_addresses: Whether the operator lets sources reach private addresses.
        pause: Waits some seconds, or until the event is set; returns whether it is.
    """

    def __init__(
        self,
        root: Path,
        secrets: Secrets,
        http: httpx.Client,
        buckets: Buckets,
        *,
        local_files: bool = True,
        allow_private_addresses: bool,
        pause: Pause = threading.Event.wait,
    ) -> None:
        self._root = root
        self._secrets = secrets
        self._http = http
        self._buckets = buckets
        self._local_files = local_files
        self._allow_private = allow_private_addresses
        self._pause = pause

    def open(
        self,
        tenant: str,
        source: source_pb2.Source,
        cancelled: threading.Event,
        reach: Reach = NOWHERE,
    ) -> Source:
        """Return a source of a tenant, who may read object stores within `reach`.

        Raises InvalidRequest for options that make no sense.
        """
        if source.WhichOneof("kind") == "file":
            return self._files(tenant, source, reach, cancelled)
        return self._openai(tenant, source, cancelled)

    def _files(
        self, tenant: str, source: source_pb2.Source, reach: Reach, cancelled: threading.Event
    ) -> Files:
        options = source.file
        if options.format not in FORMATS:
            raise InvalidRequest(
                {"source.file.format": "found none; allowed are csv, ndjson, json, parquet"}
            )
        _refuse_unknown(options)
        try:
            dialect = Dialect.parse(options.delimiter, options.quote)
        except ValueError as error:
            raise InvalidRequest({"source.file": str(error)}) from error
        return Files(
            store=self._store(tenant, source, reach, cancelled),
            path=options.path,
            format=FORMATS[options.format],
            dialect=dialect,
            null_values=tuple(options.null_values),
            pages=_pages(options),
            manifest=MANIFESTS[options.manifest],
            compression=COMPRESSIONS[options.compression],
            encoding=ENCODINGS[options.encoding],
        )

    def _store(
        self, tenant: str, source: source_pb2.Source, reach: Reach, cancelled: threading.Event
    ) -> Store:
        options = source.file
        if remote(options.path):
            place = Place(
                path=options.path,
                region=options.region,
                endpoint=options.endpoint,
                secret=(lambda: self._secrets.get(tenant, source.secret))
                if source.secret
                else None,
                secret_name=source.secret,
                reach=reach,
            )
            return self._buckets.open(place, cancelled)
        if not self._local_files:
            why = f"found {options.path!r}; allowed here is gs://bucket/glob or s3://bucket/glob"
            raise SourceNotAllowed("path", why, found=options.path)
        return LocalFiles(self._root, tenant)

    def _openai(self, tenant: str, source: source_pb2.Source, cancelled: threading.Event) -> OpenAi:
        options = source.openai
        unknown = sorted(set(options.reports) - set(BUCKETS))
        if unknown or not options.reports:
            found = ", ".join(unknown) or "none"
            why = f"found {found}; allowed are {', '.join(BUCKETS)}"
            raise InvalidRequest({"source.openai.reports": why})
        return OpenAi(
            base_url=options.base_url,
            reports=tuple(options.reports),
            group_by={
                "usage/completions": tuple(options.usage_group_by),
                "costs": tuple(options.costs_group_by),
            },
            secret=lambda: self._secrets.get(tenant, source.secret),
            http=self._http,
            wait=lambda seconds: self._pause(cancelled, seconds),
            now=lambda: dt.datetime.now(dt.UTC),
            pace=RequestPace(options.requests_per_minute, time.monotonic),
            allow_private_addresses=self._allow_private,
        )


def _pages(options: source_pb2.FileSource) -> Pages:
    names = tuple(options.records.split(".")) if options.records else ()
    return Pages(records=names, taken_over=tuple(options.parent_fields))


def _refuse_unknown(options: source_pb2.FileSource) -> None:
    """Raise InvalidRequest for a coding that this worker does not know, or that Parquet has itself."""
    wrong = {}
    for name, known in (("compression", COMPRESSIONS), ("encoding", ENCODINGS)):
        value = getattr(options, name)
        if value not in known:
            wrong[f"source.file.{name}"] = (
                f"found {value}; allowed are {', '.join(map(str, known))}"
            )
        elif value and options.format == source_pb2.FILE_FORMAT_PARQUET:
            wrong[f"source.file.{name}"] = (
                f"found {name} with parquet, whose files say it themselves; leave it unset"
            )
    if options.records and not all(options.records.split(".")):
        wrong["source.file.records"] = (
            f"found {options.records!r}; allowed are names joined by dots, such as data.results"
        )
    if options.parent_fields and not options.records:
        wrong["source.file.parent_fields"] = (
            "found parent_fields without records, around which there is no object; set records"
        )
    for name in ("records", "parent_fields"):
        if getattr(options, name) and options.format != source_pb2.FILE_FORMAT_JSON:
            wrong[f"source.file.{name}"] = f"found {name} with another format; allowed is json"
    if options.manifest not in MANIFESTS:
        kinds = ", ".join(map(str, MANIFESTS))
        wrong["source.file.manifest"] = f"found {options.manifest}; allowed are {kinds}"
    if wrong:
        raise InvalidRequest(wrong)
