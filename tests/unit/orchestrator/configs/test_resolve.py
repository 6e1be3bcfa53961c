"""Every mistake in a tenant's files is named by file, line and field, with what is allowed."""

import json

import pytest

from libs.focus.columns import focus_columns
from services.orchestrator.configs.file_errors import ConfigInvalid
from services.orchestrator.configs.folder import Folder
from services.orchestrator.configs.resolve import resolve
from services.orchestrator.specs import FileOptions, OpenAiOptions, TextsSpec
from tests.unit.orchestrator.configs.tenant_files import (
    COLUMNS,
    DELIVERIES,
    PIPELINE,
    SQL,
    TEXTS,
    errors_of,
    good,
    only_error,
)


def changed(old: str, new: str, text: str = PIPELINE) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_a_pipeline_is_resolved_with_everything_it_refers_to() -> None:
    spec = good()
    assert isinstance(spec.source.options, OpenAiOptions)
    assert spec.source.secret == "key"
    assert spec.source.options.reports == ("costs", "usage/completions")
    assert [column.type for column in spec.columns][3:5] == ["INT64", "BIGNUMERIC"]
    assert spec.window is not None
    assert (spec.window.lookback_days, spec.window.lag_days) == (7, 1)
    assert spec.window.timezone == "UTC"
    assert spec.target.table_id("acme") == "acme_raw_openai.usage_logs"
    assert (spec.target.partition_by, spec.target.cluster_by) == ("usage_date", ("model",))
    assert (spec.write.mode, spec.write.scope) == ("replace", ("usage_date",))
    assert spec.quality.suite_document == TEXTS["suites/usage.json"]
    assert spec.quality.hold_for_seconds == 7200
    assert spec.limits.chunk_bytes == 64 * 1024**2
    assert (spec.limits.chunk_attempts, spec.limits.timeout_seconds) == (2, 1800)
    assert spec.schedule is not None
    assert spec.schedule.overlap == "buffer_one"


def test_a_focus_table_gets_the_columns_of_focus_and_its_partitions() -> None:
    (transform,) = good().transforms
    assert transform.sql.split() == SQL.split()
    assert transform.scope == (("usage_date", "ChargePeriodStart"),)
    assert [c.name for c in transform.columns] == [c.name for c in focus_columns()]
    assert transform.target.partition_by == "ChargePeriodStart"


def test_what_a_file_leaves_out_has_the_documented_default() -> None:
    spec = good("d")
    assert isinstance(spec.source.options, FileOptions)
    assert spec.source.options.null_values == ("NULL",)
    assert spec.window is None
    assert spec.schedule is None
    assert spec.target.partition_by == "ingestion_date"
    assert spec.target.cluster_by == ("_tenant_id", "_pipeline_id")
    assert (spec.quality.suite_id, spec.quality.on_failure) == (None, "hold")
    assert spec.limits.timeout_seconds == 7200


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_days_of_files_are_those_of_any_zone(zone: str) -> None:
    text = DELIVERIES.replace("_source", "usage_date") + (
        f"window: {{grain: day, timezone: {zone}}}\n"
    )
    window = good("d", pipelines__d=text).window
    assert window is not None
    assert (window.timezone, window.lookback_days, window.lag_days) == (zone, 1, 0)


def test_a_zone_that_a_source_does_not_count_its_days_in_is_refused_with_what_to_do() -> None:
    error = only_error(pipelines__p=changed("lag: 1d, timezone: UTC", "timezone: Asia/Tokyo"))
    assert error.place == "acme/pipelines/p.yml:3 window.timezone"
    assert error.found == "Asia/Tokyo with a source of kind openai"
    assert error.allowed == "UTC with sources of kind openai, whose days are those of UTC"
    assert error.advice == "write timezone: UTC, or remove it"


@pytest.mark.parametrize(
    ("lag", "lookback", "errors"),
    [
        ("1d", "1d", []),
        ("0d", "1d", ["window.lag"]),
        ("1d", "7d", ["window.lookback"]),
    ],
)
def test_an_append_reads_no_day_that_is_not_over_and_none_twice(
    lag: str, lookback: str, errors: list[str]
) -> None:
    appended = PIPELINE.replace("mode: replace\n  scope: [usage_date]", "mode: append")
    text = appended.replace("{usage_date: Ch", "{_source: Ch").replace("lag: 1d", f"lag: {lag}")
    text = text.replace("lookback: 7d", f"lookback: {lookback}")
    found = [error.field for error in errors_of(pipelines__p=text)]
    assert [field for field in found if field.startswith("window")] == errors


