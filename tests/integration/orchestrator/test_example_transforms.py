"""The shipped transforms and queries run on the embedded BigQuery and give exact money."""

import csv
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from libs.bigquery import jobs, tables
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.tables import Column, DatasetId, TableId
from libs.common.lineage import target_columns
from libs.focus.columns import focus_columns
from libs.focus.views import VERSIONS, columns_of, create_view_sql, view_name
from services.orchestrator.configs.file_catalogue import FileCatalogue
from services.orchestrator.specs import PipelineSpec
from tests.support.engine import Engine

EXAMPLES = Path(__file__).parents[3] / "examples"
BILL = EXAMPLES / "configs/acme_corp/bills/focus_sample.csv"
OBJECT = "bills/focus_sample.csv"
TENANT = "acme_corp"
TOTAL = Decimal("20.52022672899")
NOW = dt.datetime(2026, 11, 24, 6, tzinfo=dt.UTC)
DAYS = [dt.date(2026, 11, 10), dt.date(2026, 11, 23)]
SILVER = f"{TENANT}_silver_cost"

Row = Mapping[str, object]

pytestmark = pytest.mark.xdist_group("example_transforms")


@pytest.fixture(scope="module")
def bq(engine: Engine) -> Iterator[BigQuery]:
    """An engine in which both pipelines of one tenant have been published and transformed."""
    with connect(Connection(engine.project, "EU", engine.rest, engine.grpc)) as opened:
        _fill(opened)
        yield opened


def _fill(bq: BigQuery) -> None:
    columns = [Column(c.name, c.type, c.mode, c.description) for c in focus_columns()]
    for dataset in (SILVER, f"{TENANT}_raw_billing", f"{TENANT}_raw_openai"):
        ensure_dataset(bq, DatasetId(bq.connection.project, dataset), tenant=TENANT)
    silver = _table(bq, f"{SILVER}.focus_costs")
    tables.ensure_table(bq, silver, columns, partition_by="ChargePeriodStart")
    bill, usage = spec("p_focus_billing"), spec("p_openai_daily")
    load(bq, bill, [*bill_rows(), {**bill_rows()[0], "_source": "bills/other.csv"}])
    load(bq, usage, usage_rows())
    transform(bq, bill, [OBJECT])
    transform(bq, usage, DAYS)


def spec(pipeline: str) -> PipelineSpec:
    entry = FileCatalogue(EXAMPLES / "configs", clock=lambda: NOW).get(TENANT, pipeline)
    assert entry is not None
    assert entry.spec is not None
    return entry.spec


def load(bq: BigQuery, spec: PipelineSpec, rows: Sequence[Row]) -> None:
    """Make the raw table and load `rows`, whose values are texts as the source writes them."""
    declared = [column.platform() for column in spec.columns]
    columns = [Column(c.name, c.type, c.mode) for c in target_columns(declared)]
    table = _table(bq, spec.target.table_id(TENANT))
    tables.ensure_table(bq, table, columns)
    lineage = {
        "_tenant_id": TENANT,
        "_pipeline_id": spec.pipeline,
        "_run_id": "r1",
        "_chunk_id": "c1",
        "_snapshot": 1,
        "_ingested_at": NOW.isoformat(),
        "ingestion_date": NOW.date().isoformat(),
    }
    whole = [json.dumps({**lineage, "_row_number": n, **row}) for n, row in enumerate(rows)]
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_value(column) for column in columns)
    sql = f"INSERT INTO {table.sql} ({names}) SELECT {values} FROM UNNEST(@rows) AS line"
    jobs.query(bq, sql, {"rows": whole})


def _value(column: Column) -> str:
    if column.type == "JSON":
        return f"PARSE_JSON(JSON_QUERY(line, '$.{column.name}'))"
    return f"CAST(JSON_VALUE(line, '$.{column.name}') AS {column.type})"


def transform(bq: BigQuery, spec: PipelineSpec, scope: Sequence[object]) -> None:
    """Add the transform's result to silver."""
    (one,) = spec.transforms
    result = f"{SILVER}.{one.transform_id}_result"
    jobs.query(bq, f"CREATE OR REPLACE TABLE {result} AS {one.sql}", {"scope": scope})
    names = ", ".join(c.name for c in tables.get_columns(bq, _table(bq, result)))
    jobs.query(bq, f"INSERT INTO {SILVER}.focus_costs ({names}) SELECT {names} FROM {result}")


