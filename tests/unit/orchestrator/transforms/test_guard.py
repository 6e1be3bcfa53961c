"""A transform is one SELECT over its own tenant's tables, or it is refused with a reason."""

import pytest

from services.orchestrator.transforms.guard import (
    MAX_CHARACTERS,
    Guarded,
    check_transform,
    scope_parameter,
)
from services.orchestrator.transforms.refusals import TransformRefused

WHERE = "WHERE usage_date IN UNNEST(@scope)"
OWN = f"SELECT a FROM acme_raw.t {WHERE}"


def check(sql: str, **options: object) -> Guarded:
    given: dict[str, object] = {"tenant": "acme", "allowed_parameters": {"scope"}, **options}
    return check_transform(sql, **given)  # type: ignore[arg-type]


def refused(sql: str, **options: object) -> str:
    with pytest.raises(TransformRefused) as caught:
        check(sql, **options)
    assert caught.value.reason == "TRANSFORM_INVALID"
    for refusal in caught.value.refusals:
        assert refusal.found
        assert refusal.allowed
        assert refusal.advice
    return str(caught.value)


ACCEPTED = [
    OWN,
    f"{OWN};",
    f"{OWN} -- the end",
    f"/* why */ {OWN}",
    f"({OWN})",
    f"SELECT a FROM `acme_raw.t` {WHERE}",
    f"SELECT a FROM `acme_raw`.`t` {WHERE}",
    f"SELECT * FROM acme_raw.t {WHERE}",
    f"SELECT * EXCEPT (b) REPLACE (UPPER(a) AS a) FROM acme_raw.t {WHERE}",
    f"SELECT t.a.b.c AS d, t.parts[OFFSET(0)] AS e, t.parts[SAFE_ORDINAL(1)] AS f FROM acme_raw.t AS t {WHERE}",
    f"WITH x AS ({OWN}), y AS (SELECT * FROM x) SELECT a FROM y JOIN x USING (a)",
    f"WITH x AS ({OWN}) SELECT a FROM (WITH y AS (SELECT * FROM x) SELECT * FROM y)",
    f"{OWN} UNION ALL SELECT b FROM acme_raw.u {WHERE}",
    f"{OWN} EXCEPT DISTINCT SELECT b FROM acme_raw.u",
    f"{OWN} INTERSECT DISTINCT SELECT b FROM acme_raw.u",
    f"SELECT a, SUM(b) AS b FROM acme_raw.t {WHERE} GROUP BY a HAVING SUM(b) > 0 ORDER BY b LIMIT 5 OFFSET 1",
    f"SELECT a, SUM(b) AS b FROM acme_raw.t {WHERE} GROUP BY ROLLUP(a)",
    f"SELECT a FROM acme_raw.t {WHERE} QUALIFY ROW_NUMBER() OVER (PARTITION BY a ORDER BY b DESC) = 1",
    f"SELECT SUM(a) OVER w AS s FROM acme_raw.t {WHERE} WINDOW w AS (PARTITION BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    f"SELECT a, x FROM acme_raw.t, UNNEST(parts) AS x WITH OFFSET AS o {WHERE}",
    f"SELECT t.a, x FROM acme_raw.t AS t, t.parts AS x {WHERE}",
    f"SELECT t.a FROM acme_raw.t AS t LEFT JOIN acme_silver.u AS u ON t.id = u.id {WHERE}",
    f"SELECT a FROM acme_raw.t {WHERE} AND EXISTS (SELECT 1 FROM acme_raw.u AS u WHERE u.id = t.id)",
    f"SELECT (SELECT MAX(b) FROM acme_raw.u) AS m FROM acme_raw.t {WHERE}",
    f"SELECT ARRAY(SELECT AS STRUCT 1 AS one, 'x' AS two) AS s FROM acme_raw.t {WHERE}",
    f"SELECT STRUCT(a AS x, b AS y) AS s, [1, 2] AS l, ARRAY_AGG(c IGNORE NULLS ORDER BY d LIMIT 3) AS m FROM acme_raw.t {WHERE}",
    f"SELECT CASE a WHEN 1 THEN 'one' ELSE 'more' END AS c, IF(a > 0, a, NULL) AS d, IFNULL(a, 0) AS e FROM acme_raw.t {WHERE}",
    f"SELECT COALESCE(a, b) AS c, NULLIF(a, '') AS d, GREATEST(a, b) AS e FROM acme_raw.t {WHERE}",
    f"SELECT CAST(a AS BIGNUMERIC) AS b, SAFE_CAST(a AS DATE) AS c, NUMERIC '1.5' AS d FROM acme_raw.t {WHERE}",
    f"SELECT ROUND(a / b, 9) AS c, SAFE_DIVIDE(a, b) AS d, DIV(a, b) AS e, MOD(a, b) AS f FROM acme_raw.t {WHERE}",
    f"SELECT TIMESTAMP(d) AS a, DATE_TRUNC(d, MONTH) AS b, DATE_ADD(d, INTERVAL 1 MONTH) AS c FROM acme_raw.t {WHERE}",
    f"SELECT TIMESTAMP_TRUNC(x, HOUR, 'UTC') AS a, TIMESTAMP_DIFF(x, y, SECOND) AS b, EXTRACT(DAYOFWEEK FROM x) AS c FROM acme_raw.t {WHERE}",
    f"SELECT FORMAT_DATE('%Y-%m', d) AS a, PARSE_DATE('%Y%m%d', s) AS b, SAFE.PARSE_DATE('%Y', s) AS c FROM acme_raw.t {WHERE}",
    f"SELECT TIMESTAMP_SECONDS(s) AS a, UNIX_MICROS(t) AS b, DATE(t, 'Europe/Berlin') AS c, CURRENT_TIMESTAMP() AS d FROM acme_raw.t {WHERE}",
    f"SELECT REGEXP_EXTRACT(s, r'^(\\d+), \"x\"$') AS a, REGEXP_REPLACE(s, r'[^a-z]+', '-') AS b, REGEXP_CONTAINS(s, 'x') AS c FROM acme_raw.t {WHERE}",
    f"SELECT SPLIT(s, ',')[SAFE_OFFSET(0)] AS a, SUBSTR(s, 1, 3) AS b, STARTS_WITH(s, 'x') AS c, CONCAT(a, b) AS d, a || b AS e FROM acme_raw.t {WHERE}",
    f"SELECT JSON_VALUE(j, '$.a') AS a, JSON_QUERY(j, '$.b') AS b, TO_JSON_STRING(j) AS c, JSON_OBJECT('k', v) AS d, PARSE_JSON('{{}}') AS e FROM acme_raw.t {WHERE}",
    f"SELECT TO_HEX(SHA256(s)) AS a, FARM_FINGERPRINT(s) AS b, TO_BASE64(MD5(s)) AS c FROM acme_raw.t {WHERE}",
    f"SELECT COUNT(*) AS a, COUNT(DISTINCT x) AS b, COUNTIF(y) AS c, STRING_AGG(s, ',' ORDER BY s) AS d, ANY_VALUE(z) AS e FROM acme_raw.t {WHERE}",
    f"SELECT LAG(a) OVER (ORDER BY b) AS a, RANK() OVER (ORDER BY b) AS r FROM acme_raw.t {WHERE}",
    f"SELECT a FROM acme_raw.t {WHERE} AND b BETWEEN 1 AND 2 AND c LIKE 'x%' AND d IS NOT NULL AND e NOT IN ('a', 'b')",
    f"SELECT * FROM acme_raw.t PIVOT (SUM(x) FOR q IN ('a', 'b')) {WHERE}",
    f"SELECT * FROM acme_raw.t UNPIVOT (cost FOR kind IN (input, output)) {WHERE}",
    "SELECT a FROM acme_raw.t CROSS JOIN UNNEST(GENERATE_DATE_ARRAY('2026-01-01', '2026-01-02')) AS d WHERE d IN UNNEST(@scope)",
    f"SELECT 'INSERT INTO x; DROP TABLE y' AS a, '@@project_id' AS b FROM acme_raw.t {WHERE}",
    "FROM acme_raw.t |> WHERE d IN UNNEST(@scope) |> SELECT a, b",
]


