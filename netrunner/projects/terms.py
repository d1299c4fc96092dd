"""What a project or a token may use, as it is told in JSON and kept in the database.

Windows are those of every other limit; beside them stand budgets for a whole life. What is absent is unlimited.

Pure. This module must not count.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from netrunner.projects.wither import Wither, left
from netrunner.settings import COUNTS, Limits

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Patterns = Annotated[tuple[Pattern, ...], msgspec.Meta(max_length=100)]
Money = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Limits in windows, budgets for a life, and the models that may be asked for."""

    requests_per_minute: Count | None = None
    requests_per_hour: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_minute: Count | None = None
    tokens_per_day: Count | None = None
    concurrency: Count | None = None
    max_tokens: Count | None = None
    """Tokens in all, those of requests and answers."""
    max_cost: Money | None = None
    """US dollars in all."""
    models: Patterns = ()
    """Models that may be asked for, by the names that callers use, ``*`` for any characters; all of them if empty."""
    wither: Wither | None = None
    """Of a token only: how its windows shrink."""

    def beyond(self, other: Terms) -> str | None:
        """Return the name of something that these terms allow and ``other`` do not; None if there is nothing."""
        for name in (*COUNTS, "max_tokens", "max_cost"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None and mine > theirs:
                return name
        return None

    @property
    def counts_tokens(self) -> bool:
        """Whether there may be so many tokens only, in a window or a life."""
        return (self.tokens_per_minute, self.tokens_per_day, self.max_tokens) != (None, None, None)

    def limits(self, share: float = 1.0) -> Limits:
        """Return what is counted by, ``share`` of each limit."""
        named: Any = {name: left(limit, share) for name in COUNTS if (limit := getattr(self, name)) is not None}
        return Limits(**named)


_decoder = msgspec.json.Decoder(Terms)


def read(text: str) -> Terms:
    """Return what the database keeps."""
    return _decoder.decode(text)


def written(terms: Terms | None) -> str:
    """Return what the database is to keep."""
    return msgspec.json.encode(terms or Terms()).decode()


def told(terms: Terms) -> dict[str, Any]:
    """Return what callers of the API are told."""
    document: dict[str, Any] = msgspec.to_builtins(terms)
    return document
