"""The commands that people and CI give."""

import re
import sys

import pytest
import yaml

from tests.cluster.__main__ import wish
from tools.cluster import __main__ as cluster
from tools.cluster import lifecycle
from tools.image.places import ROOT, Refusal, run

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


@pytest.mark.parametrize(
    "words", [[], ["frob"], ["up", "now"], ["down", "now"], ["load"], ["run"]], ids=" ".join
)
def test_a_wrong_command_to_the_cluster_is_told_what_is_allowed(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in ("up", "down", "load", "command"):
        monkeypatch.delattr(lifecycle, verb)
    monkeypatch.setattr(sys, "argv", ["cluster", *words])
    with pytest.raises(SystemExit, match=r"allowed is .* up \| down \| load ARCHIVE…"):
        cluster.main()


def test_a_proof_that_there_is_not_is_refused_before_anything_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert wish(["install", "policies"]).proofs == ["install", "policies"]
    assert wish([]).proofs == []
    with pytest.raises(SystemExit):
        wish(["instal"])
    allowed = "disturbance, install, pipelines, policies, scaling, slice"
    assert f"found instal; allowed are {allowed}" in capsys.readouterr().err


def test_a_program_that_is_missing_is_said_in_one_sentence() -> None:
    with pytest.raises(Refusal, match="no-such-program is missing; make cluster-packages"):
        run("no-such-program", "images")