@pytest.mark.parametrize("sql", ACCEPTED)
def test_plain_selects_over_own_tables_pass_and_pass_again_as_they_are_written_back(
    sql: str,
) -> None:
    guarded = check(sql)
    assert guarded.tables
    assert all(table.startswith("acme_") for table in guarded.tables)
    assert guarded.parameters == ("scope",)
    assert check(guarded.sql) == guarded
    assert "--" not in guarded.sql.replace("'-'", "")


OTHER_STATEMENTS = [
    "INSERT INTO acme_raw.t SELECT 1",
    "UPDATE acme_raw.t SET a = 1 WHERE TRUE",
    "DELETE FROM acme_raw.t WHERE usage_date IN UNNEST(@scope)",
    "MERGE acme_raw.t USING acme_raw.u ON TRUE WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE acme_raw.t",
    "CREATE TABLE acme_raw.x AS SELECT 1 AS a",
    "CREATE OR REPLACE VIEW acme_raw.x AS SELECT 1 AS a",
    "CREATE TEMP FUNCTION f(x INT64) AS (x)",
    "CREATE FUNCTION acme_raw.f(x INT64) RETURNS INT64 LANGUAGE js AS 'return x'",
    "CREATE PROCEDURE acme_raw.p() BEGIN SELECT 1; END",
    "DROP TABLE acme_raw.t",
    "DROP SCHEMA acme_raw CASCADE",
    "ALTER TABLE acme_raw.t ADD COLUMN x INT64",
    "GRANT `roles/bigquery.dataViewer` ON SCHEMA acme_raw TO 'user:x@example.com'",
    "CALL acme_raw.p()",
    "CALL BQ.REFRESH_MATERIALIZED_VIEW('acme_raw.v')",
    "EXPORT DATA OPTIONS (uri = 'gs://x/*.csv', format = 'CSV') AS SELECT 1",
    "LOAD DATA INTO acme_raw.t FROM FILES (format = 'CSV', uris = ['gs://x/y.csv'])",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "DECLARE x INT64 DEFAULT 1",
    "SET x = 1",
    "SET @@query_label = 'a:b'",
    "BEGIN TRANSACTION",
    "COMMIT TRANSACTION",
    "BEGIN SELECT 1; END",
    "IF TRUE THEN SELECT 1; END IF",
    "LOOP SELECT 1; END LOOP",
    "FOR r IN (SELECT 1) DO SELECT 2; END FOR",
    "ASSERT (SELECT COUNT(*) FROM acme_raw.t) > 0",
    "UNDROP SCHEMA acme_raw",
    "PRAGMA version",
    "ATTACH 'other.db' AS other",
    "COPY acme_raw.t TO 'out.csv'",
    "INSTALL httpfs",
    "DESCRIBE acme_raw.t",
    "SHOW TABLES",
    "VALUES (1)",
    "TABLE acme_raw.t",
    "EXPLAIN SELECT 1",
    f"{OWN}; {OWN}",
    f"{OWN}; DROP TABLE acme_raw.t",
    f"DECLARE x INT64; {OWN}",
    "",
    ";",
    "-- nothing here",
    "SELECT",
    "SELECT FROM WHERE",
    "hello",
    "SELECT 'open",
    "SELECT a FROM acme_raw.t WHERE (",
    "SELECT 1) UNION ALL (SELECT 2",
    "\x00",
    f"SELECT {'(' * 3000}1{')' * 3000} AS a",
    f"SELECT {'NOT ' * 5000}TRUE AS a",
]

