"""Limits of a token or a project, and how much of each is used.

Pure. This module must not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from netrunner.settings import NAMED_WINDOWS
from netrunner.web.admin.forms import LIMITS
from netrunner.web.dashboard.rows import brief

WINDOWS = [(kind == "tokens", length_s) for _, kind, length_s in NAMED_WINDOWS]
"""What is asked of counters: whether each window counts tokens, and its length in seconds."""


class Bar(msgspec.Struct, frozen=True):
    """One limit."""

    label: str
    used: float | None
    """None where nobody can tell."""
    limit: float
    words: str

    @property
    def share(self) -> float:
        """How full it is, from 0 to 1."""
        return min(1.0, (self.used or 0.0) / self.limit) if self.limit else 1.0


def of_token(token: Mapping[str, Any], windows: Sequence[int] | None, per_hour: int | None) -> list[Bar]:
    """Return the bars of a token.

    Args:
        token: As callers of the API are told.
        windows: How much of each of ``WINDOWS`` is used; None where that cannot be told.
        per_hour: Requests an hour of a token that has no such limit.
    """
    limits = dict(token["limits"])
    if per_hour is not None:
        limits.setdefault("requests_per_hour", per_hour)
    used = _used(token, windows)
    bars = [_bar(LIMITS[name], used.get(name), limits[name]) for name in LIMITS if name in limits]
    if token["max_requests"]:
        bars.insert(0, _bar("Requests in all", token["request_count"], token["max_requests"]))
    return bars


def of_project(project: Mapping[str, Any], windows: Sequence[int] | None) -> list[Bar]:
    """Return the bars of a project, which all its tokens fill together."""
    limits, used = project["limits"], _used(project, windows)
    return [_bar(LIMITS[name], used.get(name), limits[name]) for name in LIMITS if name in limits]


def _used(subject: Mapping[str, Any], windows: Sequence[int] | None) -> dict[str, float]:
    used: dict[str, float] = {"max_tokens": subject["usage"]["tokens"], "max_cost": subject["usage"]["cost"]}
    if windows is not None:
        used |= {name: count for (name, _, _), count in zip(NAMED_WINDOWS, windows, strict=True)}
    return used


def _bar(label: str, used: float | None, limit: float) -> Bar:
    words = f"at most {brief(limit)}" if used is None else f"{brief(used)} of {brief(limit)}"
    return Bar(label, used, limit, words)
