"""Answers of an HTTP API, one at a time: tried again where that helps, refused in words elsewhere."""

import dataclasses
import datetime as dt
import email.utils
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import httpx

from libs.common.errors import ServiceError
from libs.common.secrets import SecretText
from services.ingest.failures import (
    Cancelled,
    SourceForbidden,
    SourceNotAllowed,
    SourceNotFound,
    SourceProtocolBroken,
    SourceRateLimited,
    SourceRefused,
    SourceUnauthenticated,
    SourceUnavailable,
)
from services.ingest.sources.guard import AddressRefused
from services.ingest.sources.request_pace import RequestPace
from services.ingest.sources.source import Reading

TRIES: Final = 4
LONGEST_WAIT: Final = 30.0
"""Seconds that a chunk waits by itself; a longer wait is the orchestrator's."""

UNSAID_WAIT: Final = 5.0
MOST_SECONDS: Final = 86_400.0
LARGEST_ANSWER: Final = 64 * 1024 * 1024
LONGEST_SAID: Final = 300
Parameters: TypeAlias = Sequence[tuple[str, str | int]]

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_KEYS: Final = re.compile(r"\bsk-[^\s'\",;]*")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; `wait` is what Retry-After says, in seconds."""

    status: int
    body: bytes
    wait: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Asks one address. `name` is what people call it.

    secret: Returns the bearer key. wait: as a source's. now: the present, for dates in Retry-After.
    pace: Says how long each request waits before it is made, repeated ones too.
    """

    url: str
    name: str
    secret: Callable[[], SecretText]
    http: httpx.Client
    wait: Callable[[float], bool]
    now: Callable[[], dt.datetime]
    reading: Reading
    pace: RequestPace
    largest_bytes: int = LARGEST_ANSWER

    def get(self, parameters: Parameters) -> bytes:
        """Return the body of an answer of 200; wait as 429 says, repeat what may pass.

        Raises:
            ServiceError: the source refused, or did not answer on four tries.
            Cancelled: the reading was.
        """
        for attempt in range(1, TRIES + 1):
            if turn := self.pace.next():
                self._rest(turn)
            outcome = self._try(parameters, attempt)
            if isinstance(outcome, bytes):
                return outcome
            error, wait = outcome
            if attempt == TRIES or wait > LONGEST_WAIT:
                raise error
            self._rest(wait)
        raise AssertionError("the last try returns or raises")

    def _rest(self, seconds: float) -> None:
        self.reading.throttled(True)
        cancelled = self.wait(seconds)
        self.reading.throttled(False)
        if cancelled:
            raise Cancelled

    def _try(self, parameters: Parameters, attempt: int) -> bytes | tuple[ServiceError, float]:
        """Return the body, or an error that may pass and the wait it asks for; raise others."""
        key = self.secret().reveal()
        if not re.fullmatch("[!-~]+", key):
            text = (
                f"{self.name}: the secret is no key: it is empty, or has blanks or odd characters"
            )
            raise SourceUnauthenticated(text, source=self.name)
        try:
            answer = self._answer(parameters, key)
        except httpx.TransportError as error:
            _refuse_address(error)
            text = f"{self.name}: the connection failed ({type(error).__name__})"
            failed = SourceUnavailable(text, retry_after=UNSAID_WAIT, source=self.name)
            return failed, float(attempt)
        except httpx.HTTPError as error:
            text = f"{self.name}: the answer cannot be read ({type(error).__name__})"
            raise SourceProtocolBroken(text, source=self.name) from error
        if answer.status == httpx.codes.OK:
            return answer.body
        return self._refusal(answer, _said(answer.body, key))

    def _answer(self, parameters: Parameters, key: str) -> Answer:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        with self.http.stream(
            "GET", self.url, params=httpx.QueryParams(list(parameters)), headers=headers
        ) as response:
            body = bytearray()
            for piece in response.iter_bytes():
                if self.reading.cancelled.is_set():
                    raise Cancelled
                body += piece
                if len(body) > self.largest_bytes:
                    text = f"{self.name}: an answer of more than {self.largest_bytes} bytes"
                    raise SourceProtocolBroken(text, source=self.name)
            wait = _wait(response.headers.get("retry-after", ""), self.now())
            return Answer(response.status_code, bytes(body), wait)

    def _refusal(self, answer: Answer, said: str) -> tuple[ServiceError, float]:
        status, name = answer.status, self.name
        facts: dict[str, Any] = {"source": name, "status": str(status)}
        text = f"{name} answered {status}: {said}"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            text = f"{name} answered 429 and asks to wait {answer.wait:g} s: {said}"
            return SourceRateLimited(text, retry_after=answer.wait, **facts), answer.wait
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return SourceUnavailable(text, retry_after=UNSAID_WAIT, **facts), 1.0
        if status == httpx.codes.UNAUTHORIZED:
            raise SourceUnauthenticated(f"{text}; the key is wrong or over", **facts)
        if status == httpx.codes.FORBIDDEN:
            raise SourceForbidden(f"{text}; the key lacks a right", **facts)
        if status == httpx.codes.NOT_FOUND:
            raise SourceNotFound(f"{text}; correct base_url of the source", found="404", **facts)
        if httpx.codes.is_redirect(status):
            raise SourceRefused(f"{name} answered {status}: redirects are not followed", **facts)
        raise SourceRefused(f"{text}; correct the source's options", **facts)


def _refuse_address(error: BaseException) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            why = f"{cause}; the operator may allow private addresses"
            raise SourceNotAllowed("base_url", why, found="no public address") from error
        cause = cause.__cause__


def _wait(text: str, now: dt.datetime) -> float:
    """Return the seconds that Retry-After asks for: a number or a date; 5 if it says neither."""
    if _SECONDS.fullmatch(text):
        return min(float(text), MOST_SECONDS)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return UNSAID_WAIT
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    return min(max((until - now).total_seconds(), 0.0), MOST_SECONDS)


def _said(body: bytes, key: str) -> str:
    """Return the provider's own sentence without any key in it."""
    try:
        text = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given"
    return _KEYS.sub("sk-***", text.replace(key, "***"))[:LONGEST_SAID]
