"""What would become of a request, and why: the same names, pools and limits that serve it, asked without serving it.

What only a running process knows is as at its start: no target is failing, none was asked before, no limit is used.

This module must not call anyone.
"""

from __future__ import annotations

import dataclasses
import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from netrunner.claims import Claim
from netrunner.config.naming import names_of
from netrunner.config.pooling import claims_of, pools_of, table_of, unbroken
from netrunner.config.settings import Settings
from netrunner.dialects.spoken import SPOKEN
from netrunner.errors import BadRequest, ExchangeError, Forbidden, TooLarge, Unauthenticated
from netrunner.routing.names import ALIAS_PROVIDER, Meaning, Step
from netrunner.routing.patterns import MAX_NAME_CHARACTERS
from netrunner.routing.route import route
from netrunner.routing.table import Candidate
from netrunner.routing.targets import Targets
from netrunner.settings import Limits
from netrunner.values import Alias

_SPOKEN_BELOW_V1 = ("openai", "responses", "anthropic")
_OF_PROVIDERS = ("min_gap_s", "max_at_once")
"""Settings of providers that limit calls."""


class Question(msgspec.Struct, frozen=True):
    """A request, as far as it decides who serves it."""

    model: str | None = None
    source: str = "127.0.0.1"
    """The caller's address."""
    path: str = "/v1/chat/completions"
    bytes: int = 0
    """Of the body."""
    token: str | None = None
    """The caller's credential; None leaves that out."""


class Asked(msgspec.Struct, frozen=True):
    """A candidate that would be asked, if those before it fail."""

    provider: str
    model: str
    priority: int
    weight: float
    address: str | None
    """Of an alias."""


class PassedOver(msgspec.Struct, frozen=True):
    """A candidate that would not be asked."""

    provider: str
    model: str
    why: str


class Counted(msgspec.Struct, frozen=True):
    """Whom the request would be counted for, and what they may have."""

    scope: str
    subject: str
    limits: dict[str, Any]


class Refused(msgspec.Struct, frozen=True):
    """What would be answered instead."""

    status: int
    code: str
    message: str


class Explanation(msgspec.Struct):
    """What would become of a request."""

    question: Question
    steps: tuple[Step, ...] = ()
    pool: str | None = None
    """The configured name whose targets are chosen among."""
    strategy: str | None = None
    breaker: bool | None = None
    """Whether targets that fail are left alone; None of a name that is not configured."""
    asked: list[Asked] = []
    passed_over: list[PassedOver] = []
    filters: list[str] = []
    limits: list[Counted] = []
    refused: Refused | None = None


def explain(settings: Settings, aliases: Mapping[str, Alias], question: Question) -> Explanation:
    """Return what would become of a request in a process that has just started.

    Args:
        settings: Of the configuration.
        aliases: Those that are registered.
        question: The request.
    """
    told = Explanation(msgspec.structs.replace(question, token=None if question.token is None else "***"))
    told.filters = [plugin.name for plugin in settings.filters]
    if settings.access.mode != "open":
        told.filters.insert(0, f"access.mode {settings.access.mode}")
    for step in (_admit, partial(_choose, aliases=aliases, told=told)):
        try:
            step(settings, question)
        except ExchangeError as error:
            told.refused = told.refused or Refused(error.status, error.code, error.message)
    if told.refused is not None:
        told.asked = []
    return told


def _admit(settings: Settings, question: Question) -> None:
    """Refuse what is refused before anybody looks at its model."""
    access, most = settings.access, settings.server.max_body_bytes
    if access.mode == "open" and not access.public and not _is_loopback(question.source):
        raise Forbidden("Without credentials only local requests are served.", code="not_local")
    token = access.token if access.mode == "token" and question.token is not None else None
    if token is not None and not hmac.compare_digest((question.token or "").encode(), token.reveal().encode()):
        raise Unauthenticated("The credential is not valid.")
    if question.bytes > most:
        raise TooLarge(f"The body is larger than {most} bytes.")
    if question.model is not None and len(question.model) > MAX_NAME_CHARACTERS:
        raise BadRequest(f"model: longer than {MAX_NAME_CHARACTERS} characters.", code="invalid_value", param="model")


def _is_loopback(source: str) -> bool:
    try:
        return ipaddress.ip_address(source).is_loopback
    except ValueError:
        return source == "unix"


def _choose(settings: Settings, question: Question, aliases: Mapping[str, Alias], told: Explanation) -> None:
    """Follow the request to those who would be asked; what was found out by the time it is refused has been told."""
    names, table = names_of(settings, aliases), table_of(settings)
    endpoint = question.path.removeprefix("/v1").strip("/")
    needs_model = any(endpoint in SPOKEN[dialect].needs_model for dialect in _SPOKEN_BELOW_V1)
    source, path = question.source, question.path.encode()
    meaning, candidates = route(names, table, question.model, source, path, needs_model)
    told.steps, told.pool = meaning.steps, meaning.pool
    told.limits = [*_of_filters(settings), *_of_model(settings, meaning)]
    pool = pools_of(settings, table, Targets()).get(meaning.pool or "")
    if pool is not None:
        told.strategy = next((one.strategy for one in settings.models if one.name == meaning.pool), "priority")
    if meaning.pool is not None:
        told.breaker = meaning.pool not in unbroken(settings, table)
    told.passed_over = [
        PassedOver(one.provider, one.model, why) for one in candidates if (why := _unfit(one, question))
    ]
    order = candidates if pool is None else pool.order(0.0, question.bytes)
    late = [one for one in candidates if one not in order and not _unfit(one, question)]
    told.passed_over += [PassedOver(one.provider, one.model, f"{len(order)} others come first") for one in late]
    told.asked = [_asked(one, aliases) for one in order]
    for counted in (counted for one in order for counted in _of_candidate(settings, one)):
        if counted not in told.limits:
            told.limits.append(counted)


def _unfit(candidate: Candidate, question: Question) -> str | None:
    """Return why a candidate does not take a request of that size; None if it does."""
    most = candidate.max_request_bytes
    return None if most is None or question.bytes <= most else f"takes at most {most} bytes"


def _asked(candidate: Candidate, aliases: Mapping[str, Alias]) -> Asked:
    alias = aliases.get(candidate.provider.removeprefix(ALIAS_PROVIDER)) if ":" in candidate.provider else None
    address = None if alias is None else alias.api_url
    return Asked(candidate.provider, candidate.model, candidate.priority, candidate.weight, address)


# Limits.


def _of_filters(settings: Settings) -> Iterator[Counted]:
    for plugin in settings.filters:
        if isinstance(plugin.settings, Limits):
            yield Counted(plugin.name, getattr(plugin.settings, "per", "global"), _said(plugin.settings))


def _of_model(settings: Settings, meaning: Meaning) -> Iterator[Counted]:
    claim = claims_of(settings).get(meaning.pool or "")
    if claim is not None:
        yield _counted(claim)


def _of_candidate(settings: Settings, candidate: Candidate) -> Iterator[Counted]:
    yield from map(_counted, candidate.claims)
    own = next((one.settings for one in settings.providers if one.name == candidate.provider), None)
    said = {name: value for name in _OF_PROVIDERS if (value := getattr(own, name, None))}
    if said:
        yield Counted("provider", candidate.provider, said)


def _counted(claim: Claim) -> Counted:
    return Counted(claim.scope, claim.subject, _said(claim.limits))


def _said(limits: Limits) -> dict[str, Any]:
    """Return the limits that are set."""
    said = {field.name: getattr(limits, field.name) for field in dataclasses.fields(Limits)}
    return {name: value for name, value in said.items() if value not in (None, ())}
