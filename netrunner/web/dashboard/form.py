"""What a visitor asks the log for, from the query of a URL and back into one.

This module must not find any record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec

from netrunner.errors import BadRequest
from netrunner.query import Query, Term
from netrunner.values import Outcome
from netrunner.web.dashboard.rows import SERVICES

Terms = Callable[[str], tuple[Term, ...]]
"""Reads a filter as it is typed; raises ``BadRequest`` with what is wrong in it."""
STATUSES: Mapping[str, str] = {
    "": "any",
    "ok": "succeeded",
    "failed": "failed",
    **{one.value: one.value.replace("_", " ") for one in Outcome},
}
CHOICES: Mapping[str, str] = {"": "any", **SERVICES}
"""Services that the form offers."""


class Form(msgspec.Struct, frozen=True):
    """The fields as they were typed, and what came of them."""

    q: str = ""
    service: str = ""
    status: str = ""
    since: str = ""
    until: str = ""
    before: str = ""
    after: str = ""
    problem: str | None = None
    """What cannot be understood; ``query`` then asks for nothing that was typed."""
    query: Query = Query()

    @property
    def is_empty(self) -> bool:
        """Whether nothing narrows the log."""
        return not (self.q or self.service or self.status or self.since or self.until)

    def url(self, before: str | None = None, after: str | None = None) -> str:
        """Return the address of this list, or of the page next to the record ``before`` or ``after`` it."""
        fields = {name: getattr(self, name) for name in ("q", "service", "status", "since", "until")}
        fields |= {"before": before, "after": after}
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"/logs?{query}" if query else "/logs"


def read(args: Mapping[bytes, list[bytes]], terms: Terms) -> Form:
    """Return the form of a request's arguments; unknown ones are ignored.

    Args:
        args: As ``Request.args`` has them. ``service_type`` means ``service``, as in the log API.
        terms: Reads ``q``.
    """

    def typed(name: bytes) -> str:
        return args.get(name, [b""])[-1].decode("utf-8", "replace").strip()

    form = Form(
        typed(b"q"),
        typed(b"service") or typed(b"service_type"),
        typed(b"status"),
        typed(b"since"),
        typed(b"until"),
        typed(b"before"),
        typed(b"after"),
    )
    try:
        return msgspec.structs.replace(form, query=_query(form, terms))
    except BadRequest as error:
        return msgspec.structs.replace(form, problem=error.message, query=Query(before=form.before or None))


def _query(form: Form, terms: Terms) -> Query:
    if form.status not in STATUSES:
        raise BadRequest(f"'{form.status}' is no status. Known are {', '.join(filter(None, STATUSES))}.")
    return Query(
        terms=terms(form.q) if form.q else (),
        dialect=form.service or None,
        outcome=form.status if form.status not in ("", "ok", "failed") else None,
        failed={"ok": False, "failed": True}.get(form.status),
        since_s=_time("since", form.since),
        until_s=_time("until", form.until),
        before=form.before or None,
        after=form.after or None,
    )


def _time(name: str, text: str) -> float | None:
    """Return the Unix time of an ISO 8601 date or date and time; UTC unless it says otherwise."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"'{name}' is no time: write it like 2026-11-25T14:30.") from error
