"""Export manifests of AWS and Azure: which delivery one is of, how new it is, and which files it names."""

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeAlias

from services.ingest.chunks import Input
from services.ingest.failures import ManifestInvalid

Kind: TypeAlias = Literal["aws", "azure"]

AWS_MANIFEST: Final = re.compile(
    r"(?P<export>(?:.*/)?(?P<name>[^/]+))/metadata/(?P<period>BILLING_PERIOD=\d{4}-\d{2})"
    r"/(?:(?P<execution>[^/]+)/)?[^/]+-Manifest\.json",
    re.DOTALL,
)
EXECUTION: Final = re.compile(r"(\d{8}T\d{6})(?:\.\d+)?Z?-.+")
AZURE_EXPORT: Final = re.compile(
    r"(.*)/providers/microsoft\.costmanagement/exports/[^/]+", re.IGNORECASE
)
MOMENT: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})?"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A file that a manifest names: its id in the store, and what the manifest knows of it."""

    input_id: str
    size_bytes: int | None = None
    row_count: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says.

    input_id: Its own.
    delivery: What a newer manifest of the same replaces.
    files: In the manifest's order; none where the delivery is empty.
    before_nanos: The files were written by then, if their store says when, and the next export writes
        over them.
    """

    input_id: str
    delivery: str
    files: tuple[Named, ...]
    before_nanos: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A manifest before its files are looked at: of which delivery, and how new (nanoseconds since 1970)."""

    input: Input
    delivery: str
    age: tuple[int, int, str]


def newest(looks: Sequence[Look]) -> list[Look]:
    """Return the newest manifest of each delivery, by the delivery's name."""
    found: dict[str, Look] = {}
    for look in sorted(looks, key=lambda look: look.age):
        found[look.delivery] = look
    return [found[delivery] for delivery in sorted(found)]


def look_aws(manifest: Input) -> Look:
    """Return what the place of an AWS manifest says. Raises ManifestInvalid for no such place.

    How new it is says the folder of its execution; without one the manifest's own last change.
    """
    where = _aws_place(manifest)
    changed = manifest.change_time_nanos
    execution = EXECUTION.fullmatch(where["execution"] or "")
    made = _nanos(f"{_dashed(execution[1])}Z") if execution else None
    return Look(
        input=manifest,
        delivery=f"{where['export']}/{where['period']}",
        age=(changed if made is None else made, changed, manifest.input_id),
    )


def read_aws(manifest: Input, text: bytes) -> Manifest:
    """Return what an AWS manifest says: exactly `dataFiles` are its files.

    Raises ManifestInvalid, also for a file outside of the export's folder of that billing period.
    """
    where = _aws_place(manifest)
    said = _object(manifest, text)
    _field(manifest, said, "executionId", str)
    names = _field(manifest, said, "dataFiles", list)
    folder = f"/{where['name']}/data/{where['period']}/"
    # A copy in a folder or another store has times of its own.
    written_over = not where["execution"] and manifest.input_id.startswith("s3://")
    files = []
    for name in names:
        _, inside, rest = f"/{name}".rpartition(folder)
        if not isinstance(name, str) or not inside or not _plain(rest):
            raise invalid(
                manifest, f"found {name!r} in dataFiles; allowed is a file below {folder[1:]}"
            )
        files.append(Named(input_id=f"{where['export']}/data/{where['period']}/{rest}"))
    return Manifest(
        input_id=manifest.input_id,
        delivery=f"{where['export']}/{where['period']}",
        files=_each_once(manifest, files),
        before_nanos=manifest.change_time_nanos if written_over else None,
    )


def _aws_place(manifest: Input) -> Mapping[str, str]:
    matched = AWS_MANIFEST.fullmatch(manifest.input_id)
    if matched is None:
        where = "EXPORT/metadata/BILLING_PERIOD=YYYY-MM/[EXECUTION/]EXPORT-Manifest.json"
        raise invalid(manifest, f"found no manifest of AWS by its name; allowed is {where}")
    return matched.groupdict()


def look_azure(manifest: Input, text: bytes) -> Look:
    """Return of which scope, dataset and month an Azure manifest is, and when its run was submitted."""
    said = _object(manifest, text)
    export = _field(manifest, said, "exportConfig", dict)
    run = _field(manifest, said, "runInfo", dict)
    resource = _field(manifest, export, "exportConfig.resourceId", str)
    dataset = _field(manifest, export, "exportConfig.type", str)
    scope = AZURE_EXPORT.fullmatch(resource)
    if scope is None:
        allowed = "allowed is one that ends with /providers/Microsoft.CostManagement/exports/NAME"
        raise invalid(manifest, f"found {resource!r} as exportConfig.resourceId; {allowed}")
    start, end, submitted = (
        _field(manifest, run, f"runInfo.{key}", str)
        for key in ("startDate", "endDate", "submittedTime")
    )
    moment = _nanos(submitted)
    if moment is None:
        raise invalid(
            manifest, f"found {submitted!r} as runInfo.submittedTime; allowed is a moment"
        )
    return Look(
        input=manifest,
        delivery=f"{scope[1].strip('/').lower()}/{dataset}/{_month(manifest, start, end)}",
        age=(moment, manifest.change_time_nanos, manifest.input_id),
    )