def _table(bq: BigQuery, table: str) -> TableId:
    dataset, _, name = table.partition(".")
    return TableId(bq.connection.project, dataset, name)


def bill_rows() -> list[Row]:
    with BILL.open(newline="") as file:
        return [
            {
                name: json.loads(text) if name == "Tags" else text
                for name, text in {**row, "_source": OBJECT}.items()
                if text != "NULL"
            }
            for row in csv.DictReader(file)
        ]


def usage_rows() -> list[Row]:
    """Costs of two days (one charge without quantity, one credit), a day outside, and usage."""
    rows: list[Row] = []
    for day in [*DAYS, dt.date(2026, 11, 9)]:
        at = {"project_id": "proj_a", "amount_currency": "usd", **_bucket(day, "costs")}
        tokens = {"quantity": "4000000", "quantity_unit": "tokens"}
        rows += [
            {
                **at,
                **tokens,
                "line_item": "gpt-5-mini, input",
                "amount_value": "0.8958740000000001",
            },
            {**at, "line_item": "web search tool calls", "amount_value": "0.01"},
            {**at, "line_item": "gpt-5-mini, input", "amount_value": "-0.000000000000000001"},
            {**_bucket(day, "usage.completions"), "project_id": "proj_a", "input_tokens": 4000000},
        ]
    return rows


def _bucket(day: dt.date, report: str) -> dict[str, object]:
    after = day + dt.timedelta(days=1)
    return {
        "usage_date": day.isoformat(),
        "bucket_start": f"{day}T00:00:00+00:00",
        "bucket_end": f"{after}T00:00:00+00:00",
        "object": f"organization.{report}.result",
        "_source": f"{report}:{day}/{after}",
    }


def only(bq: BigQuery, what: str, where: str = "TRUE") -> Row:
    (row,) = jobs.query(bq, f"SELECT {what} FROM {SILVER}.focus_costs WHERE {where}")
    return row


BILLS = "x_SourceObject = 'bills/focus_sample.csv'"
API = "ServiceName = 'OpenAI API'"


def test_the_bill_arrives_in_silver_with_its_exact_total_and_nothing_of_other_objects(
    bq: BigQuery,
) -> None:
    row = only(bq, "COUNT(*) AS n, SUM(BilledCost) AS total", "ServiceName != 'OpenAI API'")
    assert (row["n"], row["total"]) == (1000, TOTAL)


@pytest.mark.parametrize("column", ["BilledCost", "EffectiveCost", "ListCost", "PricingQuantity"])
def test_every_sum_of_the_bill_is_that_of_its_text(bq: BigQuery, column: str) -> None:
    texts = [str(row[column]) for row in bill_rows()]
    assert only(bq, f"SUM({column}) AS total", BILLS)["total"] == sum(map(Decimal, texts))


def test_empty_texts_are_null_and_filled_costs_say_so(bq: BigQuery) -> None:
    row = only(
        bq,
        "COUNTIF(BillingAccountName = '') AS empty, COUNTIF(ContractedCost IS NULL) AS without,"
        " COUNTIF(x_SourceChanges = 'ContractedCost=EffectiveCost') AS filled,"
        " COUNT(DISTINCT ChargeFrequency) AS frequencies, COUNTIF(x_CostStatus = 'final') AS final,"
        " COUNTIF(JSON_VALUE(Tags, '$.environment') = 'dev') AS dev",
        BILLS,
    )
    dev = [row for row in bill_rows() if json_of(row).get("environment") == "dev"]
    assert row == {
        "empty": 0, "without": 0, "filled": 7, "frequencies": 2, "final": 1000, "dev": len(dev),
    }  # fmt: skip


def json_of(row: Row) -> dict[str, object]:
    tags = row.get("Tags")
    return dict(tags) if isinstance(tags, dict) else {}