def test_merge_is_read_with_key_and_version() -> None:
    text = changed(
        "{mode: replace, scope: [_source]}",
        "{mode: merge, key: [model, usage_date], version: seen_at}",
        DELIVERIES,
    )
    write = good("d", pipelines__d=text).write
    assert (write.mode, write.key, write.version) == ("merge", ("model", "usage_date"), "seen_at")


MONTHLY = DELIVERIES + "window: {grain: month, lookback: 3mo, lag: 5d}\n"


def scoped(scope: str, text: str = DELIVERIES) -> str:
    return changed("scope: [_source]", f"scope: {scope}", text)


def test_a_scope_may_have_further_columns_whose_values_are_written_as_workers_compare_them() -> (
    None
):
    text = scoped(
        '[{model: "0123"}, {seen_at: "2026-11-01T02:00:00+02:00"}, _source, {tokens: 007}]'
    )
    write = good("d", pipelines__d=text).write
    assert write.scope == ("_source",)
    assert write.fixed == (("model", "0123"), ("seen_at", "2026-11-01 00:00:00"), ("tokens", "7"))


@pytest.mark.parametrize("column", ["usage_date", "seen_at"])
def test_a_window_of_months_replaces_by_a_column_of_their_first_days(column: str) -> None:
    found = good("d", pipelines__d=scoped(f"[{column}]", MONTHLY))
    assert found.window is not None
    assert (found.window.grain, found.window.lookback_months, found.window.lag_days) == (
        "month",
        3,
        5,
    )


@pytest.mark.parametrize(
    ("scope", "field", "allowed"),
    [
        ("[_source, model]", "write.scope", "one column without a value"),
        ("[{model: x}]", "write.scope", "one column without a value"),
        ("[_source, {modl: x}]", "write.scope.1", "a column of the table"),
        ("[_source, {model: x}, {model: y}]", "write.scope.1", "each column once"),
        ("[_source, {tokens: many}]", "write.scope.1", "INT64, as in 42"),
        ("[_source, {usage_date: 20261101}]", "write.scope.1", "DATE, as in 2026-11-01"),
        ("[_source, {cost: 1}]", "write.scope.1", "a column of type DATE, DATETIME, INT64, STRING"),
        ("[_source, {labels: x}]", "write.scope.1", "one value in a row"),
        ("[_source, {model: true}]", "write.scope.1", "a text or a whole number"),
        ("[_source, {model: x, tokens: 1}]", "write.scope.1", "a column, or {column: value}"),
    ],
)
def test_a_scope_is_one_column_and_values_that_can_be_told_apart(
    scope: str, field: str, allowed: str
) -> None:
    errors = errors_of("d", pipelines__d=scoped(scope))
    assert {error.field for error in errors} <= {field, "write.scope.2"}
    assert any(error.field == field and allowed in error.allowed for error in errors)


@pytest.mark.parametrize(
    ("old", "new", "field", "allowed"),
    [
        ("lookback: 3mo", "lookback: 30d", "window.lookback", "months with grain month, as in 3mo"),
        ("grain: month", "grain: day", "window.lookback", "days with grain day, as in 3d"),
        ("lookback: 3mo", "lookback: 37mo", "window.lookback", "1mo to 36mo"),
        ("lookback: 3mo", "lookback: 3w", "window.lookback", "whole months, as in 3mo"),
        ("[usage_date]", "[model]", "write.scope.0", "a DATE or TIMESTAMP column"),
    ],
)
def test_a_window_of_months_counts_months(old: str, new: str, field: str, allowed: str) -> None:
    text = changed(old, new, scoped("[usage_date]", MONTHLY))
    error = only_error("d", pipelines__d=text)
    assert error.field == field
    assert allowed in error.allowed


def test_reports_come_by_the_day() -> None:
    error = only_error(pipelines__p=changed("grain: day, lookback: 7d", "grain: month"))
    assert error.field == "window.grain"