FOREIGN = [
    "FROM widgetsinc_raw.t",
    "FROM `widgetsinc_raw.t`",
    "FROM `widgetsinc_raw`.`t`",
    "FROM acmecorp_raw.t",
    "FROM acme.t",
    "FROM ACME_raw.t",
    "FROM metadata.api_keys",
    "FROM `metadata.tenants`",
    "FROM acme_staging.t__r1",
    "FROM project.acme_raw.t",
    "FROM my-project.acme_raw.t",
    "FROM `my-project.acme_raw.t`",
    "FROM `my-project`.acme_raw.t",
    "FROM t",
    "FROM `t`",
    "FROM acme_raw.INFORMATION_SCHEMA.TABLES",
    "FROM acme_raw.`INFORMATION_SCHEMA.COLUMNS`",
    "FROM INFORMATION_SCHEMA.SCHEMATA",
    "FROM `region-us`.INFORMATION_SCHEMA.JOBS",
    "FROM `region-us.INFORMATION_SCHEMA.JOBS_BY_PROJECT`",
    "FROM acme_raw.__TABLES__, widgetsinc_raw.t",
    "FROM `acme_raw.t_*`",
    "FROM `acme_*.t`",
    "FROM `acme_raw.*`",
    "FROM acme_raw.t$20260101",
    "FROM `acme_raw.t$20260101`",
    "FROM acme_raw.t@1",
    "FROM `acme_raw.t@1700000000000`",
    "FROM acme_raw.t FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01'",
    "FROM acme_raw.t FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()",
    "FROM acme_raw.t TABLESAMPLE SYSTEM (10 PERCENT)",
    "FROM acme_raw.t, widgetsinc_raw.t",
    "FROM acme_raw.t AS a JOIN widgetsinc_raw.u AS b USING (id)",
    "FROM (SELECT * FROM widgetsinc_raw.t)",
    "FROM (acme_raw.t JOIN widgetsinc_raw.u USING (id))",
    "FROM acme_raw.t AS t, (SELECT * FROM widgetsinc_raw.t)",
    "FROM acme_raw.f(1)",
    "FROM acme_raw.f(TABLE acme_raw.t)",
    "FROM EXTERNAL_QUERY('us.connection', 'SELECT * FROM secrets')",
    "FROM EXTERNAL_OBJECT_TRANSFORM(TABLE acme_raw.t, ['SIGNED_URL'])",
    "FROM ML.PREDICT(MODEL acme_raw.m, TABLE acme_raw.t)",
    "FROM ML.GENERATE_TEXT(MODEL acme_raw.m, (SELECT 'x' AS prompt))",
    "FROM AI.FORECAST(TABLE acme_raw.t, data_col => 'a', timestamp_col => 'b')",
    "FROM VECTOR_SEARCH(TABLE acme_raw.t, 'x', TABLE acme_raw.u)",
    "FROM APPENDS(TABLE acme_raw.t, NULL, NULL)",
    "FROM CHANGES(TABLE acme_raw.t, NULL, NULL)",
    "FROM GAP_FILL(TABLE acme_raw.t, ts_column => 'a', bucket_width => INTERVAL 1 DAY)",
    "FROM RANGE_SESSIONIZE(TABLE acme_raw.t, 'a', ['b'])",
    "FROM read_csv('/etc/passwd')",
    "FROM read_csv_auto('/etc/passwd')",
    "FROM read_parquet('s3://bucket/x')",
    "FROM read_text('/etc/passwd')",
    "FROM glob('/*')",
    "FROM duckdb_tables()",
    "FROM pragma_database_list",
    "FROM sqlite_scan('x.db', 't')",
    "FROM postgres_scan('host=x', 'public', 't')",
    "FROM '/etc/passwd'",
    "FROM 'file.csv'",
    "FROM `/etc/passwd`",
    "FROM `file.csv`",
    'FROM "file.csv"',
    "FROM main.sqlite_master",
    "FROM acme_raw.t LEFT JOIN LATERAL (SELECT 1) ON TRUE",
]

