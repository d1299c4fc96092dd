"""How Anthropic's API is asked, and what its error answers mean.

This module must not open connections or read clocks.
"""

from __future__ import annotations

import datetime
import re

from netrunner.dialects.anthropic.blocks import NO_SAMPLING_SINCE
from netrunner.dialects.anthropic.errors import KINDS
from netrunner.dialects.openai.api import OpenAIApi
from netrunner.dialects.openai.waits import date
from netrunner.errors import Fault, UpstreamRejected
from netrunner.settings import ProviderSettings
from netrunner.values import Call, Headers, UpstreamRequest

VERSION = b"2023-06-01"
"""Asked for where the caller names none; requests of other dialects are written in it."""
INFERENCE = {"messages": b"POST", "messages/count_tokens": b"POST", "models": b"GET"}
"""What a stored key may be used for, and by which method."""

_BEARER, _TOKEN = b"Bearer ", b"Bearer sk-ant-oat"
"""The second is how an access token begins; whatever else a caller has is a key."""
_TOO_LONG = re.compile(r"prompt is too long|exceed\w* (?:the )?context (?:window|limit|length)", re.I)
_SPENT = re.compile(r"credit balance|spend(?:ing)? limit|monthly", re.I)
_REMAINING = re.compile(rb"anthropic-ratelimit-([a-z-]+)-remaining")


class AnthropicApi(OpenAIApi):
    """Anthropic's API: its address, its key in a field of its own, the version of the API.

    Args:
        settings: The provider's.
        name: The provider's name in the configuration, for messages.
    """

    __slots__ = ()

    def __init__(self, settings: ProviderSettings, name: str) -> None:
        super().__init__(settings, name, INFERENCE)

    def request(self, call: Call) -> UpstreamRequest:
        """Return ``call`` as this API wants it; see ``OpenAIApi``.

        A caller's own access token stays what it is. So does a key under a version of the API whose clients send it
        as a token; under the older one it goes into ``x-api-key``.
        """
        request = super().request(call)
        version = dict(reversed(call.headers)).get(b"anthropic-version")
        if version is None:
            request.headers.append((b"anthropic-version", VERSION))
        tokens = not self.has_own_key and (version or VERSION) >= NO_SAMPLING_SINCE.encode()
        request.headers = [
            (b"x-api-key", value.removeprefix(_BEARER))
            if name == b"authorization" and value.startswith(_BEARER) and not (tokens or value.startswith(_TOKEN))
            else (name, value)
            for name, value in request.headers
        ]
        return request

    def classify(self, status: int, headers: Headers, body: bytes) -> UpstreamRejected:
        """Return what an error answer means; money that is spent is not worth a retry."""
        error = super().classify(status, headers, body)
        if error.code == "upstream_auth":
            return error
        error.kind = KINDS.get(error.code, error.kind)
        if error.kind == "bad_request" and _TOO_LONG.search(error.message):
            error.kind = "context_too_long"
        if error.kind in ("bad_request", "rate_limit") and _SPENT.search(error.message):
            error.kind, error.fault, error.retryable = "payment", Fault.UPSTREAM, False
        if error.kind == "rate_limit" and error.retry_after_s is None:
            error.retry_after_s = _until_reset(headers)
        return error


def _until_reset(headers: Headers) -> float | None:
    """Return the seconds until every limit that is reached is reset, by the answer's own clock (RFC 3339)."""
    fields = dict(reversed(headers))
    now = date(fields.get(b"date"))
    waits: list[float] = []
    for name, value in fields.items():
        limit = _REMAINING.fullmatch(name)
        if limit is not None and value == b"0":
            until = _time(fields.get(b"anthropic-ratelimit-" + limit[1] + b"-reset", b""))
            if until is not None and now is not None:
                waits.append(max(0.0, until - now))
    return max(waits, default=None)


def _time(value: bytes) -> float | None:
    try:
        time = datetime.datetime.fromisoformat(value.decode("latin-1"))
    except ValueError:
        return None
    return None if time.tzinfo is None else time.timestamp()
