"""From an error of a phase to the failure that a run carries: who acts, what to do."""

from libs.common.errors import InvalidRequest, ServiceError
from services.orchestrator.runs.reasons import reason_of
from services.orchestrator.runs.records import Failure


def failure_of(error: BaseException, *, data_safe: bool = True) -> Failure:
    """Return what a run says about `error`; of an unexpected one only that it was unexpected."""
    if not isinstance(error, ServiceError):
        return Failure(
            kind="platform",
            reason="INTERNAL",
            message="an unexpected error; the log has it under the run's trace id",
            advice=reason_of("INTERNAL").advice,
            data_safe=data_safe,
        )
    reason = reason_of(error.reason)
    metadata = dict(error.metadata)
    if isinstance(error, InvalidRequest):
        metadata |= {key.replace(" ", "_"): why for key, why in list(error.violations.items())[:8]}
    return Failure(
        kind=reason.kind,
        reason=error.reason or "INTERNAL",
        message=str(error),
        advice=reason.advice,
        data_safe=data_safe,
        metadata=metadata,
    )