def test_a_transform_names_every_column_of_the_scope() -> None:
    fixed = changed("scope: [usage_date]", "scope: [usage_date, {model: x}]")
    error = errors_of(pipelines__p=fixed)[0]
    assert error.field == "transforms.0.scope"
    assert error.allowed == "{usage_date: target column, model: target column}"
    both = changed("ChargePeriodStart}}", "ChargePeriodStart, model: ServiceName}}", fixed)
    sql = SQL.replace("AS ChargePeriodStart", "AS ChargePeriodStart, model AS ServiceName")
    (transform,) = good(
        pipelines__p=both, transforms__cost=f"{sql}AND model IN UNNEST(@scope_model)"
    ).transforms
    assert transform.scope == (("usage_date", "ChargePeriodStart"), ("model", "ServiceName"))


def test_the_hash_changes_with_any_file_and_with_nothing_else() -> None:
    assert good().spec_hash == good().spec_hash
    assert good().spec_hash == good(pipelines__p=f"# a comment\n{PIPELINE}").spec_hash
    assert (
        good().spec_hash != good(suites__usage='{"name": "usage", "expectations": [ ]}').spec_hash
    )
    assert good().spec_hash != good(transforms__cost=SQL + "AND TRUE").spec_hash


def test_a_spec_carries_the_sql_that_was_judged_and_not_the_text_that_was_written() -> None:
    (transform,) = good(transforms__cost=f"-- why\n{SQL.strip()}; -- the end").transforms
    assert transform.sql.startswith("SELECT cost AS BilledCost")
    assert transform.sql.endswith("UNNEST(@scope)")
    assert transform.reads == ("acme_raw_openai",)


def test_an_unknown_key_is_named_with_the_nearest_known_one() -> None:
    error = only_error(pipelines__p=changed("hold_for: 2h", "holdfor: 2h"))
    assert error.place == "acme/pipelines/p.yml:8 quality.holdfor"
    assert "hold_for" in error.allowed
    assert error.advice == "did you mean hold_for?"


