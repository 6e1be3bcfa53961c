"""Files of a tenant: found below its folder, and nowhere else."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import blake3
import pytest

from services.ingest.chunks import Input
from services.ingest.failures import (
    Cancelled,
    SourceChanged,
    SourceNotAllowed,
    SourceNotFound,
    SourceUnavailable,
)
from services.ingest.sources.files import Files
from services.ingest.stores.hashing import PIECE, content_hash, hashing
from services.ingest.stores.local_files import (
    TICK,
    LocalBlob,
    LocalFiles,
    describe,
    find_files,
    planned_file,
)
from tests.unit.ingest.reading import Format, columns, splitting

RUNNING = threading.Event()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two tenants; `acme` has bills, a secret, and links to places where it has no business."""
    for file in ("acme/bills/b.csv", "acme/bills/a.csv", "acme/bills/deep/c.csv", "other/x.csv"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    secrets = tmp_path / "acme" / "secrets"
    secrets.mkdir()
    (secrets / "key.txt").write_text("sk-admin")
    (tmp_path / "acme" / "out").symlink_to(tmp_path / "other")
    (tmp_path / "acme" / "key.csv").symlink_to(secrets / "key.txt")
    (tmp_path / "acme" / "passwd.csv").symlink_to("/etc/passwd")
    (tmp_path / "acme" / "again.csv").symlink_to(tmp_path / "acme" / "bills" / "a.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("bills/a.csv", ["bills/a.csv"]),
        ("bills/*.csv", ["bills/a.csv", "bills/b.csv"]),
        ("bills/**/*.csv", ["bills/a.csv", "bills/b.csv", "bills/deep/c.csv"]),
        ("./bills/a.csv", ["bills/a.csv"]),
        ("again.csv", ["again.csv"]),
    ],
)
def test_files_below_the_folder_are_found_in_order(
    root: Path, pattern: str, found: list[str]
) -> None:
    paths = find_files(root, "acme", pattern)
    assert [path.relative_to(root / "acme").as_posix() for path in paths] == found


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".",
        "/etc/passwd",
        "~/x.csv",
        "../other/x.csv",
        "bills/../../other/x.csv",
        "**x/a.csv",
        "a\0b",
        "out/x.csv",
        "out/*.csv",
        "passwd.csv",
        "secrets/key.txt",
        "./secrets/key.txt",
        "*/key.txt",
        "secret[s]/*",
        "**/*.txt",
        "key.csv",
    ],
    ids=[
        "nothing",
        "the folder",
        "absolute",
        "home",
        "above",
        "above in the middle",
        "no glob",
        "a zero byte",
        "through a link",
        "glob through a link",
        "a link out",
        "secrets",
        "secrets with a dot",
        "glob into secrets",
        "class into secrets",
        "deep glob into secrets",
        "a link to a secret",
    ],
)
def test_what_leaves_the_folder_or_is_a_secret_is_refused(root: Path, pattern: str) -> None:
    with pytest.raises(SourceNotAllowed) as refusal:
        find_files(root, "acme", pattern)
    assert refusal.value.metadata == {"source": "path", "found": pattern}
    assert list(refusal.value.violations) == ["path"]


def test_a_pattern_that_matches_nothing_is_named(root: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"no file acme/bills/\*\.json") as refusal:
        find_files(root, "acme", "bills/*.json")
    assert refusal.value.metadata == {"source": "bills/*.json", "found": "nothing"}


def test_a_folder_is_no_file(root: Path) -> None:
    with pytest.raises(SourceNotFound):
        find_files(root, "acme", "bills")


def described(root: Path, path: Path) -> Input:
    return describe(root, "acme", path, time.time_ns, RUNNING)


def a_csv(root: Path) -> Input:
    return described(root, root / "acme" / "bills" / "a.csv")


def hash_of(root: Path, name: str) -> str:
    found = described(root, root / "acme" / name)
    return content_hash(LocalFiles(root, "acme").open(found), name, RUNNING)


