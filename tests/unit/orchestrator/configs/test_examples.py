"""The shipped examples are right, carry no secret, and hold the bill that they say they hold."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from libs.focus.columns import focus_columns
from services.orchestrator.configs.file_catalogue import FileCatalogue
from services.orchestrator.specs import PipelineSpec

EXAMPLES = Path(__file__).parents[4] / "examples"
CONFIGS = EXAMPLES / "configs"
BILL = CONFIGS / "acme_corp/bills/focus_sample.csv"
PIPELINES = [
    ("acme_corp", "p_focus_billing"),
    ("acme_corp", "p_openai_daily"),
    ("widgetsinc", "p_openai_daily"),
]


@pytest.fixture(scope="module")
def catalogue() -> FileCatalogue:
    return FileCatalogue(CONFIGS, clock=lambda: datetime(2026, 11, 24, tzinfo=UTC))


def spec_of(catalogue: FileCatalogue, tenant: str, pipeline: str) -> PipelineSpec:
    entry = catalogue.get(tenant, pipeline)
    assert entry is not None
    assert [f"{error.place}: {error.sentence}" for error in entry.errors] == []
    assert entry.spec is not None
    return entry.spec


def test_there_are_these_tenants_and_pipelines(catalogue: FileCatalogue) -> None:
    found = [(t, p) for t in catalogue.tenants() for p in catalogue.pipelines(t)]
    assert found == PIPELINES
    assert [catalogue.strays(tenant) for tenant in catalogue.tenants()] == [(), ()]


@pytest.mark.parametrize(("tenant", "pipeline"), PIPELINES)
def test_every_example_resolves_and_ends_in_the_tenants_focus_table(
    catalogue: FileCatalogue, tenant: str, pipeline: str
) -> None:
    (transform,) = spec_of(catalogue, tenant, pipeline).transforms
    assert transform.target.table_id(tenant) == f"{tenant}_silver_cost.focus_costs"


@pytest.mark.parametrize(("tenant", "pipeline"), PIPELINES)
def test_suites_speak_of_columns_that_the_schema_has(
    catalogue: FileCatalogue, tenant: str, pipeline: str
) -> None:
    spec = spec_of(catalogue, tenant, pipeline)
    names = {column.name for column in spec.columns}
    suite = json.loads(spec.quality.suite_document)
    for expectation in suite["expectations"]:
        keys = ("column", "column_A", "column_B")
        used = {expectation["kwargs"][key] for key in keys if key in expectation["kwargs"]}
        assert used <= names


def test_the_schema_of_the_bill_has_the_columns_of_the_bill(catalogue: FileCatalogue) -> None:
    with BILL.open(newline="") as file:
        header = next(csv.reader(file))
    spec = spec_of(catalogue, "acme_corp", "p_focus_billing")
    assert [column.name for column in spec.columns] == header
    money = {c.name for c in spec.columns if c.type == "BIGNUMERIC"}
    assert money == {name for name in header if name.endswith(("Cost", "UnitPrice", "Quantity"))}


def test_the_bill_has_the_total_that_the_documents_name() -> None:
    with BILL.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("20.52022672899")


def test_both_tenants_differ_by_their_names_alone() -> None:
    for path in sorted((CONFIGS / "widgetsinc").rglob("*.*")):
        other = CONFIGS / "acme_corp" / path.relative_to(CONFIGS / "widgetsinc")
        if "secrets" not in path.parts:
            assert path.read_text().replace("widgetsinc", "acme_corp") == other.read_text()


def test_no_secret_is_shipped() -> None:
    assert "secrets/" in (CONFIGS / ".gitignore").read_text().split()


def test_queries_read_columns_that_the_focus_table_has() -> None:
    names = {column.name.casefold() for column in focus_columns()}
    for path in sorted((EXAMPLES / "queries").glob("*.sql")):
        tree = sqlglot.parse_one(
            path.read_text().replace("{tenant}", "acme_corp"), dialect="bigquery"
        )
        assert isinstance(tree, exp.Select)
        own = {select.alias.casefold() for select in tree.selects}
        used = {column.name.casefold() for column in tree.find_all(exp.Column)}
        assert used - own <= names, path.name
