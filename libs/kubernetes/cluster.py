"""The API server of the cluster: where it is, calls off the event loop, and what its refusals mean."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from libs.common.errors import Conflict, FailedPrecondition, Unavailable

T = TypeVar("T")

NOT_FOUND: Final = 404
GONE: Final = 410
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_THREADS: Final = 4
"""Calls under way at once: a lease's, a label's, and those that are given up and have not ended yet."""
_LONGEST_TEXT: Final = 500
FAILURES: Final = (ApiException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""What a call of the client raises."""


class ClusterUnavailable(Unavailable):
    """The API server does not answer, or asks to be left alone: the same call may succeed later."""

    reason = "CLUSTER_UNAVAILABLE"


class ClusterRefused(FailedPrecondition):
    """The API server does not do what was asked until somebody changes something.

    `status` is its HTTP status.
    """

    reason = "CLUSTER_REFUSED"

    def __init__(self, message: str, *, asked: str, status: int) -> None:
        super().__init__(message, asked=asked, status=str(status))
        self.status = status


class ObjectStale(Conflict):
    """Somebody else wrote the object first: read it again."""

    reason = "RESOURCE_STALE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of the API server.

    asked: Verb and object, as `update lease mesh/orchestrator`: for messages.
    right: What the Role must say for it, as `update leases.coordination.k8s.io`.
    """

    asked: str
    right: str
    seconds: float


class Cluster:
    """A client of the API server and threads of its own, so that nobody else's work delays a renewal."""

    def __init__(self, configuration: Configuration) -> None:
        configuration.retries = False  # urllib3 takes it for none at all
        configuration.keep_alive = True
        self.client: Final = ApiClient(configuration)
        self.address: Final = configuration.host
        self._threads: Final = concurrent.futures.ThreadPoolExecutor(_THREADS, "kubernetes")

    @classmethod
    def open(cls) -> Self:
        """Open the API server of the pod's cluster; outside of one, that of KUBECONFIG.

        Raises:
            ClusterRefused: neither is there.
        """
        configuration = Configuration()
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                file = os.environ.get("KUBECONFIG")
                load_kube_config(config_file=file, client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException as error:
            text = (
                f"no API server of Kubernetes is known here ({error}): mount the service account's "
                "token (automountServiceAccountToken), or set KUBECONFIG"
            )
            raise ClusterRefused(text, asked="connect", status=0) from error
        return cls(configuration)

    async def call(self, call: Call, method: Callable[..., T], **named: Any) -> T:
        """Call a method of the client in a thread; return what it returns.

        Raises:
            ObjectStale: the version that is replaced is not the newest.
            ClusterRefused: nothing but a change makes it succeed; `status` is 404 where the object is not there.
            ClusterUnavailable: it did not answer in time, or cannot do so now. Whether it did what was
                asked is not known.
        """
        work = functools.partial(method, **named, _request_timeout=call.seconds)
        try:
            async with asyncio.timeout(call.seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise self._silent(call, f"no answer in {call.seconds:g} s") from error
        except FAILURES as error:
            raise self.failure(call, error) from error

    async def call_raw(self, call: Call, method: Callable[..., Any], **named: Any) -> Any:
        """Call a method of the client; return the JSON of its answer as it came. Raises as `call`."""

        def read(**asked: Any) -> Any:
            with contextlib.closing(method(**asked, _preload_content=False)) as response:
                return json.loads(response.data)

        return await self.call(call, read, **named)

    def failure(
        self, call: Call, error: Exception
    ) -> ObjectStale | ClusterRefused | ClusterUnavailable:
        """Return what one of FAILURES means."""
        if isinstance(error, ApiException):
            return self._refused(call, error)
        return self._silent(call, type(error).__name__)

    def close(self) -> None:
        """Close connections; calls in flight end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.client.close()  # type: ignore[no-untyped-call]

    def _silent(self, call: Call, why: str) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"the API server of Kubernetes at {self.address} does not answer "
            f"({call.asked}: {why}): check that it can be reached; it is asked again"
        )

    def _refused(
        self, call: Call, error: ApiException
    ) -> ObjectStale | ClusterRefused | ClusterUnavailable:
        status, said = int(error.status or 0), _said(error)
        if status == _CONFLICT:
            return ObjectStale(f"{call.asked}: {said}", name=call.asked)
        if status == _TOO_MANY or status >= 500 or status == 0:
            text = f"the API server of Kubernetes at {self.address} cannot {call.asked} now"
            after = _seconds((error.headers or {}).get("Retry-After"))
            return ClusterUnavailable(f"{text} ({status}: {said})", retry_after=after)
        todo = _TODO.get(status, "mend what it names: {said}")
        text = f"Kubernetes refused to {call.asked} ({status}): {todo}"
        return ClusterRefused(
            text.format(said=said, right=call.right), asked=call.asked, status=status
        )


_TODO: Final = {
    401: "it does not know this process; mount the token of its service account",
    403: "let the Role of its service account {right}; the server said: {said}",
    NOT_FOUND: "there is none; create it",
    GONE: "it is gone, or the version asked for is too old; read it again",
}
"""What to do by status."""


def _said(error: ApiException) -> str:
    """Return the message of a `Status`, or the reason phrase, in one line."""
    try:
        text = str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        text = str(error.reason)
    return " ".join(text.split())[:_LONGEST_TEXT]


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 1.0
