"""What a failed call to an object store means: the reason by its status, and no text of its own."""

import re
from http import HTTPStatus
from typing import Final, TypeAlias

import obstore.exceptions as said

from libs.common.errors import ServiceError
from services.ingest.failures import (
    SourceChanged,
    SourceForbidden,
    SourceNotAllowed,
    SourceNotFound,
    SourceRateLimited,
    SourceRefused,
    SourceUnauthenticated,
    SourceUnavailable,
)

STATUS: Final = re.compile(r"status code: (\d{3})")
REDIRECT: Final = re.compile(r"redirect without LOCATION", re.IGNORECASE)
"""How S3 answers at the address of another region."""
CODE: Final = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
UNKNOWN_KEY: Final = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
)
"""What S3 answers as 400 or 403 when it does not know the key."""
TOO_MANY: Final = frozenset({"SlowDown", "TooManyRequests", "RequestLimitExceeded"})
Kind: TypeAlias = (
    type[SourceForbidden]
    | type[SourceNotFound]
    | type[SourceRateLimited]
    | type[SourceRefused]
    | type[SourceUnauthenticated]
    | type[SourceUnavailable]
)
ANSWERS: Final[dict[int, tuple[Kind, str]]] = {
    401: (SourceUnauthenticated, "the key is wrong or over"),
    403: (SourceForbidden, "let the key or account list the bucket and read its objects"),
    404: (SourceNotFound, "correct `path` of the source"),
    429: (SourceRateLimited, "it asks for fewer requests"),
}
KINDS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (said.UnauthenticatedError, 401),
    (said.PermissionDeniedError, 403),
    (FileNotFoundError, 404),
    (said.NotFoundError, 404),
    (said.PreconditionError, 412),
)


def failure(error: Exception, name: str) -> ServiceError:
    """Return what a failed call about `name` (`gs://bucket/key`) means.

    The store's own answer may hold the key's id and what was signed: only its code is repeated.
    """
    text = str(error)
    status, code = _status(error, text), _code(text)
    if status == HTTPStatus.PRECONDITION_FAILED:
        return changed(name, "was written again")
    if status:
        kind, what = _meaning(status, code)
        said_code = f" ({code})" if code else ""
        sentence = f"{name}: the store answered {status}{said_code}; {what}"
        return kind(sentence, source=name, status=str(status))
    if isinstance(error, said.InvalidPathError):
        why = "an object below it has an empty part in its name; rename it or narrow `path`"
        return SourceNotAllowed("path", f"found {name!r}; {why}", found=name)
    return SourceUnavailable(f"{name}: the store does not answer", source=name)


def _meaning(status: int, code: str) -> tuple[Kind, str]:
    """Return the kind of failure that an answer is, and what to do."""
    if code in UNKNOWN_KEY:
        status = HTTPStatus.UNAUTHORIZED
    if code in TOO_MANY:
        status = HTTPStatus.TOO_MANY_REQUESTS
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SourceUnavailable, "it is tried again"
    return ANSWERS.get(status, (SourceRefused, "correct `region` and `endpoint` of the source"))


def changed(name: str, what: str) -> SourceChanged:
    """Return the refusal of an object that is not as it was planned."""
    text = f"{name} {what} after it was planned; retry the run: it plans anew"
    return SourceChanged(text, source=name)


def _status(error: Exception, text: str) -> int:
    """Return the HTTP status, 0 if there was no answer."""
    if found := STATUS.search(text):
        return int(found[1])
    if REDIRECT.search(text):
        return HTTPStatus.MOVED_PERMANENTLY
    return next((status for kind, status in KINDS if isinstance(error, kind)), 0)


def _code(text: str) -> str:
    found = CODE.search(text)
    return found[1] if found else ""
