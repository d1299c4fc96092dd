"""What callers of the management operations ask for, and what they are told: documents, checked field by field.

This module must not look anything up.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from netrunner.errors import BadRequest
from netrunner.projects.terms import Terms, read, told
from netrunner.store.audit import Entry
from netrunner.store.projects import KeyRow, ProjectRow
from netrunner.store.tokens import TokenRow
from netrunner.times import stamp

MAX_LIFE_S = 365 * 86400.0
MAX_KEYS = 100
"""Of one project for one provider."""
MAX_CHOSEN = 1000
"""Tokens that are revoked together."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ProviderKey = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Keys = dict[str, ProviderKey | Annotated[list[ProviderKey], msgspec.Meta(max_length=MAX_KEYS)]]
Metadata = Annotated[
    dict[
        Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{1,64}$")],
        Annotated[str, msgspec.Meta(pattern="^[ -~]{0,256}$")],
    ],
    msgspec.Meta(max_length=16),
]
T = TypeVar("T")
_FIELD = re.compile(r"^\.(\w+)")
_NAMED = re.compile(r"field `(\w+)`")
"""Where what is wrong with a document names the field: where it stands, or that it is missing or not known."""


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A project to be made: its keys by provider, or one key where there is one provider that asks for it."""

    name: Name
    api_key: ProviderKey | None = None
    keys: Keys = {}
    is_active: bool = True
    limits: Terms = Terms()


class ProjectChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different about a project; keys of a provider take the place of those it had."""

    name: Name | UnsetType = UNSET
    api_key: ProviderKey | None = None
    keys: Keys = {}
    is_active: bool | UnsetType = UNSET
    revoke_tokens: bool = False
    limits: Terms | UnsetType = UNSET


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A token to be issued; how long it lives is told in hours or minutes."""

    project_id: str
    duration_hours: float | None = None
    duration_minutes: float | None = None
    max_requests: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """0: as many as one likes."""
    name: Name | None = None
    limits: Terms = Terms()
    metadata: Metadata = {}

    @property
    def life_s(self) -> float:
        """How long it lives.

        Raises:
            BadRequest: when that is not told, told twice, or too long.
        """
        life_s = _life_s(self.duration_hours, self.duration_minutes)
        if life_s is None:
            raise _two_lives()
        return life_s


class Refreshment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A token that is to be told anew, and how long it lives from then on."""

    duration_hours: float | None = None
    duration_minutes: float | None = None

    @property
    def life_s(self) -> float | None:
        """How long it lives; None for as long as before. Raises ``BadRequest`` as that of ``NewToken`` does."""
        return _life_s(self.duration_hours, self.duration_minutes)


class TokenChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different about a token."""

    name: Name | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    max_requests: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | UnsetType = UNSET
    limits: Terms | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class NamedToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that is to be revoked, as its holder has it."""

    token: str


class ChosenTokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens that are to be revoked together, by their ids."""

    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_CHOSEN)]


def parse(body: bytes, type: type[T]) -> T:
    """Return the document that ``body`` is.

    Raises:
        BadRequest: ``invalid_json`` or ``invalid_value``, naming the field and never quoting a value.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        named = _FIELD.search(where) or _NAMED.search(what)
        field = named[1] if named else None
        if field is not None and not where:
            what = "is required" if "missing" in what else "is not known here"
        raise BadRequest(f"{field}: {what}." if field else f"{what}.", code="invalid_value", param=field) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The body is not a JSON object.", code="invalid_json") from None


def _wrong(name: str, what: str) -> BadRequest:
    return BadRequest(f"{name}: {what}.", code="invalid_value", param=name)


def _two_lives() -> BadRequest:
    return _wrong("duration_hours", "either it or duration_minutes is required")


def _life_s(hours: float | None, minutes: float | None) -> float | None:
    """Return how long a token is to live; None if that is not told."""
    if hours is None and minutes is None:
        return None
    if hours is not None and minutes is not None:
        raise _two_lives()
    name, life_s = (
        ("duration_minutes", minutes * 60.0) if minutes is not None else ("duration_hours", (hours or 0.0) * 3600.0)
    )
    if not 0.0 < life_s <= MAX_LIFE_S:
        raise _wrong(name, "more than 0, and at most 365 days")
    return life_s


def check_terms(terms: Terms, of_token: bool, within: Terms | None = None) -> None:
    """See that terms make sense, and allow nothing that ``within`` does not.

    Raises:
        BadRequest: naming what does not.
    """
    if terms.wither is not None:
        if not of_token:
            raise _wrong("limits", "wither belongs to a token, a project does not")
        problem = terms.wither.problem()
        if problem is not None:
            raise _wrong("limits", f"wither: {problem}")
    for problem in terms.limits().contradictions():
        raise _wrong("limits", problem)
    beyond = None if within is None else terms.beyond(within)
    if beyond is not None:
        raise BadRequest(
            f"limits: {beyond} is more than the project itself has.", code="limits_exceeded", param="limits"
        )


def project_document(row: ProjectRow, keys: list[KeyRow], tokens: tuple[int, int]) -> dict[str, Any]:
    """Return what is told of a project; of its keys only what tells them apart."""
    shown: dict[str, list[str]] = {}
    for key in keys:
        shown.setdefault(key.provider, []).append(key.masked)
    first = next(iter(shown.values()), None)
    return {
        "id": row.id,
        "name": row.name,
        "is_active": row.active,
        "api_key": first[0] if first else None,
        "keys": shown,
        "limits": told(read(row.limits)),
        "tokens": {"total": tokens[0], "active": tokens[1]},
        "usage": {"tokens": row.tokens_used, "cost": round(row.cost_used, 9)},
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.changed_at),
    }


def token_document(row: TokenRow, now_s: float) -> dict[str, Any]:
    """Return what is told of a token at a Unix time; never the token itself."""
    state = "revoked" if not row.active else "expired" if row.expires_at <= now_s else "active"
    return {
        "id": row.id,
        "project_id": row.project,
        "token": row.masked,
        "name": row.name,
        "is_active": row.active,
        "state": state,
        "created_at": stamp(row.created_at),
        "expires_at": stamp(row.expires_at),
        "revoked_at": None if row.revoked_at is None else stamp(row.revoked_at),
        "max_requests": row.max_requests or 0,
        "request_count": row.request_count,
        "last_used_at": None if row.last_used_at is None else stamp(row.last_used_at),
        "limits": told(read(row.limits)),
        "metadata": msgspec.json.decode(row.metadata),
        "usage": {"tokens": row.tokens_used, "cost": round(row.cost_used, 9)},
    }


def entry_document(entry: Entry) -> dict[str, Any]:
    """Return what is told of one entry of the audit."""
    return {
        "id": entry.id,
        "timestamp": stamp(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "project_id": entry.project,
        "token_id": entry.token,
        "request_id": entry.request_id,
        "address": entry.address,
        "details": msgspec.json.decode(entry.details),
    }
