"""Which records somebody wants to see.

Pure: a ``Query`` is made from what a caller typed, and read by whoever has records: the store as SQL, the journal by
``matches``. Both look at the same: ``FIELDS`` names what a term is compared with, ``fold`` how.

This module must not know where records are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

import msgspec

from netrunner.errors import BadRequest
from netrunner.ids import first_of
from netrunner.values import Record

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "host": ("source",),
        "provider": ("provider",),
        "service": ("dialect",),
        "model": ("model", "upstream_model"),
        "project": ("project",),
        "identity": ("token",),
        "path": ("path",),
        "route": ("route",),
        "status": ("status",),
        "outcome": ("outcome",),
        "error": ("error",),
        "id": ("id", "request_id"),
    }
)
"""What a term may name, and the fields of a ``Record`` that it looks at; one of them has to hold its text."""
PREFIXES = frozenset({"id", "request_id"})
"""Fields that have to begin with the text: nobody remembers the middle of an id, and beginnings are found by index."""
ENDINGS = frozenset({"status", "outcome"})
"""Fields that tell how an exchange ended."""
FOLDED_CHARACTERS = 400
"""So much of a field is searched; who names a model at greater length is found by its beginning."""
FAILED_STATUS = 400
"""The first status that means failure."""
SLACK_S = 60.0
"""Between the time that an id was made at and the accept; a microsecond, unless somebody sets the clock."""
MAX_CHARACTERS = 1000
MAX_TERMS = 20
"""Bounds of what a caller may type."""

_TERM = re.compile(r'(?:([^\s":]+):)?("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_STATUS = re.compile(r"[0-9]{1,3}|[0-9]xx", re.IGNORECASE)
_SHOWN_CHARACTERS = 80
_NOTHING: frozenset[str] = frozenset()
T = TypeVar("T")


class Term(msgspec.Struct, frozen=True):
    """One condition: ``text`` occurs in a field, whatever the case."""

    field: str | None
    """Name as it is typed (``host``, ``provider``, ``model``); None for a bare word, which any of them may hold."""
    text: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """All of these have to hold."""

    terms: tuple[Term, ...] = ()
    dialect: str | None = None
    """``service_type`` of the log API: what the caller spoke; the whole name, whatever the case."""
    outcome: str | None = None
    """The whole name, whatever the case."""
    failed: bool | None = None
    """Whether the status was 400 or more."""
    since_s: float | None = None
    until_s: float | None = None
    """Unix times of the accept; from, and before."""
    before: str | None = None
    """Id of a record: only older ones, for the next page."""
    after: str | None = None
    """Id of a record: only newer ones, for the page before. A page then holds those that come next to it."""


class Found(msgspec.Struct, frozen=True):
    """One page of what matches."""

    records: list[Record]
    """Newest first."""
    searched: str | None = None
    """Id of the last record that was looked at, where enough had been looked at before the page was full: whether more
    matches beyond it is not known yet. None where the page is full, or holds all that is left."""

    def reaches(self, query: Query, id: str) -> bool:
        """Return whether a record of that id would be on this page if it matched ``query``, or on one before it."""
        if self.searched is None:
            return True
        return id >= self.searched if query.after is None else id <= self.searched

    def onward(self, query: Query, limit: int) -> Query | None:
        """Return what asks for the page behind this one, which ``query`` and ``limit`` asked for; None at the end."""
        last = self.searched
        if last is None and len(self.records) >= limit:
            last = self.records[-1 if query.after is None else 0].id
        if last is None:
            return None
        return msgspec.structs.replace(query, **{"before" if query.after is None else "after": last})


def parse(text: str) -> tuple[Term, ...]:
    """Return the terms of a filter as it is typed: ``model:gpt host:10.0. "two words"``; all of them have to hold.

    A term is a word, or ``name:word`` with one of ``FIELDS``. What holds spaces, or a colon that ends no name, stands
    in double quotes; a backslash there takes away the meaning of a quote or of another one. ``AND`` between terms may
    be written.

    Raises:
        BadRequest: ``invalid_filter``, naming the term that is none, and the names there are.
    """
    if len(text) > MAX_CHARACTERS:
        raise _bad(text, f"A filter has {MAX_CHARACTERS} characters at the most.")
    terms = tuple(_terms(text))
    if len(terms) > MAX_TERMS:
        raise _bad(text, f"A filter has {MAX_TERMS} terms at the most.")
    return terms


def _terms(text: str) -> Iterator[Term]:
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        found = _TERM.match(text, position)
        if found is None:
            raise _bad(text[position:].split(maxsplit=1)[0], "A quote stands around a whole text, and is closed.")
        name, value = found.groups()
        position = found.end()
        if name is None and value == "AND":
            continue
        if name is not None and name.casefold() not in FIELDS:
            raise _bad(found[0], "A text that has a colon itself is put in double quotes.")
        plain = _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
        if not plain:
            raise _bad(found[0], "There is nothing to look for in it.")
        if name is not None and name.casefold() == "status" and not _STATUS.fullmatch(plain):
            raise _bad(found[0], "A status is told by its digits, or by its class, such as 5xx.")
        yield Term(None if name is None else name.casefold(), plain)


def _bad(term: str, why: str) -> BadRequest:
    shown = term if len(term) <= _SHOWN_CHARACTERS else f"{term[:_SHOWN_CHARACTERS]}..."
    known = ", ".join(f"{name}:" for name in FIELDS)
    return BadRequest(f"'{shown}' is no filter. {why} Known are {known}.", code="invalid_filter", param="q")


def matches(query: Query, record: Record, ended: bool = True) -> bool:
    """Return whether ``record`` is among those that ``query`` asks for.

    Args:
        query: What is asked for.
        record: Of an exchange.
        ended: Whether it has; of one in progress nothing is known that ``ENDINGS`` tell.
    """
    unknown = _NOTHING if ended else ENDINGS
    return (
        (query.before is None or record.id < query.before)
        and (query.after is None or record.id > query.after)
        and (query.since_s is None or record.at_accept >= query.since_s)
        and (query.until_s is None or record.at_accept < query.until_s)
        and (query.failed is None or (ended and query.failed == (record.status >= FAILED_STATUS)))
        and (query.dialect is None or fold(query.dialect) == folded(record, "dialect"))
        and (query.outcome is None or (ended and fold(query.outcome) == folded(record, "outcome")))
        and all(_holds(record, term, unknown) for term in query.terms)
    )


def nearest(query: Query, found: Sequence[T], limit: int) -> list[T]:
    """Return a page of what was ``found``, newest first: the newest ``limit``, or those next to ``query.after``."""
    return list(found[:limit] if query.after is None else found[-limit:])


def between(query: Query) -> tuple[str | None, str | None]:
    """Return what the ids of all that matches lie between, neither included; None where they may lie anywhere."""
    since = None if query.since_s is None else first_of(query.since_s - SLACK_S)
    until = None if query.until_s is None else first_of(query.until_s + SLACK_S)
    low = max((id for id in (query.after, since) if id is not None), default=None)
    high = min((id for id in (query.before, until) if id is not None), default=None)
    return low, high


def edges(query: Query, ids: Sequence[str], searched: str | None) -> tuple[str | None, str | None]:
    """Return the ids behind which the page of newer and that of older records begin; None where nothing tells.

    Args:
        query: What the page answers.
        ids: What is on it, newest first.
        searched: As of ``Found``.
    """
    newest, oldest = (ids[0], ids[-1]) if ids else (searched, searched)
    if searched is None:
        return newest, oldest
    return (newest, searched) if query.after is None else (searched, oldest)


def look_through(query: Query, records: Iterable[Record], limit: int, most: int) -> Found:
    """Return up to ``limit`` of ``records`` that match, when ``most`` of them have been looked at.

    Args:
        query: What is asked for.
        records: Within ``before`` or ``after``, and in that direction: newest first, but oldest first for ``after``.
        limit: Records on a page.
        most: Records that are looked at, if there are so many.
    """
    found: list[Record] = []
    searched = None
    for number, record in enumerate(records):
        if number == most:
            break
        searched = record.id
        if matches(query, record):
            found.append(record)
            if len(found) == limit:
                searched = None
                break
    else:
        searched = None
    return Found(found if query.after is None else found[::-1], searched)


def _holds(record: Record, term: Term, unknown: frozenset[str]) -> bool:
    wanted = fold(term.text)
    for field in looked_at(term):
        if field in unknown:
            continue
        if field == "status":
            if is_status(record.status, wanted):
                return True
            continue
        value = folded(record, field)
        if value is not None and (value.startswith(wanted) if field in PREFIXES else wanted in value):
            return True
    return False


def is_status(status: int, wanted: str) -> bool:
    """Return whether a folded text means a status: some of its digits, or its class (``5xx``)."""
    text = str(status)
    return wanted in text or (len(text) == 3 and wanted == f"{text[0]}xx")


def looked_at(term: Term) -> tuple[str, ...]:
    """Return the fields of a ``Record`` that one term looks at."""
    return _ALL if term.field is None else FIELDS[term.field]


def folded(record: Record, field: str) -> str | None:
    """Return what a term is compared with in one field of a record; None when there is nothing."""
    value = getattr(record, field)
    return None if value is None else fold(str(value))


def fold(text: str) -> str:
    """Return ``text`` without its case, as every database can keep it: bounded, without NUL and half characters."""
    return _fold(text[:FOLDED_CHARACTERS])


@lru_cache(maxsize=4096)
def _fold(text: str) -> str:
    plain = text.casefold().replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return plain[:FOLDED_CHARACTERS]


_ALL = tuple(field for fields in FIELDS.values() for field in fields)
