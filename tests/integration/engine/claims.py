"""Every claim about a fix of the engine: it holds with the fix and breaks without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    GoogleAPICallError,
    InternalServerError,
)
from requests import RequestException

from tests.integration.engine import (
    claims_on_crashes,
    claims_on_jobs,
    claims_on_values,
    claims_on_writes,
)
from tests.integration.engine.warehouse import Warehouse
from tests.support.engine import EngineNotStarted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`check` holds with `fix`; without it, it or the engine's start raises `breaks_with`.

    `stored`: the engine needs a directory, because it is killed and started again.
    """

    fix: str
    check: Callable[[Warehouse], None]
    breaks_with: type[Exception] | tuple[type[Exception], ...] = AssertionError
    stored: bool = False


CLAIMS: Final = (
    Claim(
        fix="spatial_from_package",
        check=claims_on_jobs.nothing_is_fetched,
        # Without a network stock does not start; with one it starts with what it has fetched.
        breaks_with=(EngineNotStarted, AssertionError),
    ),
    Claim(
        fix="newest_storage_format",
        check=claims_on_jobs.new_files_have_the_newest_format,
        stored=True,
    ),
    Claim(
        fix="duckdb_bounded",
        check=claims_on_jobs.duckdb_leaves_memory_to_others,
        stored=True,
    ),
    Claim(
        fix="room_for_small_tables",
        check=claims_on_jobs.new_tables_leave_statements_their_memory,
        stored=True,
    ),
    Claim(fix="cursor_per_thread", check=claims_on_writes.queries_see_no_append_in_progress),
    Claim(fix="one_writer", check=claims_on_writes.a_statement_waits_for_an_append),
    Claim(
        fix="rest_changes_in_their_place",
        check=claims_on_writes.an_append_goes_on_beside_a_table_that_is_made,
        breaks_with=DeadlineExceeded,
        stored=True,
    ),
    Claim(
        fix="one_writer",
        check=claims_on_writes.an_append_goes_on_beside_a_commit,
        # It waits, longer than its client does.
        breaks_with=GoogleAPICallError,
    ),
    Claim(
        fix="halves_mended",
        check=claims_on_crashes.a_table_half_made_can_be_made_again,
        # Stock finds no entry, makes the table again, and fails.
        breaks_with=InternalServerError,
        stored=True,
    ),
    Claim(
        fix="halves_mended",
        check=claims_on_crashes.a_table_half_dropped_can_be_made_again,
        # Stock finds the entry and never looks for the table.
        breaks_with=Conflict,
        stored=True,
    ),
    Claim(fix="no_copy_per_write", check=claims_on_writes.a_write_copies_nothing),
    Claim(
        fix="row_counts_in_memory",
        check=claims_on_writes.an_append_writes_its_rows_alone,
        stored=True,
    ),
    Claim(fix="atomic_batch_commit", check=claims_on_writes.a_failed_commit_stores_nothing),
    Claim(
        fix="failed_append_keeps_offset",
        check=claims_on_writes.a_failed_append_may_be_repeated,
        # Stock ends the call without an answer.
        breaks_with=GoogleAPICallError,
    ),
    Claim(
        fix="many_append_connections",
        check=claims_on_writes.open_connections_leave_room_for_more,
        # The one that finds no thread is never answered.
        breaks_with=DeadlineExceeded,
    ),
    Claim(
        fix="many_append_connections",
        check=claims_on_writes.an_append_goes_on_beside_a_statement,
        # The event loop that would hand it on runs the statement.
        breaks_with=GoogleAPICallError,
        stored=True,
    ),
    Claim(fix="strict_arrow_rows", check=claims_on_writes.wrong_rows_are_refused),
    Claim(fix="rows_by_column_name", check=claims_on_writes.a_stream_outlives_a_new_column),
    Claim(
        fix="rows_by_column_name",
        check=claims_on_writes.a_commit_reads_no_further_than_it_writes,
        stored=True,
    ),
    Claim(fix="seal_after_append", check=claims_on_writes.a_seal_waits_for_an_append),
    Claim(fix="pending_rows_in_files", check=claims_on_writes.what_waits_takes_no_memory),
    Claim(fix="abandoned_streams_end", check=claims_on_writes.an_abandoned_stream_ends),
    Claim(fix="numeric_nine_digits", check=claims_on_values.a_bare_numeric_keeps_nine_digits),
    Claim(
        fix="bignumeric_eighteen_digits",
        check=claims_on_values.bignumeric_is_exact,
    ),
    Claim(fix="bignumeric_casts_exact", check=claims_on_values.a_cast_loses_no_digit),
    Claim(
        fix="assigned_literals_exact",
        check=claims_on_values.a_written_number_is_stored_as_written,
    ),
    Claim(fix="divisions_apart", check=claims_on_values.a_division_is_of_all_that_it_is_given),
    Claim(
        fix="tables_in_datasets", check=claims_on_values.a_table_is_made_in_a_dataset_that_is_there
    ),
    Claim(fix="schema_of_sql_tables", check=claims_on_values.sql_tables_are_listed_as_they_are),
    Claim(fix="expirations_kept", check=claims_on_values.an_expiration_is_kept),
    Claim(fix="typed_parameters", check=claims_on_values.parameters_have_their_type),
    Claim(fix="statements_parsed_once", check=claims_on_jobs.a_text_is_parsed_once),
    Claim(
        fix="garbage_between_requests",
        check=claims_on_jobs.no_statement_makes_anybody_look_at_all_that_lives,
        stored=True,
    ),
    Claim(
        fix="garbage_between_requests",
        check=claims_on_jobs.trees_are_kept_no_longer_than_their_request,
    ),
    Claim(fix="requests_without_layers", check=claims_on_jobs.a_request_passes_no_layers),
    Claim(fix="merge_by_hash", check=claims_on_jobs.constants_in_on_join_by_hash),
    Claim(
        fix="merge_by_hash",
        check=claims_on_jobs.a_list_may_stand_in_on,
        # DuckDB refuses the statement.
        breaks_with=BadRequest,
    ),
    Claim(fix="one_source_row", check=claims_on_jobs.two_source_rows_for_one_target_row_fail),
    Claim(
        fix="merge_without_match_in_two",
        check=claims_on_jobs.a_merge_without_a_match_joins_no_rows,
    ),
    Claim(fix="one_job_per_id", check=claims_on_jobs.a_job_id_runs_once),
    Claim(
        fix="job_with_its_effect",
        check=claims_on_crashes.a_job_killed_before_its_answer_runs_once,
        stored=True,
    ),
    Claim(
        fix="reads_leave_no_record",
        check=claims_on_writes.a_query_does_not_wait_for_an_append,
        # It waits to write down that it has read, longer than its client does.
        breaks_with=RequestException,
        stored=True,
    ),
    Claim(fix="old_results_freed", check=claims_on_jobs.old_results_are_forgotten),
)
