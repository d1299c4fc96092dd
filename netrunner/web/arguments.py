"""What a caller of the log API asks for, read strictly: whatever is not understood is refused, naming what is.

This module must not look anything up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from netrunner.errors import BadRequest
from netrunner.http.request import Request
from netrunner.query import Query, parse
from netrunner.values import Outcome

MAX_ROWS = 1000
FILTERS = ("q", "service_type", "model", "outcome", "failed", "since", "until", "before", "after")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
T = TypeVar("T")


class Arguments:
    """The arguments of one request.

    Args:
        request: Whose query it is.
        known: Names there may be.

    Raises:
        BadRequest: ``invalid_filter`` for others, for one that stands twice, and for what is not UTF-8.
    """

    def __init__(self, request: Request, known: tuple[str, ...]) -> None:
        self._values: dict[str, str] = {}
        for name, values in request.args.items():
            shown = name.decode("utf-8", "replace")
            if shown not in known:
                raise _wrong(shown[:80], f"is not known here; known are {', '.join(known) or 'none'}")
            if len(values) > 1:
                raise _wrong(shown, "is given more than once")
            try:
                self._values[shown] = values[0].decode()
            except UnicodeDecodeError as error:
                raise _wrong(shown, "is not valid UTF-8") from error

    def text(self, name: str) -> str | None:
        """Return a value; None when it is absent or empty."""
        return self._values.get(name) or None

    def number(self, name: str, default: int, most: int) -> int:
        """Return a whole number from 1 to ``most``."""
        value = self.text(name)
        if value is None:
            return default
        if not value.isdecimal() or not value.isascii() or len(value) > 9 or not 1 <= int(value) <= most:
            raise _wrong(name, f"is a number from 1 to {most}")
        return int(value)

    def choice(self, name: str, choices: Mapping[str, T]) -> T | None:
        """Return what a word stands for."""
        value = self.text(name)
        if value is None:
            return None
        if value not in choices:
            raise _wrong(name, f"is one of {', '.join(choices)}")
        return choices[value]

    def truth(self, name: str) -> bool | None:
        """Return what is said to be ``true`` or ``false``."""
        return self.choice(name, {"true": True, "false": False})

    def time(self, name: str) -> float | None:
        """Return a Unix time, given as such or as ISO 8601 with its offset."""
        value = self.text(name)
        if value is None:
            return None
        try:
            if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", value, re.ASCII):
                return float(value)
            # A plus is a space in a query that was not encoded.
            at = datetime.fromisoformat(value.replace(" ", "+") if value.count(" ") == 1 and "T" in value else value)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise _wrong(name, "is a Unix time, or ISO 8601 with an offset such as 2026-11-25T10:00:00Z")
        return at.timestamp()

    def query(self) -> Query:
        """Return the filters."""
        terms = parse(self._values.get("q", ""))
        if (model := self.text("model")) is not None:
            terms = (*terms, *parse('model:"{}"'.format(model.replace("\\", "\\\\").replace('"', '\\"'))))
        before, after = self.text("before"), self.text("after")
        for name, id in (("before", before), ("after", after)):
            if id is not None and not _ID.fullmatch(id):
                raise _wrong(name, "is the id of a record")
        if before is not None and after is not None:
            raise _wrong("after", "does not go with before")
        return Query(
            terms=terms,
            dialect=self.text("service_type"),
            outcome=self.choice("outcome", {one.value: one.value for one in Outcome}),
            failed=self.truth("failed"),
            since_s=self.time("since"),
            until_s=self.time("until"),
            before=before,
            after=after,
        )


def is_id(text: str) -> bool:
    """Return whether ``text`` may be the id of a record."""
    return _ID.fullmatch(text) is not None


def _wrong(name: str, what: str) -> Any:
    return BadRequest(f"{name}: {what}.", code="invalid_filter", param=name)
