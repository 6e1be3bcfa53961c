"""How long BigQuery takes for what a run waits for."""

from typing import Final

from prometheus_client import CollectorRegistry, Histogram

BUCKETS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)


class BigQueryMetrics:
    """Seconds of appends to the journal, and of commits of streams."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.append: Final = Histogram(
            "convergence_orchestrator_journal_append_seconds",
            "How long an append to the journal took.",
            registry=registry,
            buckets=BUCKETS,
        )
        self.commit: Final = Histogram(
            "convergence_orchestrator_commit_seconds",
            "How long a commit of write streams took.",
            registry=registry,
            buckets=BUCKETS,
        )
