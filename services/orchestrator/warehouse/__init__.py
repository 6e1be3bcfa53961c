"""What the orchestrator asks of BigQuery: tables, commits, the audit's counts, the publishing step."""
