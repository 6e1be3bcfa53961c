"""The files that a tenant starts from."""

import stat
from pathlib import Path

from libs.client import config_tree


def test_the_tree_explains_itself_and_names_its_tenant(tmp_path: Path) -> None:
    written = config_tree.lay_out(tmp_path, "acme_corp")
    folder = tmp_path / "acme_corp"
    readme, pipeline = folder / "README.md", folder / "pipelines" / "p_example.yml.example"
    assert {readme, pipeline} <= set(written)
    assert "# Files of acme_corp" in readme.read_text()
    assert "acme_corp_raw_example" in pipeline.read_text()


def test_laying_out_again_changes_nothing_that_is_there(tmp_path: Path) -> None:
    config_tree.lay_out(tmp_path, "acme_corp")
    readme = tmp_path / "acme_corp" / "README.md"
    readme.write_text("mine")
    assert config_tree.lay_out(tmp_path, "acme_corp") == []
    assert readme.read_text() == "mine"


def test_examples_are_read_by_nobody_before_they_are_renamed(tmp_path: Path) -> None:
    written = config_tree.lay_out(tmp_path, "acme_corp")
    assert {path.suffix for path in written} == {".example", ".md"}


def test_secrets_are_closed_to_others_and_to_git(tmp_path: Path) -> None:
    folder = tmp_path / "acme_corp" / "secrets"
    folder.mkdir(parents=True, mode=0o755)
    config_tree.lay_out(tmp_path, "acme_corp")
    secret = config_tree.write_secret(tmp_path, "acme_corp", "openai_api_key", "sk")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"
