"""The commands that people and CI give."""

import re

import pytest
import yaml

from tools.image.places import ROOT

TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "place", [".ci/run", ".github/workflows/ci.yml", "CONTRIBUTING.md", "docs/kubernetes.md"]
)
def test_every_target_that_is_named_is_one_that_make_lists(place: str) -> None:
    text = (ROOT / place).read_text()
    commands = re.findall(r"(?:^|: |`|PATH )make((?: [a-z-]+\b(?!=))+)", text, re.MULTILINE)
    named = {target for command in commands for target in command.split()}
    assert named
    assert named - TARGETS == set()


def test_cloud_build_calls_targets_and_has_the_commit_that_an_image_names() -> None:
    steps = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())["steps"]
    words = [word for step in steps if step.get("entrypoint") == "make" for word in step["args"]]
    assert {word for word in words if "=" not in word} <= TARGETS
    lines = (ROOT / ".gcloudignore").read_text().splitlines()
    assert [line for line in lines if not line.startswith("# ")] == ["#!include:.gitignore"]
    assert ".git/" not in (ROOT / ".gitignore").read_text().splitlines()
