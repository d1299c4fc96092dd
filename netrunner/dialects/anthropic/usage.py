"""Anthropic's counts of tokens, read and written: its ``input_tokens`` leaves out what was cached.

This module must not know where in an answer they stand.
"""

from __future__ import annotations

from netrunner.dialects.answers import Document, count
from netrunner.values import Usage


class Counts:
    """The counts of one answer; they are told several times, and field by field the last that is known holds."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def see(self, usage: object) -> Usage | None:
        """Return all that is known after another ``usage`` object; None if that tells nothing."""
        if not isinstance(usage, dict):
            return None
        told = {name: value for name in _FIELDS if (value := count(usage, name)) is not None}
        if _WRITTEN not in told and (written := _by_lifetime(usage)) is not None:
            told[_WRITTEN] = written
        details = usage.get("output_tokens_details")
        if isinstance(details, dict) and (thought := count(details, "thinking_tokens")) is not None:
            told["thinking_tokens"] = thought
        if not told:
            return None
        known = self._known
        known.update(told)
        fresh, read, written = known.get("input_tokens"), known.get(_READ), known.get(_WRITTEN)
        return Usage(
            input_total=None if fresh is None else fresh + (read or 0) + (written or 0),
            output_total=known.get("output_tokens"),
            cache_read=read,
            cache_write=written,
            reasoning=known.get("thinking_tokens"),
        )


_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_FIELDS = ("input_tokens", "output_tokens", _READ, _WRITTEN)


def _by_lifetime(usage: Document) -> int | None:
    """Return the tokens written to caches where they are told for each lifetime only."""
    lifetimes = usage.get("cache_creation")
    if not isinstance(lifetimes, dict):
        return None
    told = [count(lifetimes, name) for name in lifetimes]
    known = [one for one in told if one is not None]
    return sum(known) if known else None


def written(usage: Usage | None) -> Document:
    """Return a ``usage`` object; it holds every count that clients rely on, 0 where one is not known."""
    seen = usage or Usage()
    read, made = seen.cache_read or 0, seen.cache_write or 0
    document: Document = {
        "input_tokens": max(0, (seen.input_total or 0) - read - made),
        _WRITTEN: made,
        _READ: read,
        "output_tokens": seen.output_total or 0,
    }
    if seen.reasoning is not None:
        document["output_tokens_details"] = {"thinking_tokens": seen.reasoning}
    return document
