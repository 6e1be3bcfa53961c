"""What is believed of jobs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from google.api_core.exceptions import (
    BadRequest,
    ClientError,
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
)
from google.cloud import bigquery

from libs.bigquery.parameters import query_parameters
from tests.cloud.places import differs
from tests.cloud.scratch import SECONDS, Scratch, job_name
from tests.support.appending import ONCE

SMALLEST = Decimal("1E-38")
LARGEST = Decimal(
    "5.7896044618658097711785492504343953926634992332820282019728792003956564819967E+38"
)
"""Of BIGNUMERIC: the last of 76 whole digits that fits."""


def test_a_job_id_runs_once(at: Scratch) -> None:
    table, name = at.table(), job_name()
    insert = f"INSERT INTO `{table}` (n) VALUES (1)"
    at.run(insert, job_id=name)
    with pytest.raises(Conflict):
        at.submit(insert, job_id=name).result(retry=ONCE, timeout=SECONDS)
    assert at.count(table) == 1


def test_a_job_id_that_many_insert_at_once_runs_once(at: Scratch) -> None:
    table, name = at.table(), job_name()
    insert = f"INSERT INTO `{table}` (n) VALUES (1)"

    def submitted() -> bool:
        try:
            at.submit(insert, job_id=name).result(retry=ONCE, timeout=SECONDS)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(lambda _: submitted(), range(4)))
    assert won.count(True) == 1
    assert at.count(table) == 1


def test_a_job_that_failed_runs_no_more_under_its_id_and_tells_its_failure(at: Scratch) -> None:
    table, name = at.table(), job_name()
    insert = f"INSERT INTO `{table}` (n) SELECT IF(n > 0, n, ERROR('no')) FROM UNNEST([1, 0]) AS n"
    with pytest.raises(GoogleAPICallError):
        at.run(insert, job_id=name)
    with pytest.raises(Conflict):
        at.submit(insert, job_id=name).result(retry=ONCE, timeout=SECONDS)
    found = at.client.get_job(name, timeout=SECONDS)
    assert found.state == "DONE"
    assert found.error_result
    assert at.count(table) == 0


def test_a_job_can_be_asked_for_as_soon_as_it_was_inserted(at: Scratch) -> None:
    for _ in range(10):
        job = at.submit("SELECT 1 AS n", job_id=job_name())
        found = at.client.get_job(job.job_id, location=at.client.location, timeout=SECONDS)
        assert found.job_id == job.job_id


def test_a_job_that_nobody_inserted_is_not_found(at: Scratch) -> None:
    with pytest.raises(NotFound):
        at.client.get_job(job_name(), location=at.client.location, timeout=SECONDS)


def test_a_job_tells_its_statement_and_how_many_rows_it_changed(at: Scratch) -> None:
    table, name = at.table(), job_name()
    insert = f"INSERT INTO `{table}` (n) VALUES (1), (2)"
    at.run(insert, job_id=name)
    found = at.client.get_job(name, timeout=SECONDS)
    assert isinstance(found, bigquery.QueryJob)
    assert (found.query, found.num_dml_affected_rows) == (insert, 2)


def test_what_a_query_found_can_be_read_again_by_its_id(at: Scratch) -> None:
    job = at.run("SELECT n FROM UNNEST([1, 2]) AS n ORDER BY n", job_id=job_name())
    assert at.found(job.job_id) == [(1,), (2,)]


@differs("a limit of bytes has no effect there")
def test_a_statement_beyond_its_limit_of_bytes_is_refused_before_it_runs(at: Scratch) -> None:
    table = at.table()
    at.run(f"INSERT INTO `{table}` (n) SELECT n FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS n")
    with pytest.raises(ClientError) as refused:
        at.run(f"DELETE FROM `{table}` WHERE n > 0", maximum_bytes_billed=1)
    assert refused.value.code in {400, 403}
    assert at.count(table) == 1000


@differs("a dry run names no tables there")
def test_a_dry_run_names_every_table_behind_a_view_too(at: Scratch) -> None:
    table, view = at.table(), at.named()
    at.run(f"CREATE VIEW `{view}` AS SELECT n FROM `{table}`")
    job = at.submit(f"SELECT n FROM `{view}`", dry_run=True)
    named = {
        f"{found.project}.{found.dataset_id}.{found.table_id}" for found in job.referenced_tables
    }
    assert table in named


def test_a_statement_about_a_dataset_that_is_not_there_is_not_found_or_forbidden(
    at: Scratch,
) -> None:
    with pytest.raises((NotFound, Forbidden)):
        at.run(f"SELECT n FROM `{at.dataset}_none.t`")


def test_a_statement_that_is_no_sql_is_refused_as_a_bad_request(at: Scratch) -> None:
    with pytest.raises(BadRequest):
        at.run("SELEC 1")


@differs("it keeps 38 digits in all, 18 of them after the point")
def test_parameters_of_money_carry_every_digit_of_a_bignumeric(at: Scratch) -> None:
    for value in (SMALLEST, LARGEST, -LARGEST):
        ((found,),) = at.rows("SELECT @x AS x", *query_parameters({"x": value}))
        assert found == value
