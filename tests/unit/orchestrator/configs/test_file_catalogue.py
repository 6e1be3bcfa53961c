"""The catalogue follows files, keeps the last good version and stays in a tenant's folder."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.common.names import PipelineName
from services.orchestrator.configs.file_catalogue import FileCatalogue
from services.orchestrator.configs.file_errors import ConfigInvalid
from services.orchestrator.pipelines import pipeline_spec
from tests.unit.orchestrator.configs.tenant_files import TEXTS


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "configs"
    for path, text in TEXTS.items():
        file = root / "acme" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture
def catalogue(root: Path) -> FileCatalogue:
    return FileCatalogue(root, clock=Clock())


def test_tenants_and_pipelines_are_listed_by_id_broken_ones_too(
    root: Path, catalogue: FileCatalogue
) -> None:
    (root / "acme/pipelines/a_broken.yml").write_text("source: [")
    (root / "widgetsinc").mkdir()
    (root / "Not-A-Tenant").mkdir()
    (root / "file").write_text("")
    assert catalogue.tenants() == ("acme", "widgetsinc")
    assert catalogue.pipelines("acme") == ("a_broken", "d", "p")
    assert catalogue.pipelines("widgetsinc") == ()
    broken = catalogue.get("acme", "a_broken")
    assert broken is not None
    assert broken.spec is None
    assert broken.errors[0].file == "acme/pipelines/a_broken.yml"
    with pytest.raises(ConfigInvalid):
        pipeline_spec(catalogue, PipelineName("acme", "a_broken"))


def test_missing_pipelines_tenants_and_roots_are_none(root: Path, catalogue: FileCatalogue) -> None:
    assert catalogue.get("acme", "nothing") is None
    assert catalogue.get("nobody", "p") is None
    assert catalogue.get("../configs/acme", "p") is None
    assert catalogue.get("acme", "../pipelines/p") is None
    empty = FileCatalogue(root / "nowhere", clock=Clock())
    assert empty.tenants() == ()
    assert empty.get("acme", "p") is None


def test_unchanged_files_are_not_read_again(catalogue: FileCatalogue) -> None:
    assert catalogue.get("acme", "p") is catalogue.get("acme", "p")


@pytest.mark.parametrize(
    "path",
    ["pipelines/p.yml", "schemas/usage.json", "suites/usage.json", "transforms/cost.sql"],
)
def test_a_broken_edit_of_any_file_keeps_the_last_good_version_until_it_is_corrected(
    root: Path, catalogue: FileCatalogue, path: str
) -> None:
    first = catalogue.get("acme", "p")
    assert first is not None
    (root / "acme" / path).write_text("][")
    second = catalogue.get("acme", "p")
    assert second is not None
    assert second.spec == first.spec
    assert second.load_time == first.load_time
    assert f"acme/{path}" in [error.file for error in second.errors]
    assert pipeline_spec(catalogue, PipelineName("acme", "p")) == first.spec
    (root / "acme" / path).write_text(TEXTS[path])
    third = catalogue.get("acme", "p")
    assert third is not None
    assert third.errors == ()
    assert third.spec == first.spec
    assert third.load_time > first.load_time


def test_an_edit_is_seen_at_the_next_call(root: Path, catalogue: FileCatalogue) -> None:
    before = catalogue.get("acme", "p")
    file = root / "acme/pipelines/p.yml"
    file.write_text(file.read_text().replace("lookback: 7d", "lookback: 3d"))
    after = catalogue.get("acme", "p")
    assert before is not None
    assert after is not None
    assert before.spec is not None
    assert after.spec is not None
    assert after.spec.window is not None
    assert after.spec.window.lookback_days == 3
    assert after.spec.spec_hash != before.spec.spec_hash


def test_a_file_replaced_by_one_of_equal_size_and_time_is_seen(
    root: Path, catalogue: FileCatalogue
) -> None:
    file = root / "acme/pipelines/p.yml"
    catalogue.get("acme", "p")
    stat = file.stat()
    file.write_text(file.read_text().replace("lookback: 7d", "lookback: 4d"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = catalogue.get("acme", "p")
    assert after is not None
    assert after.spec is not None
    assert after.spec.window is not None
    assert after.spec.window.lookback_days == 4


def test_a_deleted_pipeline_is_gone_and_has_no_last_good_version(
    root: Path, catalogue: FileCatalogue
) -> None:
    catalogue.get("acme", "p")
    file = root / "acme/pipelines/p.yml"
    file.unlink()
    assert catalogue.get("acme", "p") is None
    file.write_text("][")
    back = catalogue.get("acme", "p")
    assert back is not None
    assert back.spec is None


def test_links_out_of_the_folder_are_refused_and_their_content_is_not_shown(
    root: Path, catalogue: FileCatalogue
) -> None:
    outside = root.parent / "outside.json"
    outside.write_text('["topsecret"')
    schema = root / "acme/schemas/usage.json"
    schema.unlink()
    schema.symlink_to(outside)
    entry = catalogue.get("acme", "p")
    assert entry is not None
    assert entry.errors[0].found == "a link that leads elsewhere"
    assert "topsecret" not in str(entry)


def test_links_to_the_tenants_secrets_are_refused(root: Path, catalogue: FileCatalogue) -> None:
    (root / "acme/secrets").mkdir()
    (root / "acme/secrets/key.txt").write_text("sk-topsecret")
    suite = root / "acme/suites/usage.json"
    suite.unlink()
    suite.symlink_to(root / "acme/secrets/key.txt")
    entry = catalogue.get("acme", "p")
    assert entry is not None
    assert entry.errors
    assert "topsecret" not in str(entry)


def test_links_within_the_folder_are_followed(root: Path, catalogue: FileCatalogue) -> None:
    data = root / "acme/pipelines/..data"
    data.mkdir()
    file = root / "acme/pipelines/p.yml"
    file.rename(data / "p.yml")
    file.symlink_to(data / "p.yml")
    entry = catalogue.get("acme", "p")
    assert entry is not None
    assert entry.errors == ()


def test_a_folder_that_leads_to_another_tenant_or_outside_is_no_tenant(
    root: Path, catalogue: FileCatalogue, tmp_path: Path
) -> None:
    (root / "widgetsinc").symlink_to(root / "acme")
    (tmp_path / "elsewhere").mkdir()
    (root / "other").symlink_to(tmp_path / "elsewhere")
    assert catalogue.get("widgetsinc", "p") is None
    assert catalogue.pipelines("other") == ()


def test_the_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(root)
    entry = FileCatalogue(link, clock=Clock()).get("acme", "p")
    assert entry is not None
    assert entry.errors == ()


def test_what_is_no_text_is_an_error_of_that_file(root: Path, catalogue: FileCatalogue) -> None:
    (root / "acme/transforms/cost.sql").write_bytes(b"SELECT '\xff'")
    (root / "acme/suites/usage.json").write_bytes(b" " * (1024 * 1024 + 1))
    (root / "acme/sources/usage.yml").unlink()
    (root / "acme/sources/usage.yml").mkdir()
    entry = catalogue.get("acme", "p")
    assert entry is not None
    found = {error.file: error.found for error in entry.errors}
    assert "UTF-8" in found["acme/transforms/cost.sql"]
    assert "bytes" in found["acme/suites/usage.json"]
    assert "no regular file" in found["acme/sources/usage.yml"]


def test_a_byte_order_mark_does_no_harm(root: Path, catalogue: FileCatalogue) -> None:
    file = root / "acme/pipelines/p.yml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    entry = catalogue.get("acme", "p")
    assert entry is not None
    assert entry.errors == ()


def test_files_that_no_id_can_name_are_reported(root: Path, catalogue: FileCatalogue) -> None:
    (root / "acme/pipelines/P-Daily.yml").write_text("")
    (error,) = catalogue.strays("acme")
    assert error.file == "acme/pipelines/P-Daily.yml"
    assert catalogue.pipelines("acme") == ("d", "p")
