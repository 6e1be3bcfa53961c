"""The files that a new tenant starts from are a pipeline that works, once they lose `.example`."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.client.config_tree import lay_out
from services.orchestrator.configs.file_catalogue import FileCatalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in lay_out(tmp_path, "acme_corp"):
        if file.suffix == ".example":
            shutil.copy(file, file.with_suffix(""))
    return tmp_path / "acme_corp"


def _catalogue(folder: Path) -> FileCatalogue:
    return FileCatalogue(folder.parent, clock=lambda: datetime(2026, 11, 24, tzinfo=UTC))


def test_copied_without_their_ending_the_examples_are_one_valid_pipeline(folder: Path) -> None:
    catalogue = _catalogue(folder)
    assert catalogue.pipelines("acme_corp") == ("p_example",)
    entry = catalogue.get("acme_corp", "p_example")
    assert entry is not None
    assert entry.errors == ()
    assert entry.spec is not None
    assert entry.spec.target.table_id("acme_corp") == "acme_corp_raw_example.usage"
    assert [one.transform_id for one in entry.spec.transforms] == ["example_cost"]


def test_before_that_they_are_read_by_nobody(tmp_path: Path) -> None:
    lay_out(tmp_path, "acme_corp")
    assert _catalogue(tmp_path / "acme_corp").pipelines("acme_corp") == ()


def test_the_settings_that_stand_there_as_comments_are_valid_too(folder: Path) -> None:
    pipeline = folder / "pipelines" / "p_example.yml"
    text = re.sub(r"(?m)^# (window|limits):", r"\1:", pipeline.read_text())
    text = text.replace("{mode: append}", "{mode: replace, scope: [usage_date]}")
    pipeline.write_text(
        text.replace("{_source: x_SourceObject}", "{usage_date: ChargePeriodStart}")
    )
    entry = _catalogue(folder).get("acme_corp", "p_example")
    assert entry is not None
    assert entry.errors == ()
    assert entry.spec is not None
    assert entry.spec.window is not None