EXPRESSIONS = [
    "SESSION_USER()",
    "CURRENT_USER()",
    "@@project_id",
    "@@dataset_id",
    "@@error.message",
    "@other",
    "@SCOPE",
    "?",
    "acme_raw.f(a)",
    "`acme_raw.f`(a)",
    "widgetsinc_raw.f(a)",
    "`p.widgetsinc_raw.f`(a)",
    "my_udf(a)",
    "bqutil.fn.int(a)",
    "ML.DISTANCE(a, b)",
    "AI.GENERATE('x')",
    "AI.IF('x', connection_id => 'us.c')",
    "KEYS.KEYSET_FROM_JSON('{}')",
    "KEYS.NEW_KEYSET('AEAD_AES_GCM_256')",
    "AEAD.DECRYPT_STRING(k, c, 'x')",
    "OBJ.GET_ACCESS_URL(r, 'r')",
    "NET.HOST(a)",
    "HLL_COUNT.INIT(a)",
    "EXTERNAL_QUERY('c', 'SELECT 1')",
    "ERROR('x')",
    "RAND()",
    "GENERATE_UUID()",
    "getenv('HOME')",
    "current_setting('secret_directory')",
    "query('SELECT 1')",
    "READ_CSV('/etc/passwd')",
    "SEARCH(a, 'x')",
    "(SELECT MAX(x) FROM widgetsinc_raw.t)",
    "ARRAY(SELECT x FROM widgetsinc_raw.t)",
    "EXISTS(SELECT 1 FROM metadata.api_keys)",
    "a IN (SELECT x FROM widgetsinc_raw.t)",
    "(WITH x AS (SELECT * FROM widgetsinc_raw.t) SELECT 1)",
]