def test_a_file_is_known_by_its_path_and_content(root: Path) -> None:
    found = a_csv(root)
    assert (found.input_id, found.size_bytes) == ("bills/a.csv", 16)
    copy = root / "acme" / "copy.csv"
    copy.write_text("acme/bills/a.csv")
    assert hash_of(root, "copy.csv") == hash_of(root, "bills/a.csv")
    copy.write_text("acme/bills/b.csv")
    assert hash_of(root, "copy.csv") != hash_of(root, "bills/a.csv")


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 2 * PIECE + 7, 9 * PIECE + 3])
def test_a_hash_is_that_of_all_bytes_however_they_were_read(root: Path, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    path = root / "acme" / "large.csv"
    path.write_bytes(data[:size])
    blob = LocalFiles(root, "acme").open(described(root, path))
    with hashing(blob, "large.csv") as stream:
        first = b"".join((stream.read(5), stream.read(1000)))
        assert first == data[: min(size, 1005)]
        assert stream.content_hash(RUNNING) == f"blake3:{blake3.blake3(data[:size]).hexdigest()}"


@pytest.mark.parametrize(("format_", "text"), [("csv", b"a\n1\n"), ("ndjson", b'{"a":1}\n')])
def test_a_file_is_opened_once_to_be_hashed_and_cut(
    root: Path, format_: Format, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "acme" / "usage").write_bytes(text)
    opened, seekable = list[str](), LocalBlob.seekable

    def counted(blob: LocalBlob) -> AbstractContextManager[BinaryIO]:
        opened.append(blob.planned.input_id)
        return seekable(blob)

    monkeypatch.setattr(LocalBlob, "seekable", counted)
    files = Files(store=LocalFiles(root, "acme"), path="usage", format=format_)
    (chunk,) = files.plan(splitting(columns("a"))).chunks
    assert chunk.input.content_hash == f"blake3:{blake3.blake3(text).hexdigest()}"
    assert opened == ["usage"]


def test_hashing_stops_when_the_caller_is_gone(root: Path) -> None:
    path = root / "acme" / "large.csv"
    path.write_bytes(b"x" * (2 * PIECE))
    blob = LocalFiles(root, "acme").open(described(root, path))
    gone = threading.Event()
    gone.set()
    with pytest.raises(Cancelled):
        content_hash(blob, "large.csv", gone)


def test_a_file_that_was_just_written_is_not_described_before_its_time_is_over(root: Path) -> None:
    path = root / "acme" / "bills" / "a.csv"
    written = path.stat().st_ctime_ns
    times = iter([written, written + TICK - 1, written + TICK])
    describe(root, "acme", path, lambda: next(times), RUNNING)
    assert next(times, None) is None


def test_waiting_for_that_ends_when_the_caller_is_gone(root: Path) -> None:
    path = root / "acme" / "bills" / "a.csv"
    gone = threading.Event()
    gone.set()
    with pytest.raises(Cancelled):
        describe(root, "acme", path, lambda: path.stat().st_ctime_ns, gone)


def test_a_file_that_is_gone_before_it_is_described_may_come_back(root: Path) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        described(root, root / "acme" / "bills" / "none.csv")


def test_a_planned_file_is_read_while_it_is_as_it_was(root: Path) -> None:
    path = root / "acme" / "bills" / "a.csv"
    assert planned_file(root, "acme", a_csv(root)) == path


def _longer(path: Path) -> None:
    path.write_text("something longer than before")


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _same_size_and_time(path: Path) -> None:
    before = path.stat()
    path.write_text("y" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _other_file_in_its_place(path: Path) -> None:
    other = path.parent / "b.csv"
    os.utime(other, ns=(1, 1))
    other.rename(path)


@pytest.mark.parametrize(
    "change",
    [_longer, _touched, _same_size_and_time, Path.unlink, _other_file_in_its_place],
    ids=lambda f: f.__name__,
)
def test_a_file_that_changed_after_it_was_planned_is_refused(
    root: Path, change: Callable[[Path], None]
) -> None:
    planned = a_csv(root)
    change(root / "acme" / "bills" / "a.csv")
    with pytest.raises(SourceChanged) as refusal:
        planned_file(root, "acme", planned)
    assert refusal.value.metadata == {"source": "bills/a.csv"}


@pytest.mark.parametrize(
    "change", [_longer, _touched, _same_size_and_time, Path.unlink], ids=lambda f: f.__name__
)
def test_a_file_that_changes_before_it_is_opened_is_refused(
    root: Path, change: Callable[[Path], None]
) -> None:
    blob = LocalFiles(root, "acme").open(a_csv(root))
    change(root / "acme" / "bills" / "a.csv")
    with pytest.raises(SourceChanged), blob.stream(0, 1):
        pass


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(root: Path) -> None:
    path = root / "acme" / "large.csv"
    path.write_bytes(b"x" * (3 * PIECE))  # more than is read before it is cut
    blob = LocalFiles(root, "acme").open(described(root, path))
    with hashing(blob, "large.csv") as stream:
        stream.read(1)
        os.truncate(path, PIECE)
        with pytest.raises(SourceChanged, match="became shorter"):
            stream.content_hash(RUNNING)


@pytest.mark.parametrize(
    "input_id", ["../other/x.csv", "/etc/passwd", "out/x.csv", "secrets/key.txt", "key.csv"]
)
def test_a_chunk_cannot_name_what_a_plan_would_refuse(root: Path, input_id: str) -> None:
    with pytest.raises(SourceNotAllowed):
        planned_file(root, "acme", Input(input_id=input_id))
