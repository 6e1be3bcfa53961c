"""What auth counts, for Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

OUTCOMES: Final = (
    "OK",
    "API_KEY_MALFORMED",
    "API_KEY_UNKNOWN",
    "API_KEY_EXPIRED",
    "API_KEY_REVOKED",
    "TENANT_SUSPENDED",
    "TENANT_NOT_FOUND",
    "TENANT_ID_CONFUSABLE",
    "TENANT_DELETED",
    "AUTHENTICATION_THROTTLED",
    "AUTH_UNAVAILABLE",
    "NOT_INITIALIZED",
)


class PrometheusMetrics:
    """Authentications by outcome, and the age of the key table (infinite before the first reading)."""

    def __init__(self, registry: CollectorRegistry, age: Callable[[], float]) -> None:
        authentications = Counter(
            "convergence_auth_authentications",
            "API keys looked at, by what was answered.",
            ["outcome"],
            registry=registry,
        )
        gauge = Gauge(
            "convergence_auth_key_table_age_seconds",
            "Time since the reading that keys are answered from.",
            registry=registry,
        )
        gauge.set_function(age)
        self._children = {outcome: authentications.labels(outcome) for outcome in OUTCOMES}
        self._other = authentications.labels("OTHER")

    def authenticated(self, outcome: str) -> None:
        self._children.get(outcome, self._other).inc()