CLAUSES = [
    "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a FROM x) SELECT a FROM x, acme_raw.t "
    + WHERE,
    "WITH x AS (SELECT * FROM x) SELECT a FROM x, acme_raw.t " + WHERE,
    "WITH x AS (SELECT * FROM y), y AS (SELECT 1 AS a) SELECT a FROM x, acme_raw.t " + WHERE,
    "WITH `/etc/passwd` AS (SELECT 1 AS a) SELECT a FROM `/etc/passwd`, acme_raw.t " + WHERE,
    "WITH `widgetsinc_raw.t` AS (SELECT 1 AS a) SELECT a FROM `widgetsinc_raw.t`, acme_raw.t "
    + WHERE,
    "SELECT (WITH inner_only AS (SELECT 1 AS a) SELECT a FROM inner_only) AS a FROM inner_only, acme_raw.t "
    + WHERE,
    f"{OWN} FOR UPDATE",
    "SELECT 1 AS a INTO acme_raw.x",
    "SELECT AS STRUCT a FROM acme_raw.t " + WHERE,
    "SELECT AS VALUE a FROM acme_raw.t " + WHERE,
    "SELECT WITH DIFFERENTIAL_PRIVACY OPTIONS(epsilon = 1) COUNT(*) AS a FROM acme_raw.t " + WHERE,
    "SELECT WITH ANONYMIZATION COUNT(*) AS a FROM acme_raw.t " + WHERE,
    "SELECT a FROM acme_raw.t MATCH_RECOGNIZE (ORDER BY a PATTERN (x) DEFINE x AS TRUE) " + WHERE,
    "GRAPH acme_raw.g MATCH (n) RETURN n.a",
    "SELECT * FROM GRAPH_TABLE(acme_raw.g MATCH (n) RETURN n.a)",
    f"{OWN} UNION ALL SELECT a FROM widgetsinc_raw.t",
    "FROM widgetsinc_raw.t |> WHERE d IN UNNEST(@scope) |> SELECT a",
    "FROM acme_raw.t |> JOIN widgetsinc_raw.t USING (a) |> WHERE d IN UNNEST(@scope)",
    "FROM acme_raw.t |> CALL widgetsinc_raw.f(1) |> WHERE d IN UNNEST(@scope)",
]


