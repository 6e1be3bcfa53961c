"""The one place that opens Google's BigQuery clients: jobs, tables and Storage Write streams.

Every call here blocks, may be made from any thread, ends within about its `timeout` and fails
with a kind of `libs.common.errors`. The real BigQuery and the embedded engine are reached by the
same code: only endpoints, credentials, project and location differ.
"""
