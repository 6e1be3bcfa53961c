"""Metrics of the worker."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.ingest.ingestion import Tally


class IngestMetrics:
    """Rows and bytes by outcome, and busy slots."""

    def __init__(self, registry: CollectorRegistry) -> None:
        rows = Counter(
            "convergence_ingest_rows_total",
            "Rows of finished chunks.",
            ["outcome"],
            registry=registry,
        )
        self._landed, self._quarantined = rows.labels("landed"), rows.labels("quarantined")
        self._bytes = Counter(
            "convergence_ingest_read_bytes_total", "Bytes of finished chunks.", registry=registry
        )
        self._busy = Gauge(
            "convergence_ingest_busy_slots", "Chunks that the worker has.", registry=registry
        )

    def busy(self, count: int) -> None:
        """Say how many slots are busy."""
        self._busy.set(count)

    def done(self, tally: Tally) -> None:
        """Count a finished chunk."""
        self._landed.inc(tally.landed_row_count)
        self._quarantined.inc(tally.quarantined_row_count)
        self._bytes.inc(tally.read_bytes)


def append_seconds(registry: CollectorRegistry) -> Histogram:
    """Return where the seconds go that appends held a worker up."""
    return Histogram(
        "convergence_ingest_append_seconds",
        "How long an append to BigQuery held a worker up.",
        registry=registry,
        buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    )