@pytest.mark.parametrize("sql", [*OTHER_STATEMENTS, *CLAUSES])
def test_anything_but_one_plain_select_is_refused(sql: str) -> None:
    refused(sql)


@pytest.mark.parametrize("relation", FOREIGN)
def test_relations_other_than_published_tables_of_the_tenant_are_refused(relation: str) -> None:
    said = refused(f"SELECT a {relation} {WHERE}")
    assert "no @scope" not in said


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_functions_with_reach_and_foreign_subqueries_are_refused(expression: str) -> None:
    said = refused(f"SELECT a, {expression} AS b FROM acme_raw.t {WHERE}")
    assert "no @scope" not in said


def test_a_select_without_scope_is_refused_with_the_clause_to_add() -> None:
    assert "IN UNNEST(@scope)" in refused("SELECT a FROM acme_raw.t")


def test_everything_that_is_wrong_is_said_at_once_with_line_and_column() -> None:
    sql = "SELECT\n  SESSION_USER() AS a,\n  b\nFROM widgetsinc_raw.t"
    with pytest.raises(TransformRefused) as caught:
        check(sql)
    places = {(one.line, one.column, one.found) for one in caught.value.refusals}
    assert {(2, 3, "SESSION_USER()"), (4, 6, "dataset widgetsinc_raw")} <= places
    assert "no @scope" in str(caught.value)
    assert "2:3 SESSION_USER()" in caught.value.violations


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(TransformRefused) as caught:
        check("SELECT a\nFROM acme_raw.t\nWHERE (")
    assert caught.value.refusals[0].line == 3


def test_a_dataset_with_the_tenants_prefix_is_left_to_its_label_and_any_other_is_refused() -> None:
    assert check(f"SELECT a FROM acme_corp_raw.t {WHERE}").tables == ("acme_corp_raw.t",)
    assert "widgetsinc_raw" in refused(f"SELECT a FROM widgetsinc_raw.t {WHERE}")


def test_the_result_must_have_the_columns_of_the_scope() -> None:
    assert "ChargePeriodStart" in refused(OWN, scope_columns=["ChargePeriodStart"])
    assert check(OWN, scope_columns=["A"]).columns == ("a",)
    hidden = check(f"SELECT * FROM acme_raw.t {WHERE}", scope_columns=["ChargePeriodStart"])
    assert hidden.columns is None


def test_result_columns_must_be_named_once_and_known_to_the_target() -> None:
    assert "without a name" in refused(f"SELECT COUNT(*) FROM acme_raw.t {WHERE}")
    assert "twice" in refused(f"SELECT a, b AS A FROM acme_raw.t {WHERE}")
    assert "_run_id" in refused(f"SELECT _run_id FROM acme_raw.t {WHERE}")
    assert "BiledCost" in refused(
        f"SELECT a AS BiledCost FROM acme_raw.t {WHERE}", target_columns=["BilledCost"]
    )


def test_further_scope_columns_have_parameters_of_their_own() -> None:
    names = [scope_parameter(index, name) for index, name in enumerate(["day", "account"])]
    assert names == ["scope", "scope_account"]
    sql = f"{OWN} AND account IN UNNEST(@scope_account)"
    assert check(sql, allowed_parameters=set(names)).parameters == ("scope", "scope_account")
    assert "@scope_account" in refused(sql)


def test_a_statement_beyond_the_limit_is_refused_unread() -> None:
    assert str(MAX_CHARACTERS) in refused(OWN + " " * MAX_CHARACTERS)


def test_what_runs_is_written_from_the_judged_tree() -> None:
    guarded = check(f"SELECT a -- ) ; DROP TABLE x\nFROM acme_raw.t {WHERE};")
    assert guarded.sql == "SELECT a FROM acme_raw.t WHERE usage_date IN UNNEST(@scope)"


def test_calls_that_the_parser_would_change_are_refused() -> None:
    assert "written back" in refused(f"SELECT MAX(a, b) AS c FROM acme_raw.t {WHERE}")
