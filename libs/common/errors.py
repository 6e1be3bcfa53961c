"""The kinds of failure. Domain code raises them; `rpc.py` turns each kind into one gRPC code."""

from collections.abc import Mapping


class ServiceError(Exception):
    """A failure that a caller may act on.

    `reason` is a value of `convergence.common.v1.ErrorReason` without its prefix; `metadata` has
    lowerCamelCase keys. Raise a subclass that fixes the reason, or a kind with `reason=` given.
    """

    reason: str = ""

    def __init__(self, message: str, *, reason: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        self.metadata: dict[str, str] = {key: str(value) for key, value in metadata.items()}


class InvalidRequest(ServiceError):
    """INVALID_ARGUMENT: the request can never succeed as it is; one violation per field."""

    reason = "INVALID_REQUEST"

    def __init__(
        self,
        violations: Mapping[str, str],
        message: str | None = None,
        *,
        reason: str | None = None,
        **metadata: str,
    ) -> None:
        text = message or "; ".join(f"{field}: {why}" for field, why in violations.items())
        super().__init__(text, reason=reason, **metadata)
        self.violations = dict(violations)


class Unauthenticated(ServiceError):
    """UNAUTHENTICATED: who calls is not known."""


class PermissionDenied(ServiceError):
    """PERMISSION_DENIED: the caller is known and lacks a scope, which is named."""


class NotFound(ServiceError):
    """NOT_FOUND: no such resource, or one of another tenant: the answer is the same."""


class AlreadyExists(ServiceError):
    """ALREADY_EXISTS: the name or request id is taken by something else."""


class FailedPrecondition(ServiceError):
    """FAILED_PRECONDITION: right call, wrong state; change the state first.

    `violations` may name what is wrong by field or file, as InvalidRequest does.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: Mapping[str, str] | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.violations = dict(violations or {})


class Conflict(ServiceError):
    """ABORTED: somebody else was faster; read, decide and write again."""


class Delayed(ServiceError):
    """A failure after which the same call may succeed in `retry_after` seconds."""

    def __init__(
        self, message: str, *, retry_after: float = 1.0, reason: str | None = None, **metadata: str
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_after = retry_after


class QuotaExceeded(Delayed):
    """RESOURCE_EXHAUSTED: a limit of the caller is used up for now."""


class Unavailable(Delayed):
    """UNAVAILABLE: the service or a neighbour cannot answer now."""
