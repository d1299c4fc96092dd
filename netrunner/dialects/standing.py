"""How callers are told how much of their limits is left: fields of an answer, in the forms that SDKs know.

``x-ratelimit-*`` as OpenAI writes them, with durations such as ``6m0s``; ``anthropic-ratelimit-*`` with moments for
Anthropic's callers. Where several windows count the same, the one with least left is told.

This module must not know who limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from netrunner.claims import Standing
from netrunner.times import stamp
from netrunner.values import Headers


def limit_fields(dialect: str, standings: Sequence[Standing], wall_s: float) -> Headers:
    """Return the fields for the caller of an answer.

    Args:
        dialect: Name of what the caller speaks.
        standings: Of every window that the request is counted in.
        wall_s: Unix time at which they were so.
    """
    form = _FORMS.get(dialect, _openai)
    headers: Headers = []
    for kind, tokens in ((b"requests", False), (b"tokens", True)):
        windows = [one for one in standings if one.tokens is tokens]
        if windows:
            headers += form(kind, min(windows, key=_room), wall_s)
    return headers


def _room(standing: Standing) -> tuple[int, float]:
    return standing.remaining, -standing.reset_s


def _openai(kind: bytes, told: Standing, wall_s: float) -> Headers:
    return [
        (b"x-ratelimit-limit-" + kind, b"%d" % told.limit),
        (b"x-ratelimit-remaining-" + kind, b"%d" % told.remaining),
        (b"x-ratelimit-reset-" + kind, duration(told.reset_s)),
    ]


def _anthropic(kind: bytes, told: Standing, wall_s: float) -> Headers:
    name = b"anthropic-ratelimit-" + kind
    # RFC 3339 to the second, and never sooner than it is.
    reset = stamp(math.ceil(wall_s + told.reset_s))[:19] + "Z"
    return [
        (name + b"-limit", b"%d" % told.limit),
        (name + b"-remaining", b"%d" % told.remaining),
        (name + b"-reset", reset.encode("ascii")),
    ]


_FORMS: Mapping[str, Callable[[bytes, Standing, float], Headers]] = {"anthropic": _anthropic}
"""Of dialects whose SDKs know a form of their own."""


def duration(seconds: float) -> bytes:
    """Return a duration as Go writes it, to the millisecond and never too short: ``12ms``, ``1.5s``, ``6m0s``."""
    total_ms = math.ceil(round(seconds * 1e3, 3))
    if total_ms < 1000:
        return b"%dms" % total_ms if total_ms else b"0s"
    minutes, rest_ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    told = f"{rest_ms / 1e3:.10g}s"
    if hours:
        told = f"{hours}h{minutes}m{told}"
    elif minutes:
        told = f"{minutes}m{told}"
    return told.encode("ascii")
