"""The in-memory catalogue answers as the one in a directory does."""

from datetime import UTC, datetime

from services.orchestrator.configs.catalogue import Catalogue, MemoryCatalogue
from services.orchestrator.configs.file_errors import FileError
from tests.unit.orchestrator.configs.tenant_files import good

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 13, tzinfo=UTC)
ERROR = FileError(file="acme/pipelines/p.yml", found="x", allowed="y", advice="z")


def test_pipelines_that_were_put_in_are_found_and_can_be_taken_out() -> None:
    memory = MemoryCatalogue()
    catalogue: Catalogue = memory
    memory.put(good(), at=NOON)
    memory.put(good("d"), at=NOON)
    assert catalogue.tenants() == ("acme",)
    assert catalogue.pipelines("acme") == ("d", "p")
    entry = catalogue.get("acme", "p")
    assert entry is not None
    assert entry.spec == good()
    memory.remove("acme", "p")
    assert catalogue.get("acme", "p") is None


def test_a_broken_version_keeps_the_one_before() -> None:
    memory = MemoryCatalogue()
    memory.put(good(), at=NOON)
    memory.put_broken("acme", "p", ERROR, at=LATER)
    entry = memory.get("acme", "p")
    assert entry is not None
    assert entry.spec == good()
    assert entry.errors == (ERROR,)
    assert entry.load_time == NOON
