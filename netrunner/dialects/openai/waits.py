"""How long an answer says to wait, in whichever of the many places providers say so.

Dates and times are read against the answer's own ``Date``, so that no clock is needed. What only one provider does is
beside its own dialect.

This module must not decide whether anything is tried again.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Mapping

_DURATION = r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)(ms|s))?"
_WORDS = re.compile("(?:retry|try again) in " + _DURATION, re.I)
_RESET = re.compile(_DURATION.encode())
_LIMITS = (b"-requests", b"-tokens", b"")
"""What is counted; the last is told by those who count one thing only."""
_UNIX_S, _UNIX_MS = 1e9, 1e11
"""From here on a number is no span of time but Unix time, in seconds or milliseconds."""


def retry_after_s(fields: Mapping[bytes, bytes], message: str, limited: bool) -> float | None:
    """Return after how many seconds a retry makes sense, if the answer tells.

    Read are ``retry-after-ms``, ``retry-after`` as seconds or date (RFC 9110, 10.2.3), what some providers only say in
    words, and when a limit that is used up is reset.

    Args:
        fields: Of the answer, names lowercase.
        message: What its error says.
        limited: Whether a limit is what it is about.
    """
    milliseconds = number(fields.get(b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = fields.get(b"retry-after")
    seconds = number(after)
    if seconds is not None:
        return seconds
    until, now = date(after), date(fields.get(b"date"))
    if until is not None and now is not None:
        return max(0.0, until - now)
    words = _WORDS.search(message)
    if words is not None and any(words.groups()):
        return _seconds(*words.groups())
    return _until_reset(fields, now) if limited else None


def _until_reset(fields: Mapping[bytes, bytes], now: float | None) -> float | None:
    """Return the seconds until every limit that is used up is reset."""
    waits = [number(fields.get(b"ratelimitbysize-reset"))]
    for limit in _LIMITS:
        left = fields.get(b"x-ratelimit-remaining" + limit, b"" if limit else b"0")
        if left.startswith(b"-") or number(left) == 0:
            waits.append(_span(fields.get(b"x-ratelimit-reset" + limit, b""), now))
    return max((wait for wait in waits if wait is not None), default=None)


def _span(value: bytes, now: float | None) -> float | None:
    """Return a time told as ``6m0s``, as seconds, or as Unix time, in seconds from now."""
    seconds = number(value)
    if seconds is None:
        told = _RESET.fullmatch(value)
        if told is None or not value:
            return None
        return _seconds(*[None if part is None else part.decode() for part in told.groups()])
    if seconds < _UNIX_S:
        return seconds
    return None if now is None else max(0.0, (seconds / 1000 if seconds >= _UNIX_MS else seconds) - now)


def _seconds(hours: str | None, minutes: str | None, rest: str | None, unit: str | None) -> float:
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0) / (1000 if unit == "ms" else 1)


def number(value: bytes | None) -> float | None:
    """Return a field's value as a number that is not negative; None if it is none."""
    try:
        number = float(value or b"")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def date(value: bytes | None) -> float | None:
    """Return a field's date as Unix time; None if it is none."""
    if value is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(value.decode("latin-1")).timestamp()
    except (ValueError, OverflowError):
        return None
