"""Says what a Great Expectations suite means: compiles it for the workers, and judges rows by it.

Leaves to ingest the evaluation of row rules while rows stream, and to the orchestrator what a failed verdict leads to.
"""
