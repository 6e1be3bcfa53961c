"""One stream's connection: requests in order, answers in order, cut connections mended.

BigQuery answers each append in the order sent, and an offset makes a repeated one harmless. So
whatever was not answered when a connection breaks is sent again, in order, on the next.
"""

import collections
import dataclasses
import queue
import threading
import time
from collections.abc import Iterator
from typing import Final, Protocol, cast

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2

from libs.bigquery.append_answers import refusal, response_refusal, rpc_code, transient, written
from libs.bigquery.append_wire import Rows, encoded, open_call
from libs.bigquery.client import BigQuery
from libs.bigquery.failures import AppendCancelled, WarehouseRejected, unavailable
from libs.common.errors import ServiceError

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_LOOK_SECONDS: Final = 0.1
_JOIN_SECONDS: Final = 5.0

Feed = queue.SimpleQueue[bytes | None]


class Answers(Protocol):
    """An open AppendRows call, as gRPC hands it out."""

    def __iter__(self) -> Iterator[types.AppendRowsResponse]:
        """Yield the answers until the call ends; raise grpc.RpcError if it ends badly."""
        ...

    def cancel(self) -> bool:
        """End the call."""
        ...


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """Rows on their way: `row_count` rows from `offset`, as one serialized Arrow batch.

    Once sent, `data` is the end of the message, the one copy that is kept; once done, nothing.
    """

    offset: int
    row_count: int
    data: Rows
    done: bool = False
    failure: ServiceError | None = None


class AppendLine:
    """Sends requests to one stream over one connection at a time; thread-safe.

    Nothing is opened before the first request. `timeout` is how many seconds may pass without any
    answer, reconnecting included, before waiting requests fail with WarehouseUnavailable; later
    requests try again. A request that BigQuery refuses fails alone.
    """

    def __init__(self, bq: BigQuery, stream: str, schema: pa.Schema, *, timeout: float) -> None:
        self._bq = bq
        self.stream: Final = stream
        self._schema: Final = bytes(schema.serialize())
        self._timeout: Final = timeout
        self._changed: Final = threading.Condition()
        self._waiting: collections.deque[Request] = collections.deque()
        self._silent_since = 0.0
        self._pause = _FIRST_PAUSE
        self._feed: Feed | None = None
        self._call: Answers | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def send(
        self, request: Request, *, max_in_flight: int, cancel: threading.Event | None = None
    ) -> None:
        """Send `request` once fewer than `max_in_flight` are unanswered; do not await its answer.

        Raises:
            AppendCancelled: `cancel` was set while waiting.
            WarehouseUnavailable: No answer came for `timeout` seconds.
        """
        with self._changed:
            if cancel is not None and cancel.is_set():
                raise AppendCancelled
            blocked = list(self._waiting)
            while len(self._waiting) >= max_in_flight:
                self._look(cancel)
            for earlier in blocked:
                if earlier.failure is not None:
                    raise earlier.failure
            self._enqueue(request)

    def wait(self, request: Request, *, cancel: threading.Event | None = None) -> None:
        """Wait for the answer to `request`; raise its failure."""
        with self._changed:
            while not request.done:
                self._look(cancel)
        if request.failure is not None:
            raise request.failure

    def close(self) -> None:
        """End the connection; requests that are unanswered fail."""
        with self._changed:
            self._closed = True
            self._fail_waiting(AppendClosed(f"the line to {self.stream} was closed"))
            self._hang_up()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_JOIN_SECONDS)

    def _enqueue(self, request: Request) -> None:
        if self._closed:
            raise AppendClosed(f"the line to {self.stream} is closed")
        if not self._waiting:
            self._silent_since = time.monotonic()
        self._waiting.append(request)
        if self._feed is not None:
            self._feed.put(self._message(request, first=False))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="append", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _look(self, cancel: threading.Event | None) -> None:
        """Wait a moment for something to change, under the lock."""
        if cancel is not None and cancel.is_set():
            raise AppendCancelled
        self._changed.wait(_LOOK_SECONDS)
        if self._waiting and self._silent_for() > self._timeout:
            self._give_up()

    def _silent_for(self) -> float:
        return time.monotonic() - self._silent_since

    def _give_up(self) -> None:
        self._pause = _FIRST_PAUSE
        self._fail_waiting(unavailable(self._bq.storage_endpoint, f"append to {self.stream}"))
        self._hang_up()

    def _fail_waiting(self, failure: ServiceError) -> None:
        while self._waiting:
            request = self._waiting.popleft()
            request.failure, request.done, request.data = failure, True, b""
        self._changed.notify_all()

    def _hang_up(self) -> None:
        if self._feed is not None:
            self._feed.put(None)
        if self._call is not None:
            self._call.cancel()
        self._feed = self._call = None

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
            self._converse()
            with self._changed:
                self._hang_up()
                if self._waiting and self._silent_for() + self._pause > self._timeout:
                    self._give_up()
                elif self._waiting and not self._closed:
                    self._rest()

    def _rest(self) -> None:
        end = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        while not self._closed and (left := end - time.monotonic()) > 0:
            self._changed.wait(left)

    def _converse(self) -> None:
        """Send what waits over a new connection and take answers until it ends."""
        try:
            for response in self._open():
                if not self._answer(response):
                    return
        except grpc.RpcError as error:
            code = rpc_code(error)
            with self._changed:
                if not transient(code):
                    self._fail_waiting(refusal(code, self.stream))
        except ValueError:
            return  # the channel was closed under us; the next connection opens another

    def _open(self) -> Answers:
        feed: Feed = queue.SimpleQueue()
        with self._changed:
            for number, request in enumerate(self._waiting):
                feed.put(self._message(request, first=number == 0))
            call = cast("Answers", open_call(self._bq, iter(feed.get, None), self.stream))
            self._feed, self._call = feed, call
        return call

    def _answer(self, response: types.AppendRowsResponse) -> bool:
        """Settle the oldest request; return whether the connection can go on."""
        with self._changed:
            if not self._waiting:
                return False
            if not written(response) and transient(response.error.code):
                return False
            request = self._waiting.popleft()
            if not written(response):
                request.failure = response_refusal(response, self.stream)
            elif response.error.code == code_pb2.OK:
                request.failure = _misplaced(response, request)
            request.done, request.data = True, b""
            self._silent_since, self._pause = time.monotonic(), _FIRST_PAUSE
            self._changed.notify_all()
            return True

    def _message(self, request: Request, *, first: bool) -> bytes:
        schema = self._schema if first else None
        message = encoded(self.stream, request.offset, request.data, schema=schema)
        request.data = memoryview(message)[len(message) - len(request.data) :]
        return message


class AppendClosed(WarehouseRejected):
    """The line was closed by its owner before the request was answered."""


def _misplaced(response: types.AppendRowsResponse, request: Request) -> ServiceError | None:
    """Return a failure if BigQuery says it wrote the rows elsewhere than asked."""
    offset = response.append_result.offset
    if offset is None or offset == request.offset:
        return None
    return WarehouseRejected(f"rows for offset {request.offset} were written at {offset}")
