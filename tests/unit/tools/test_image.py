"""What the image is made of."""

import pathlib
import re

from tools.image import install
from tools.image.places import ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def _pins(path: str) -> dict[str, str]:
    """Return the text of each pin, with its hashes, by name."""
    text = (ROOT / path).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)
    return {
        entry.partition("==")[0]: re.sub(r"\s*#.*", "", entry).strip()
        for entry in entries
        if "==" in entry
    }


def test_the_image_has_the_very_packages_that_the_tests_ran_with() -> None:
    image, whole = _pins("deploy/requirements.lock"), _pins("requirements.lock")
    assert image
    assert {name: whole.get(name) for name in image} == image


def test_no_tool_of_development_is_in_the_image() -> None:
    assert not {"pytest", "mypy", "ruff", "moto", "grpcio-tools"} & set(
        _pins("deploy/requirements.lock")
    )


def test_the_base_is_pinned_by_digest() -> None:
    assert re.search(r"^ARG BASE=\S+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)


def test_both_images_run_as_a_numbered_user_below_an_init_and_without_a_shell() -> None:
    images = [stage for stage in DOCKERFILE.split("\nFROM ") if "\nENTRYPOINT" in stage]
    assert len(images) == 2
    for image in images:
        assert "\nUSER 65532:65532\n" in image
        assert '\nENTRYPOINT ["/usr/bin/tini", "--", "/opt/' in image


def test_removing_takes_files_and_folders_that_match_and_no_other(tmp_path: pathlib.Path) -> None:
    for name in ("kept/a.so", "gone/deep/b.py", "kept/tests/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    install.remove(tmp_path, "# why\ngone\n**/tests   # of no use\nnothing/*\n")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "kept",
        "kept/a.so",
    ]
