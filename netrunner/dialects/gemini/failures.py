"""Google's errors: read from answers, and written as callers of this dialect know them.

This module must not decide what is tried again: it only says what Google says about that.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from netrunner.dialects.answers import Document
from netrunner.errors import ExchangeError
from netrunner.events import StreamError

_STATUSES = {
    "bad_request": "INVALID_ARGUMENT",
    "context_too_long": "INVALID_ARGUMENT",
    "unsupported_parameter": "INVALID_ARGUMENT",
    "auth": "UNAUTHENTICATED",
    "payment": "FAILED_PRECONDITION",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "too_large": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "overloaded": "UNAVAILABLE",
    "upstream_error": "INTERNAL",
    "timeout": "DEADLINE_EXCEEDED",
}
"""The ``status`` of an error by its canonical kind."""
_KINDS = {
    "INVALID_ARGUMENT": "bad_request",
    "OUT_OF_RANGE": "bad_request",
    "FAILED_PRECONDITION": "bad_request",
    "UNIMPLEMENTED": "bad_request",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    "CANCELLED": "upstream_error",
    "INTERNAL": "upstream_error",
    "UNKNOWN": "upstream_error",
}
_TYPE = "type.googleapis.com/google.rpc."
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_WAIT = re.compile(r"retry in (\d{1,9}(?:\.\d{1,9})?)(ms|s)", re.IGNORECASE)
_TOO_LONG = re.compile(r"token count.{0,80}exceeds the maximum", re.IGNORECASE | re.DOTALL)


class Failure(msgspec.Struct, frozen=True):
    """What an error of Google's says."""

    message: str
    kind: str | None
    """Canonical; None where its words do not tell."""
    code: str | None
    http: int | None
    """The status it would have had, or has."""
    retry_after_s: float | None
    spent: bool
    """A quota of the day is used up: waiting a little does not help."""
    bad_key: bool
    """The key is not valid, which Google tells as a malformed request."""


def of_document(document: Any) -> Failure | None:
    """Return the error that a decoded answer holds; some come in a list of one."""
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    return _failure(error) if error else None


def _failure(error: Any) -> Failure:
    if not isinstance(error, dict):
        error = {"message": error}
    message, status, http = error.get("message"), error.get("status"), error.get("code")
    message = message if isinstance(message, str) else ""
    status = status if isinstance(status, str) and status else None
    details = error.get("details")
    details = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    bad_key = any(str(one.get("reason")).startswith("API_KEY_") for one in details)
    kind, code = _KINDS.get(status or ""), status
    if kind == "bad_request" and _TOO_LONG.search(message):
        kind, code = "context_too_long", "context_length_exceeded"
    elif bad_key:
        kind = "auth"
    elif status == "FAILED_PRECONDITION" and "billing" in message.lower():
        kind = "payment"
    return Failure(
        message=message,
        kind=kind,
        code=code,
        http=http if isinstance(http, int) and not isinstance(http, bool) else None,
        retry_after_s=_retry_after_s(details, message),
        spent=any("PerDay" in str(one.get("quotaId")) for one in _violations(details)),
        bad_key=bad_key,
    )


def _violations(details: list[Document]) -> list[Document]:
    found: list[Document] = []
    for one in details:
        violations = one.get("violations")
        if isinstance(violations, list):
            found += [violation for violation in violations if isinstance(violation, dict)]
    return found


def _retry_after_s(details: list[Document], message: str) -> float | None:
    """Return the delay that ``RetryInfo`` tells, or else the message's words."""
    for one in details:
        delay = _DELAY.fullmatch(str(one.get("retryDelay")))
        if delay is not None:
            return float(delay[1])
    words = _WAIT.search(message)
    return None if words is None else float(words[1]) / (1000 if words[2] == "ms" else 1)


def stream_error(document: Any) -> StreamError | None:
    """Return the event of an error inside an answer; None if it holds none."""
    failure = of_document(document)
    if failure is None:
        return None
    return StreamError(
        kind=failure.kind or "upstream_error",
        message=failure.message,
        code=failure.code,
        status=failure.http,
        retry_after_s=failure.retry_after_s,
        native=document,
    )


def written(error: ExchangeError) -> Document:
    """Return an error as Google would tell it; netrunner's own code is the reason of an ``ErrorInfo``."""
    information: Document = {"@type": f"{_TYPE}ErrorInfo", "reason": error.code, "domain": "netrunner"}
    if metadata := error.whose():
        information["metadata"] = metadata
    details = [information]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if error.wait_s is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.wait_s}s"})
    status = _STATUSES.get(error.kind, "INTERNAL")
    return {"error": {"code": error.status, "message": error.message, "status": status, "details": details}}