@pytest.mark.parametrize(
    ("old", "new", "field", "line", "allowed"),
    [
        ("mode: replace", "mode: appendd", "write.mode", 6, "append, replace, merge"),
        ("lookback: 7d", "lookback: 7", "window.lookback", 3, "whole days"),
        ("lookback: 7d", "lookback: 0d", "window.lookback", 3, "1d to 366d"),
        ("lookback: 7d", "lookback: 36h", "window.lookback", 3, "whole days"),
        ("grain: day", "grain: hour", "window.grain", 3, "day"),
        ("lag: 1d, timezone: UTC", "lag: 1d, timezone: Europe/Berlino", "window.timezone", 3, "IANA"),
        ("lag: 1d, timezone: UTC", "lag: 1d, timezone: ../../etc/passwd", "window.timezone", 3, "IANA"),
        ("hold_for: 2h", "hold_for: soon", "quality.hold_for", 8, "2h"),
        ("hold_for: 2h", "hold_for: 90d", "quality.hold_for", 8, "60d"),
        ("on_failure: hold", "on_failure: stop", "quality.on_failure", 8, "hold, fail, warn"),
        ("chunk_bytes: 64MiB", "chunk_bytes: 64MB", "limits.chunk_bytes", 12, "MiB"),
        ("chunk_bytes: 64MiB", "chunk_bytes: 1B", "limits.chunk_bytes", 12, "1KiB"),
        ("max_parallel_chunks: 4", "max_parallel_chunks: 0", "limits.max_parallel_chunks", 12, "1"),
        ("max_parallel_chunks: 4", 'max_parallel_chunks: "4"', "limits.max_parallel_chunks", 12, "a whole number"),
        ("timeout: 30m", "timeout: 30", "limits.timeout", 12, "2h"),
        ("timeout: 30m", "timeout: 3d", "limits.timeout", 12, "20h"),
        ("0 6 * * 1-5", "0 6 * *", "schedule.cron", 11, "five fields"),
        ("0 6 * * 1-5", "61 6 * * *", "schedule.cron", 11, "0 to 59"),
        ("0 6 * * 1-5", "0 6 * * 5-1", "schedule.cron", 11, "day of week"),
        ("0 6 * * 1-5", "0 6 31 4 *", "schedule.cron", 11, "a day that some month has"),
        ("overlap: buffer_one", "overlap: both", "schedule.overlap", 11, "skip"),
        ("overlap: buffer_one", "jitter: 25h", "schedule.jitter", 11, "24h"),
        ("overlap: buffer_one", "catch_up: 30s", "schedule.catch_up", 11, "1m to 31d"),
        ("overlap: buffer_one", "after_timeout: 8d", "schedule.after_timeout", 11, "1m to 7d"),
        ("dataset: raw_openai", "dataset: staging", "target.dataset", 4, "except staging"),
        ("dataset: raw_openai", "dataset: Raw", "target.dataset", 4, "[a-z]"),
        ("table: usage_logs", "table: usage__logs", "target.table", 4, "single underscores"),
        ("table: usage_logs", "table: usage-logs", "target.table", 4, "letters"),
        ("source: usage", "source: [usage]", "source", 1, "a text"),
        ("source: usage", "source: 5", "source", 1, "a text"),
        ("source: usage", "source: ../usage", "source", 1, "an id"),
        ("scope: [usage_date]", "scope: usage_date", "write.scope", 7, "a list"),
        ("source: usage\n", "", "source", 1, "a required key"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_form_is_named_with_what_is_allowed(
    old: str, new: str, field: str, line: int, allowed: str
) -> None:
    error = only_error(pipelines__p=changed(old, new))
    assert (error.file, error.field, error.line) == ("acme/pipelines/p.yml", field, line)
    assert allowed in error.allowed


@pytest.mark.parametrize(
    ("old", "new", "field", "allowed"),
    [
        ("scope: [usage_date]", "scope: [usage_dat]", "write.scope.0", "usage_date"),
        ("scope: [usage_date]", "scope: [seen_at]", "write.scope.0", "a DATE column"),
        ("scope: [usage_date]", "scope: [_source]", "write.scope.0", "a DATE column"),
        ("scope: [usage_date]", "scope: [usage_date, model]", "write.scope", "one column"),
        ("  scope: [usage_date]\n", "", "write.scope", "scope with mode replace"),
        ("mode: replace", "mode: append", "write.scope", "scope with mode replace"),
        ("  scope: [usage_date]", "  scope: [usage_date]\n  key: [model]", "write.key", "merge"),
        ("partition_by: usage_date", "partition_by: model", "target.partition_by", "usage_date"),
        ("partition_by: usage_date", "partition_by: nothing", "target.partition_by", "TIMESTAMP"),
        ("cluster_by: [model]", "cluster_by: [modell]", "target.cluster_by.0", "model"),
        ("cluster_by: [model]", "cluster_by: [ratio]", "target.cluster_by.0", "clusters by"),
        ("cluster_by: [model]", "cluster_by: [labels]", "target.cluster_by.0", "clusters by"),
        ("cluster_by: [model]", "cluster_by: [model, model]", "target.cluster_by", "each once"),
        ("cluster_by: [model]", "cluster_by: [model, tokens, cost, usage_date, seen_at]", "target.cluster_by", "at most 4"),
        ("window: {grain: day, lookback: 7d, lag: 1d, timezone: UTC}\n", "", "window", "a window"),
        ("lag: 1d, timezone: UTC", "lag: 1d, timezone: Europe/Berlin", "window.timezone", "UTC with sources of kind openai"),
        ("usage_date: ChargePeriodStart", "usage_date: ChargePeriodStrt", "transforms.0.scope.usage_date", "ChargePeriodStart"),
        ("usage_date: ChargePeriodStart", "usage_date: ServiceName", "transforms.0.scope.usage_date", "TIMESTAMP"),
        ("usage_date: ChargePeriodStart", "model: ServiceName", "transforms.0.scope", "usage_date: target column"),
        ("dataset: silver_cost, table: focus_costs", "dataset: raw_openai, table: usage_logs", "transforms.0.target", "another table"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_each_other_are_named(
    old: str, new: str, field: str, allowed: str
) -> None:
    errors = errors_of(pipelines__p=changed(old, new))
    assert field in [error.field for error in errors]
    assert any(allowed in error.allowed for error in errors if error.field == field)


@pytest.mark.parametrize(
    ("write", "field"),
    [
        ("{mode: merge, key: [model]}", "write.version"),
        ("{mode: merge, version: seen_at}", "write.key"),
        ("{mode: merge, key: [modl], version: seen_at}", "write.key.0"),
        ("{mode: merge, key: [model], version: ratio}", "write.version"),
        ("{mode: merge, key: [labels], version: seen_at}", "write.key.0"),
        ("{mode: merge, key: [model], version: model}", "write.key"),
        ("{mode: merge, key: [model, model], version: seen_at}", "write.key"),
        ("{mode: replace, scope: [usage_date]}", "write.scope.0"),
    ],
)
def test_write_modes_need_columns_that_can_do_their_work(write: str, field: str) -> None:
    text = changed("{mode: replace, scope: [_source]}", write, DELIVERIES)
    assert only_error("d", pipelines__d=text).field == field


@pytest.mark.parametrize(
    ("kind", "old", "missing", "field"),
    [
        ("sources", "source: usage", "source: usge", "source"),
        ("schemas", "schema: usage", "schema: usge", "schema"),
        ("suites", "suite: usage", "suite: usge", "quality.suite"),
        ("transforms", "sql: cost", "sql: cst", "transforms.0.sql"),
    ],
)
def test_a_missing_file_is_named_with_the_field_that_refers_to_it(
    kind: str, old: str, missing: str, field: str
) -> None:
    error = only_error(pipelines__p=changed(old, missing))
    assert (error.file, error.field) == ("acme/pipelines/p.yml", field)
    assert "did you mean" in error.advice
    assert f"create acme/{kind}/" in error.advice


def test_errors_of_all_files_come_together() -> None:
    errors = errors_of(
        sources__usage="kind: openai\nsecret: key\noptions: {reports: [cost]}\n",
        schemas__usage='[{"name": "a", "type": "TEXT"}]',
        suites__usage="[]",
        transforms__cost="SELECT 1 AS a FROM widgetsinc_raw.t",
    )
    assert {error.file for error in errors} == {
        "acme/sources/usage.yml",
        "acme/schemas/usage.json",
        "acme/suites/usage.json",
    }
    broken = errors_of(transforms__cost="SELECT 1 AS a\nFROM widgetsinc_raw.t")
    assert "dataset widgetsinc_raw" in [error.found for error in broken]
    assert ("acme/transforms/cost.sql", 2) in [(error.file, error.line) for error in broken]


def test_a_wrong_pipeline_file_still_has_its_references_checked() -> None:
    errors = errors_of(
        pipelines__p=changed("mode: replace", "mode: no"), sources__usage="kind: fax\n"
    )
    assert {error.file for error in errors} == {"acme/pipelines/p.yml", "acme/sources/usage.yml"}


BILLS = 'kind: file\noptions: {path: "bills/*.csv", format: csv}\n'


def test_a_source_says_how_its_texts_are_read() -> None:
    texts = "texts: {epochs: {seen_at: millis, usage_date: seconds}, truncate_fractions: true}\n"
    said = good("d", sources__bills=BILLS + texts).source.texts
    assert said.epochs == (("seen_at", "millis"), ("usage_date", "seconds"))
    assert said.truncate_fractions
    assert good("d").source.texts == TextsSpec()


@pytest.mark.parametrize(
    ("column", "advice"), [("tokens", "another column"), ("seen", "seen_at"), ("ratio", "another")]
)
def test_epochs_are_of_columns_of_times(column: str, advice: str) -> None:
    error = only_error("d", sources__bills=f"{BILLS}texts: {{epochs: {{{column}: seconds}}}}\n")
    assert (error.field, column in error.found) == ("source", True)
    assert "usage_date, seen_at" in error.allowed
    assert advice in error.advice


@pytest.mark.parametrize(
    ("text", "field", "allowed"),
    [
        (f"{BILLS}texts: {{epochs: {{seen_at: hours}}}}\n", "texts.epochs.seen_at", "micros"),
        (f"{BILLS}texts: {{truncate: true}}\n", "texts.truncate", "truncate_fractions"),
        ("kind: opnai\nsecret: key\noptions: {reports: [costs]}\n", "kind", "file, openai"),
        ("secret: key\n", "kind", "required"),
        ("kind: openai\noptions: {reports: [costs]}\n", "secret", "required"),
        ("kind: openai\nsecret: key\noptions: {reports: []}\n", "options.reports", "at least 1"),
        ("kind: openai\nsecret: key\noptions: {reports: [costs, costs]}\n", "options.reports", "once"),
        ("kind: openai\nsecret: key\noptions: {reports: [cost]}\n", "options.reports.0", "usage/completions, costs"),
        ("kind: openai\nsecret: key\noptions: {reports: [costs], costs_group_by: [model]}\n", "options.costs_group_by.0", "line_item"),
        ("kind: openai\nsecret: key\noptions: {reports: [costs], usage_group_by: [model]}\n", "options.usage_group_by", "usage/completions"),
        ("kind: openai\nsecret: key\noptions: {reports: [costs], base_url: ftp://x}\n", "options.base_url", "http"),
        ("kind: openai\nsecret: key\noptions: {reports: [costs], base_url: 'https://u:p@x/v1'}\n", "options.base_url", "without user"),
        ("kind: openai\nsecret: key\napi_key: sk-123\noptions: {reports: [costs]}\n", "api_key", "secret"),
        ("kind: file\noptions: {path: ../x.csv, format: csv}\n", "options.path", "stays in it"),
        ("kind: file\noptions: {path: /etc/passwd, format: csv}\n", "options.path", "stays in it"),
        ("kind: file\noptions: {path: secrets/*.txt, format: csv}\n", "options.path", "secrets"),
        ("kind: file\noptions: {path: '*/*.txt', format: csv}\n", "options.path", "written out"),
        ("kind: file\noptions: {path: x.csv, format: cvs}\n", "options.format", "csv"),
        ("kind: file\noptions: {path: x.csv, format: csv, null_values: [NULL]}\n", "options.null_values.0", "a text"),
        ("kind: file\noptions: {path: x.csv, format: csv, delimiter: ';;'}\n", "options.delimiter", "one ASCII character"),
        ("kind: file\noptions: {path: x.json, format: ndjson, delimiter: ';'}\n", "options.delimiter", "csv"),
        ("kind: file\noptions: {path: x.json, format: ndjson, records: data}\n", "options.records", "format json"),
        ("kind: file\noptions: {path: x.csv, format: csv, parent_fields: [day]}\n", "options.parent_fields", "format json"),
        ("kind: file\noptions: {path: x.json, format: json, parent_fields: [day]}\n", "options.parent_fields", "beside records"),
        ("kind: file\noptions: {path: x.json, format: json, records: data..results}\n", "options.records", "joined by dots"),
        ("kind: file\noptions: {path: x.json, format: json, records: d, parent_fields: [a, a]}\n", "options.parent_fields", "each once"),
        ("kind: file\noptions: {path: x.csv, format: csv, compression: zip}\n", "options.compression", "gzip, zstd"),
        ("kind: file\noptions: {path: x.csv, format: csv, encoding: cp1252}\n", "options.encoding", "latin-1"),
        ("kind: file\noptions: {path: x.parquet, format: parquet, compression: zstd}\n", "options.compression", "formats of text"),
        ("kind: file\noptions: {path: x.parquet, format: parquet, encoding: utf-8}\n", "options.encoding", "formats of text"),
        ("kind: file\noptions: {path: 's3://bucket/*.csv', format: csv}\n", "", "a secret for sources on s3://"),
        ("kind: file\nsecret: key\noptions: {path: 's3://bucket/../*.csv', format: csv}\n", "options.path", "s3://bucket/glob"),
        ("kind: file\noptions: {path: 'https://bucket/x.csv', format: csv}\n", "options.path", "gs://bucket/glob"),
        ("kind: file\nsecret: key\noptions: {path: x.csv, format: csv}\n", "secret", "gs:// and s3://"),
        ("kind: file\noptions: {path: 'gs://bucket/*.csv', format: csv, region: eu-west-1}\n", "options.region", "s3://"),
        ("kind: file\noptions: {path: 'gs://bucket/*.csv', format: csv, endpoint: 'file:///x'}\n", "options.endpoint", "http(s)://"),
        ("kind: file\noptions: {path: x.csv, format: csv, endpoint: 'https://x.example'}\n", "options.endpoint", "gs:// or s3://"),
        ("kind: file\nsecret: key\noptions: {path: 's3://bucket/*.csv', format: csv, region: 'EU'}\n", "options.region", "eu-west-1"),
        ("kind: file\noptions: {path: m.json, format: csv, manifest: gcp}\n", "options.manifest", "aws, azure"),
    ],
)  # fmt: skip
def test_a_wrong_source_is_named(text: str, field: str, allowed: str) -> None:
    error = only_error(sources__usage=text)
    assert (error.file, error.field) == ("acme/sources/usage.yml", field)
    assert allowed in error.allowed


def test_a_transform_of_appended_inputs_is_scoped_by_their_names() -> None:
    append = changed("{mode: replace, scope: [_source]}", "{mode: append}", DELIVERIES)
    sql = (
        "SELECT _source AS x_SourceObject FROM acme_raw_bills.bills WHERE _source IN UNNEST(@scope)"
    )
    line = "transforms: [{sql: cost, target: {dataset: silver, table: focus_costs}, scope: {%s: x_SourceObject}}]\n"
    spec = good("d", pipelines__d=append + line % "_source", transforms__cost=sql)
    assert spec.transforms[0].scope == (("_source", "x_SourceObject"),)
    error = only_error("d", pipelines__d=append + line % "_run_id", transforms__cost=sql)
    assert error.field == "transforms.0.scope"


def test_a_transform_of_merged_rows_is_refused() -> None:
    merge = changed(
        "{mode: replace, scope: [_source]}",
        "{mode: merge, key: [model], version: seen_at}",
        DELIVERIES,
    )
    line = "transforms: [{sql: cost, target: {dataset: silver, table: t}, scope: {model: m}}]\n"
    sql = "SELECT model AS m FROM acme_raw_bills.bills WHERE model IN UNNEST(@scope)"
    error = only_error("d", pipelines__d=merge + line, transforms__cost=sql)
    assert error.field == "transforms.0.scope"


def test_a_transform_into_a_table_without_schema_must_select_its_scope() -> None:
    other = changed("table: focus_costs", "table: costs")
    assert good(pipelines__p=other).transforms[0].columns == ()
    sql = SQL.replace("AS ChargePeriodStart", "AS day")
    assert "ChargePeriodStart" in only_error(pipelines__p=other, transforms__cost=sql).found


def test_the_schema_of_focus_may_be_named_for_any_table() -> None:
    text = changed("sql: cost,", "sql: cost, schema: focus_1_4,")
    text = changed("table: focus_costs", "table: costs", text)
    (transform,) = good(pipelines__p=text).transforms
    assert [c.name for c in transform.columns] == [c.name for c in focus_columns()]


def test_two_files_of_one_id_are_refused() -> None:
    texts = {**TEXTS, "sources/usage.yaml": "kind: file\n"}
    _, errors = resolve(Folder(tenant="acme", texts=texts), "p")
    assert "usage.yaml" in errors[0].found


def test_the_error_of_the_service_names_every_place() -> None:
    errors = errors_of(pipelines__p=changed("mode: replace", "mode: appendd"))
    error = ConfigInvalid("tenants/acme/pipelines/p", errors)
    assert error.reason == "CONFIG_INVALID"
    assert error.metadata == {"name": "tenants/acme/pipelines/p"}
    assert error.violations == {
        "acme/pipelines/p.yml:6 write.mode": (
            'found "appendd"; allowed is append, replace, merge; did you mean append?'
        )
    }


def test_a_contract_is_read_and_stands_beside_the_options() -> None:
    text = TEXTS["sources/bills.yml"] + "contract: {columns: evolve, types: freeze}\n"
    contract = good("d", sources__bills=text).source.contract
    assert (contract.columns, contract.types) == ("evolve", "freeze")
    plain = good("d").source.contract
    assert (plain.columns, plain.types) == ("discard_value", "discard_row")


def test_a_mode_that_is_none_is_refused() -> None:
    text = TEXTS["sources/bills.yml"] + "contract: {types: discard_value}\n"
    error = only_error("d", sources__bills=text)
    assert (error.field, error.found) == ("contract.types", '"discard_value"')
    assert "discard_row, freeze, evolve" in error.allowed


@pytest.mark.parametrize(
    ("contract", "column", "found"),
    [
        (
            "columns: freeze",
            {"name": "extra", "type": "JSON"},
            "contract.columns freeze in source bills",
        ),
        ("types: evolve", {"name": "tokens__v_text", "type": "STRING"}, "columns tokens__v_text"),
    ],
)
def test_a_contract_and_a_schema_that_contradict_each_other_are_refused(
    contract: str, column: dict[str, str], found: str
) -> None:
    source = TEXTS["sources/bills.yml"] + f"contract: {{{contract}}}\n"
    schema = json.dumps([*COLUMNS, column])
    error = only_error("d", sources__bills=source, schemas__usage=schema)
    assert error.found.startswith(found)
    assert error.advice


def test_fields_of_an_api_do_not_evolve() -> None:
    source = TEXTS["sources/usage.yml"] + "contract: {columns: evolve}\n"
    error = only_error(sources__usage=source)
    assert "of kind openai" in error.found
    assert "discard_value, discard_row or freeze" in error.allowed
