"""What callers and providers say of caches (RFC 9111), as far as it has a meaning for requests that are POSTs.

This module must not know what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netrunner.values import MessageHead


def directives(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str | None]:
    """Return what ``Cache-Control`` says: lowercase names and their values, if they have one (RFC 9111, 5.2)."""
    told: dict[str, str | None] = {}
    for name, value in headers:
        if name == b"cache-control":
            for one in value.decode("latin-1").split(","):
                directive, given, text = one.strip().partition("=")
                told.setdefault(directive.lower(), text.strip('"') if given else None)
    return told


def seconds(text: str | None) -> float:
    """Return a time that a directive gives; 0 for what is none."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def accepts(asked: Mapping[str, str | None], age_s: float, left_s: float) -> bool:
    """Return whether a caller takes an answer of that age, good for so long (RFC 9111, 5.2.1)."""
    return (
        "no-cache" not in asked
        and ("max-age" not in asked or age_s < seconds(asked["max-age"]))
        and ("min-fresh" not in asked or left_s >= seconds(asked["min-fresh"]))
    )


def lifetime_s(head: MessageHead, ttl_s: float, shared: bool) -> float:
    """Return how long an answer may be kept, by what its provider says; 0 if it may not.

    Args:
        head: Of the answer.
        ttl_s: The longest that any is kept.
        shared: Whether it is kept for several callers.
    """
    fields = dict(head.headers)
    told = directives(head.headers)
    stream = fields.get(b"content-type", b"").startswith((b"text/event-stream", b"application/x-ndjson"))
    if (
        not head.start.startswith(b"HTTP/1.1 200 ")
        or fields.get(b"content-encoding", b"identity") != b"identity"
        or b"*" in fields.get(b"vary", b"")
        or "no-store" in told
        or (shared and "private" in told)
        # Every stream is said to be that, which is meant for those who would hold it back.
        or ("no-cache" in told and not stream)
    ):
        return 0.0
    age = told.get("s-maxage") if shared and "s-maxage" in told else told.get("max-age")
    return ttl_s if age is None and "max-age" not in told else min(ttl_s, seconds(age))
