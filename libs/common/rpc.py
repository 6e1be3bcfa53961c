"""What happens around every RPC: span, log and metrics, errors to statuses, caller and tenant."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry import trace
from prometheus_client import CollectorRegistry, Histogram

from libs.common import errors, spans
from libs.common.identity import CALLER, Principal
from libs.common.names import tenant_of

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]

DOMAIN: Final = "convergence.internal"
DETAILS: Final = "grpc-status-details-bin"
MOST_VIOLATIONS: Final = 20
MOST_DETAIL_BYTES: Final = 4096
MOST_MESSAGE_BYTES: Final = 1024
MOST_VIOLATION_BYTES: Final = 500
MOST_FACT_BYTES: Final = 256

CODES: Final[dict[type[errors.ServiceError], grpc.StatusCode]] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
}
"""A ServiceError of none of these is an internal error, as any other exception is."""

UNKNOWN: Final = grpc.StatusCode.UNKNOWN
OPEN: Final = ("/grpc.health.", "/grpc.reflection.")
"""Services that need no caller."""


def to_status(error: errors.ServiceError) -> tuple[grpc.StatusCode, status_pb2.Status]:
    """Return the code of `error`, which is of a kind in CODES, and its details, below 4 KiB."""
    code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    facts = {key: _cut(value, MOST_FACT_BYTES) for key, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts)
    violations = getattr(error, "violations", {})
    for most in (MOST_VIOLATIONS, 8, 3, 1):
        details = [info, *_violations(violations, most), *_delay(error)]
        message = _cut(str(error), MOST_MESSAGE_BYTES)
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            status.details.add().Pack(detail)
        if status.ByteSize() <= MOST_DETAIL_BYTES:
            break
    return code, status


def _violations(violations: Mapping[str, str], most: int) -> list[Message]:
    if not violations:
        return []
    bad = error_details_pb2.BadRequest()
    for field, why in list(violations.items())[:most]:
        bad.field_violations.add(
            field=_cut(field, MOST_FACT_BYTES), description=_cut(why, MOST_VIOLATION_BYTES)
        )
    if (left := len(violations) - most) > 0:
        bad.field_violations.add(field="…", description=f"{left} more are left out")
    return [bad]


def _delay(error: errors.ServiceError) -> list[Message]:
    if not isinstance(error, errors.Delayed):
        return []
    delay = Duration()
    delay.FromNanoseconds(int(error.retry_after * 1e9))
    details: list[Message] = [error_details_pb2.RetryInfo(retry_delay=delay)]
    if isinstance(error, errors.QuotaExceeded):
        quota = error_details_pb2.QuotaFailure()
        subject = error.metadata.get("tenant") or error.metadata.get("peer", "")
        description = _cut(str(error), MOST_VIOLATION_BYTES)
        quota.violations.add(subject=_cut(subject, MOST_FACT_BYTES), description=description)
        details.append(quota)
    return details


def _cut(text: str, most_bytes: int) -> str:
    raw = text.encode(errors="replace")
    if len(raw) <= most_bytes:
        return raw.decode()
    return raw[: most_bytes - 3].decode(errors="ignore") + "…"


class Access(Protocol):
    """Decides whether a call may go on."""

    async def admit(
        self,
        method: str,
        request: Message | None,
        metadata: Mapping[str, str],
        context: Context,
    ) -> Principal:
        """Return whom the call is made for. Raises ServiceError: it ends the call."""


class Scoped:
    """Access by scope and tenant.

    Args:
        authenticate: From metadata (lower-case keys) and peer to a principal.
        scopes: Scope that each method needs, by `/package.Service/Method`; "" means any caller.
        missing: The error for a resource that is not there: another tenant's gives the same.
        limit: Called with every admitted principal; may raise QuotaExceeded.
    """

    def __init__(
        self,
        authenticate: Callable[[Mapping[str, str], str], Awaitable[Principal]],
        scopes: Mapping[str, str],
        missing: Callable[[str, str], errors.ServiceError],
        limit: Callable[[Principal], None] = lambda _: None,
    ) -> None:
        self._authenticate = authenticate
        self._scopes = scopes
        self._missing = missing
        self._limit = limit

    async def admit(
        self,
        method: str,
        request: Message | None,
        metadata: Mapping[str, str],
        context: Context,
    ) -> Principal:
        principal = await self._authenticate(metadata, context.peer())
        self._limit(principal)
        needed = self._scopes[method]
        if needed and needed not in principal.scopes and not principal.platform:
            raise errors.PermissionDenied(
                f"the key lacks the scope {needed}; use a key that has it",
                reason="SCOPE_MISSING",
                scope=needed,
                method=method.rpartition("/")[2],
            )
        name = resource_of(request)
        tenant = tenant_of(name)
        if tenant is not None and tenant != principal.tenant and not principal.platform:
            raise self._missing(method, name)
        return principal


def resource_of(request: Message | None) -> str:
    """Return the resource name or parent that a request is about; empty if it has none."""
    if request is None:
        return ""
    fields = request.DESCRIPTOR.fields_by_name
    for field in ("name", "parent", "run"):
        if field in fields and isinstance(value := getattr(request, field), str):
            return value
    if "tenant" in fields and isinstance(value := getattr(request, "tenant", None), Message):
        return str(getattr(value, "name", ""))
    return ""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every RPC of a server, of all four shapes. `access` is set before the server starts."""

    def __init__(self, service: str, registry: CollectorRegistry, tracer: trace.Tracer) -> None:
        self.access: Access | None = None
        self._seconds = Histogram(
            f"convergence_{service}_rpc_seconds",
            "Duration of calls.",
            ["method", "code"],
            registry=registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
        )
        self._children: dict[tuple[str, str], Any] = {}
        self._tracer = tracer
        self._wrapped: dict[str, Any] = {}
        """Handlers by method, of those that the server has."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = str(handler_call_details.method)
        if (wrapped := self._wrapped.get(method)) is not None:
            return wrapped
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(OPEN):
            return handler
        self._wrapped[method] = self._wrap(handler, method)
        return self._wrapped[method]

    def _wrap(self, handler: Any, method: str) -> Any:
        behavior = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )

        async def answer(request: Any, context: Context) -> Any:
            async with self._around(method, request, context):
                return await behavior(request, context)

        async def stream(request: Any, context: Context) -> AsyncGenerator[Any]:
            async with self._around(method, request, context):
                async for response in behavior(request, context):
                    yield response

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        return make(
            stream if handler.response_streaming else answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @contextlib.asynccontextmanager
    async def _around(self, method: str, request: Any, context: Context) -> AsyncGenerator[None]:
        begun = time.perf_counter()
        metadata = _metadata(context)
        span = spans.begin(self._tracer, method, metadata, context.peer())
        facts: dict[str, object] = {"method": method}
        code, why = grpc.StatusCode.OK, ""
        try:
            await self._admit(method, request, metadata, context, facts)
            yield
        except tuple(CODES) as error:
            code, status = to_status(error)
            why = status.message
            facts["reason"] = error.reason
            trailing = ((DETAILS, status.SerializeToString()),)
            await context.abort(code, why, trailing)
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            code, why = _code_of(context), str(context.details())
            raise
        except Exception as error:
            code, why = grpc.StatusCode.INTERNAL, "internal error"
            span.record_exception(error)
            log.exception("rpc.crashed", **facts)
            await context.abort(code, why)
        finally:
            self._done(code, time.perf_counter() - begun, facts)
            spans.end(span, code, why)

    async def _admit(
        self,
        method: str,
        request: Any,
        metadata: Mapping[str, str],
        context: Context,
        facts: dict[str, object],
    ) -> None:
        message = request if isinstance(request, Message) else None
        about = _names(resource_of(message))
        facts.update(about)
        # Every call has a task, and so a context, of its own: nothing needs to be unbound.
        structlog.contextvars.bind_contextvars(**about)
        if self.access is None:
            return
        principal = await self.access.admit(method, message, metadata, context)
        CALLER.set(principal)
        facts.setdefault("tenant_id", principal.tenant)
        structlog.contextvars.bind_contextvars(tenant_id=facts["tenant_id"])
        if principal.key_id:
            facts["key_id"] = principal.key_id
        if principal.key_expire_time is not None:
            ends = principal.key_expire_time.isoformat()
            context.set_trailing_metadata((("convergence-key-expires", ends),))

    def _done(self, code: grpc.StatusCode, seconds: float, facts: Mapping[str, object]) -> None:
        key = (str(facts["method"]), code.name)
        child = self._children.get(key) or self._seconds.labels(*key)
        self._children[key] = child
        child.observe(seconds)
        log.info("rpc.done", code=code.name, duration_ms=round(seconds * 1000, 2), **facts)


def _metadata(context: Context) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else value.decode("latin-1")
        for key, value in context.invocation_metadata() or ()
    }


def _names(name: str) -> dict[str, object]:
    parts = name.split("/")
    known = dict(zip(parts[::2], parts[1::2], strict=False))
    keys = {"tenants": "tenant_id", "pipelines": "pipeline_id", "runs": "run_id"}
    return {keys[k]: v for k, v in known.items() if k in keys}


def _code_of(context: Context) -> grpc.StatusCode:
    found = context.code()
    return next((code for code in grpc.StatusCode if found in {code, code.value[0]}), UNKNOWN)
