"""What every catalogue keeps, in memory and in a directory: what stands, and the last good version."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from libs.common.names import PipelineName
from services.orchestrator.configs.catalogue import Catalogue, MemoryCatalogue
from services.orchestrator.configs.file_catalogue import FileCatalogue
from services.orchestrator.configs.file_errors import ConfigInvalid, FileError
from services.orchestrator.pipelines import PipelineNotFound, pipeline_entry, pipeline_spec
from tests.unit.orchestrator.configs.tenant_files import TEXTS, good

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ERROR = FileError(file="acme/pipelines/p.yml", found="x", allowed="y", advice="z")


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class Bench(Protocol):
    """A catalogue and the hands that change what it holds: pipelines `p` and `d` of `acme`."""

    @property
    def catalogue(self) -> Catalogue:
        """Return it."""

    def write(self, pipeline: str) -> None:
        """Add a pipeline, or correct it."""

    def spoil(self, pipeline: str) -> None:
        """Let a pipeline's files have an error."""

    def remove(self, pipeline: str) -> None:
        """Take a pipeline out."""


class InMemory:
    def __init__(self) -> None:
        self.catalogue = MemoryCatalogue()
        self._clock = Clock()

    def write(self, pipeline: str) -> None:
        self.catalogue.put(good(pipeline), at=self._clock())

    def spoil(self, pipeline: str) -> None:
        self.catalogue.put_broken("acme", pipeline, ERROR, at=self._clock())

    def remove(self, pipeline: str) -> None:
        self.catalogue.remove("acme", pipeline)


class InDirectory:
    def __init__(self, root: Path) -> None:
        self.catalogue = FileCatalogue(root, clock=Clock())
        self._home = root / "acme"
        for path, text in TEXTS.items():
            if not path.startswith("pipelines/"):
                self._put(path, text)

    def _put(self, path: str, text: str) -> None:
        file = self._home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def write(self, pipeline: str) -> None:
        path = f"pipelines/{pipeline}.yml"
        self._put(path, TEXTS[path])

    def spoil(self, pipeline: str) -> None:
        self._put(f"pipelines/{pipeline}.yml", "source: [")

    def remove(self, pipeline: str) -> None:
        (self._home / f"pipelines/{pipeline}.yml").unlink()


@pytest.fixture(params=["memory", "directory"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return InMemory() if request.param == "memory" else InDirectory(tmp_path / "configs")


P = PipelineName("acme", "p")


def test_pipelines_are_listed_by_id_and_found(bench: Bench) -> None:
    bench.write("p")
    bench.write("d")
    assert bench.catalogue.tenants() == ("acme",)
    assert bench.catalogue.pipelines("acme") == ("d", "p")
    assert pipeline_spec(bench.catalogue, P) == good("p")
    assert pipeline_entry(bench.catalogue, P).errors == ()


def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    bench.write("p")
    assert bench.catalogue.pipelines("widgetsinc") == ()
    for name in (PipelineName("acme", "q"), PipelineName("widgetsinc", "p")):
        assert bench.catalogue.get(name.tenant, name.pipeline) is None
        with pytest.raises(PipelineNotFound) as refused:
            pipeline_spec(bench.catalogue, name)
        assert refused.value.metadata == {"name": str(name)}


def test_a_broken_version_is_shown_and_the_last_good_one_is_used(bench: Bench) -> None:
    bench.write("p")
    before = pipeline_entry(bench.catalogue, P)
    bench.spoil("p")
    entry = pipeline_entry(bench.catalogue, P)
    assert [error.file for error in entry.errors] == ["acme/pipelines/p.yml"]
    assert (entry.spec, entry.load_time) == (before.spec, before.load_time)
    assert pipeline_spec(bench.catalogue, P) == good("p")


def test_a_pipeline_that_never_was_right_cannot_be_used(bench: Bench) -> None:
    bench.spoil("p")
    assert bench.catalogue.pipelines("acme") == ("p",)
    assert pipeline_entry(bench.catalogue, P).spec is None
    with pytest.raises(ConfigInvalid) as refused:
        pipeline_spec(bench.catalogue, P)
    (place,) = refused.value.violations
    assert place.startswith("acme/pipelines/p.yml")


def test_a_corrected_version_is_used_from_then_on(bench: Bench) -> None:
    bench.write("p")
    before = pipeline_entry(bench.catalogue, P)
    bench.spoil("p")
    pipeline_entry(bench.catalogue, P)
    bench.write("p")
    after = pipeline_entry(bench.catalogue, P)
    assert after.errors == ()
    assert after.load_time > before.load_time


def test_a_pipeline_taken_out_is_gone_with_its_last_good_version(bench: Bench) -> None:
    bench.write("p")
    bench.write("d")
    bench.remove("p")
    assert bench.catalogue.pipelines("acme") == ("d",)
    assert bench.catalogue.get("acme", "p") is None
    bench.spoil("p")
    assert pipeline_entry(bench.catalogue, P).spec is None
