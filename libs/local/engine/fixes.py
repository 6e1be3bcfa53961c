"""Every fix by name, in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from libs.local.engine.appends import (
    failed_append_keeps_offset,
    rows_by_column_name,
    seal_after_append,
)
from libs.local.engine.arrow_rows import strict_arrow_rows
from libs.local.engine.commits import atomic_batch_commit, no_copy_per_write
from libs.local.engine.decimals import bignumeric_eighteen_digits, numeric_nine_digits
from libs.local.engine.divisions import divisions_apart
from libs.local.engine.exact_casts import bignumeric_casts_exact
from libs.local.engine.exact_literals import assigned_literals_exact
from libs.local.engine.expirations import expirations_kept
from libs.local.engine.garbage import garbage_between_requests
from libs.local.engine.grpc_threads import many_append_connections
from libs.local.engine.halves import halves_mended
from libs.local.engine.jobs import (
    job_with_its_effect,
    one_job_per_id,
    reads_leave_no_record,
)
from libs.local.engine.layers import requests_without_layers
from libs.local.engine.limits import duckdb_bounded, room_for_small_tables
from libs.local.engine.merge import merge_by_hash
from libs.local.engine.merge_matches import one_source_row
from libs.local.engine.merge_unmatched import merge_without_match_in_two
from libs.local.engine.parameters import typed_parameters
from libs.local.engine.parsing import statements_parsed_once
from libs.local.engine.pending_rows import abandoned_streams_end, pending_rows_in_files
from libs.local.engine.refusal import Refused
from libs.local.engine.rest_turns import rest_changes_in_their_place
from libs.local.engine.results import old_results_freed
from libs.local.engine.row_counts import row_counts_in_memory
from libs.local.engine.schemas import schema_of_sql_tables, tables_in_datasets
from libs.local.engine.sessions import cursor_per_thread, one_writer
from libs.local.engine.spatial import spatial_from_package
from libs.local.engine.storage import newest_storage_format

FIXES: Final[dict[str, Callable[[], None]]] = {
    fix.__name__: fix
    for fix in (
        spatial_from_package,
        newest_storage_format,
        duckdb_bounded,
        room_for_small_tables,
        cursor_per_thread,
        row_counts_in_memory,
        one_writer,
        rest_changes_in_their_place,
        halves_mended,
        no_copy_per_write,
        strict_arrow_rows,
        rows_by_column_name,
        pending_rows_in_files,
        atomic_batch_commit,
        seal_after_append,
        abandoned_streams_end,
        numeric_nine_digits,
        bignumeric_eighteen_digits,
        bignumeric_casts_exact,
        assigned_literals_exact,
        divisions_apart,
        tables_in_datasets,
        schema_of_sql_tables,
        expirations_kept,
        typed_parameters,
        statements_parsed_once,
        garbage_between_requests,
        merge_by_hash,
        one_source_row,
        merge_without_match_in_two,
        job_with_its_effect,
        one_job_per_id,
        reads_leave_no_record,
        old_results_freed,
        failed_append_keeps_offset,
        many_append_connections,
        requests_without_layers,
    )
}


def apply(*, without: Collection[str] = ()) -> None:
    """Apply every fix but those named in `without` (for the tests that show what each is for)."""
    if unknown := sorted(set(without) - set(FIXES)):
        raise Refused(f"no such fix: {', '.join(unknown)}; known: {', '.join(FIXES)}")
    for name, fix in FIXES.items():
        if name not in without:
            fix()
