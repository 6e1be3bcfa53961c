"""Files of a tenant: found below its folder, and nowhere else."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from services.ingest.chunks import Input
from services.ingest.failures import (
    SourceChanged,
    SourceNotAllowed,
    SourceNotFound,
    SourceUnavailable,
)
from services.ingest.stores.local_files import describe, find_files, planned_file

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


def a_csv(root: Path) -> Input:
    return describe(root, "acme", root / "acme" / "bills" / "a.csv", RUNNING)


def test_a_file_is_known_by_its_path_and_content(root: Path) -> None:
    found = a_csv(root)
    assert (found.input_id, found.size_bytes) == ("bills/a.csv", 16)
    copy = root / "acme" / "copy.csv"
    copy.write_text("acme/bills/a.csv")
    assert describe(root, "acme", copy, RUNNING).content_hash == found.content_hash
    copy.write_text("acme/bills/b.csv")
    assert describe(root, "acme", copy, RUNNING).content_hash != found.content_hash


def test_a_file_that_is_gone_before_it_is_described_may_come_back(root: Path) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        describe(root, "acme", root / "acme" / "bills" / "none.csv", RUNNING)


def test_a_planned_file_is_read_while_it_is_as_it_was(root: Path) -> None:
    path = root / "acme" / "bills" / "a.csv"
    assert planned_file(root, "acme", a_csv(root)) == path


def _longer(path: Path) -> None:
    path.write_text("something longer than before")


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _other_file_in_its_place(path: Path) -> None:
    other = path.parent / "b.csv"
    os.utime(other, ns=(1, 1))
    other.rename(path)


@pytest.mark.parametrize(
    "change", [_longer, _touched, Path.unlink, _other_file_in_its_place], ids=lambda f: f.__name__
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
    "input_id", ["../other/x.csv", "/etc/passwd", "out/x.csv", "secrets/key.txt", "key.csv"]
)
def test_a_chunk_cannot_name_what_a_plan_would_refuse(root: Path, input_id: str) -> None:
    with pytest.raises(SourceNotAllowed):
        planned_file(root, "acme", Input(input_id=input_id))