def read_azure(manifest: Input, text: bytes) -> Manifest:
    """Return what an Azure manifest says. A count that is null or not there is not known.

    Raises ManifestInvalid, also for a blob outside of the run's folder and for counts that do not agree.
    """
    said = _object(manifest, text)
    blobs = _field(manifest, said, "blobs", list, optional=True) or []
    count = _field(manifest, said, "blobCount", int, optional=True)
    if count is not None and count != len(blobs):
        raise invalid(manifest, f"found {len(blobs)} blobs and a blobCount of {count}")
    files = [_blob(manifest, blob) for blob in blobs]
    for key, known in (
        ("byteCount", [file.size_bytes for file in files]),
        ("dataRowCount", [file.row_count for file in files]),
    ):
        stated: int | None = _field(manifest, said, key, int, optional=True)
        total = sum(value for value in known if value is not None)
        if stated is not None and None not in known and stated != total:
            raise invalid(manifest, f"found {key} {stated}; its blobs have {total}")
    return Manifest(
        input_id=manifest.input_id,
        delivery=look_azure(manifest, text).delivery,
        files=_each_once(manifest, files),
    )


def _blob(manifest: Input, blob: Any) -> Named:
    if not isinstance(blob, dict):
        raise invalid(manifest, "found a blob that is no object")
    name = PurePosixPath(_field(manifest, blob, "blobs.blobName", str))
    folder = PurePosixPath(manifest.input_id).parent.name
    if not folder or name.parent.name != folder or not _plain(name.name):
        raise invalid(manifest, f"found the blob {str(name)!r}; allowed is one in {folder}/")
    return Named(
        input_id=f"{manifest.input_id.rpartition('/')[0]}/{name.name}",
        size_bytes=_field(manifest, blob, "blobs.byteCount", int, optional=True),
        row_count=_field(manifest, blob, "blobs.dataRowCount", int, optional=True),
    )


def _month(manifest: Input, start: str, end: str) -> str:
    first, last = MOMENT.fullmatch(start), MOMENT.fullmatch(end)
    if first is None or last is None or first[1][:7] != last[1][:7]:
        found = f"found {start!r} to {end!r} as runInfo.startDate and endDate"
        raise invalid(manifest, f"{found}; allowed are two days of one month")
    return first[1][:7]


def _object(manifest: Input, text: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise invalid(manifest, "found no JSON") from None
    if not isinstance(said, dict):
        raise invalid(manifest, "found JSON that is no object")
    return said


def _field(
    manifest: Input, said: Mapping[str, Any], key: str, type_: type, *, optional: bool = False
) -> Any:
    """Return a field by the last name of its path; raise ManifestInvalid for another type."""
    value = said.get(key.rpartition(".")[2])
    if value is None and optional:
        return None
    right = isinstance(value, type_) and not isinstance(value, bool)
    if not right or value == "" or (isinstance(value, int) and value < 0):
        found = "nothing" if value is None else repr(value)[:100]
        raise invalid(manifest, f"found {found} as {key}; allowed is {TYPES[type_]}")
    return value


TYPES: Final = {str: "a text", int: "a number from 0", list: "a list", dict: "an object"}


def _each_once(manifest: Input, files: Sequence[Named]) -> tuple[Named, ...]:
    names = [file.input_id for file in files]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise invalid(manifest, f"found {twice} twice")
    return tuple(files)


def _plain(rest: str) -> bool:
    return "\0" not in rest and not {"", ".", ".."} & set(rest.split("/"))


def _dashed(digits: str) -> str:
    """Return `20261107T031500` as `2026-11-07T03:15:00`."""
    day, moment = digits[:8], digits[9:]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{moment[:2]}:{moment[2:4]}:{moment[4:]}"


def _nanos(text: str) -> int | None:
    """Return a moment in nanoseconds since 1970, None if it is none; one without offset is UTC."""
    matched = MOMENT.fullmatch(text)
    if matched is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(f"{matched[1]}{matched[3] or 'Z'}")
    except ValueError:
        return None
    return int(moment.timestamp()) * 10**9 + int((matched[2] or "0").ljust(9, "0"))


def invalid(manifest: Input, why: str) -> ManifestInvalid:
    """Return the refusal of a manifest."""
    text = f"manifest {manifest.input_id}: {why}; look at the export, then retry the run"
    return ManifestInvalid(text, source=manifest.input_id, manifest=manifest.input_id)