def test_costs_of_the_scope_become_charges_and_usage_does_not(bq: BigQuery) -> None:
    row = only(bq, "COUNT(*) AS n, SUM(BilledCost) AS total", API)
    day = Decimal("0.8958740000000001") + Decimal("0.01") - Decimal("0.000000000000000001")
    assert (row["n"], row["total"]) == (6, 2 * day)


def test_a_charge_for_tokens_has_everything_that_focus_asks_for(bq: BigQuery) -> None:
    row = only(
        bq, "*", f"{API} AND DATE(ChargePeriodStart) = DATE '2026-11-23' AND PricingQuantity > 0"
    )
    assert {name: row[name] for name in sorted(row) if row[name] is not None} == {
        "BilledCost": Decimal("0.8958740000000001"),
        "BillingAccountId": "acme_corp",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
        "BillingPeriodStart": dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        "ChargeCategory": "Usage",
        "ChargeDescription": "gpt-5-mini, input",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": dt.datetime(2026, 11, 24, tzinfo=dt.UTC),
        "ChargePeriodStart": dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        "ConsumedQuantity": Decimal(4000000),
        "ConsumedUnit": "Tokens",
        "ContractedCost": Decimal("0.8958740000000001"),
        "ContractedUnitPrice": row["ListUnitPrice"],
        "EffectiveCost": Decimal("0.8958740000000001"),
        "HostProviderName": "OpenAI",
        "InvoiceIssuerName": "OpenAI",
        "ListCost": Decimal("0.8958740000000001"),
        "ListUnitPrice": row["ListUnitPrice"],
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyEffectiveCost": Decimal("0.8958740000000001"),
        "PricingQuantity": Decimal(4000000),
        "PricingUnit": "Tokens",
        "ProviderName": "OpenAI",
        "PublisherName": "OpenAI",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "OpenAI API",
        "ServiceProviderName": "OpenAI",
        "ServiceSubcategory": "Generative AI",
        "SkuId": "gpt-5-mini-input",
        "SkuMeter": "gpt-5-mini, input",
        "SubAccountId": "proj_a",
        "SubAccountName": "proj_a",
        "SubAccountType": "Project",
        "Tags": {"project": "proj_a"},
        "x_CostStatus": "provisional",
        "x_FocusVersion": "1.4",
        "x_Model": "gpt-5-mini",
        "x_SourceChanges": "ListUnitPrice=ContractedUnitPrice=ListCost/PricingQuantity",
        "x_SourceGrain": "project_id,line_item,day",
        "x_SourceObject": "costs:2026-11-23/2026-11-24",
    }
    price = Decimal(str(row["ListUnitPrice"]))
    assert Decimal("2.23e-7") < price < Decimal("2.25e-7")


def test_old_days_are_final_credits_are_credits_and_other_meters_have_no_model(
    bq: BigQuery,
) -> None:
    row = only(
        bq,
        "COUNTIF(x_CostStatus = 'final' AND DATE(ChargePeriodStart) = DATE '2026-11-10') AS final,"
        " COUNTIF(x_CostStatus = 'final') AS all_final,"
        " COUNTIF(ChargeCategory = 'Credit') AS credits,"
        " COUNTIF(x_Model IS NULL AND SkuMeter = 'web search tool calls') AS without_model",
        API,
    )
    assert row == {"final": 3, "all_final": 3, "credits": 2, "without_model": 2}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_of_focus_has_a_view_with_its_columns(bq: BigQuery, version: str) -> None:
    jobs.query(bq, create_view_sql(version, f"{SILVER}.focus_costs"))
    rows = jobs.query(bq, f"SELECT * FROM {SILVER}.{view_name(version)} LIMIT 1")
    assert tuple(rows[0]) == columns_of(version)


@pytest.mark.parametrize("path", sorted((EXAMPLES / "queries").glob("*.sql")), ids=lambda p: p.stem)
def test_every_shipped_query_runs_and_adds_up(bq: BigQuery, path: Path) -> None:
    rows = jobs.query(bq, path.read_text().replace("{tenant}", TENANT))
    assert rows
    where = (
        "ServiceCategory = 'AI and Machine Learning'" if path.stem == "cost_by_model" else "TRUE"
    )
    expected = only(bq, "SUM(BilledCost) AS total", where)["total"]
    assert sum(Decimal(str(row["billed_cost"])) for row in rows) == expected
