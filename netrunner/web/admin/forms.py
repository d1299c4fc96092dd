"""What the forms of the pages ask for, as documents of the management operations.

This module must not check what ``netrunner.projects.wanted`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from netrunner.errors import BadRequest
from netrunner.projects.wanted import NewProject, NewToken, ProjectChange, Refreshment, TokenChange, parse
from netrunner.web.admin.entrance import Fields

T = TypeVar("T")
LIMITS: Mapping[str, str] = {
    "requests_per_minute": "Requests a minute",
    "requests_per_hour": "Requests an hour",
    "requests_per_day": "Requests a day",
    "tokens_per_minute": "Tokens a minute",
    "tokens_per_day": "Tokens a day",
    "concurrency": "Requests at once",
    "max_tokens": "Tokens in all",
    "max_cost": "US dollars in all",
}
"""Names of limits, as people read them."""


def text(fields: Fields, name: str) -> str:
    """Return a field as it was typed, without spaces around it."""
    return fields.get(name, [""])[-1].strip()


def number(fields: Fields, name: str) -> float | int | None:
    """Return the number in a field; None when nothing was typed.

    Raises:
        BadRequest: ``invalid_value``, naming the field.
    """
    typed = text(fields, name)
    if not typed:
        return None
    try:
        value = float(typed)
    except ValueError as error:
        raise BadRequest(f"{name}: is a number.", code="invalid_value", param=name) from error
    return int(value) if value.is_integer() else value


def limits(fields: Fields, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the limits that were typed, with what no form shows of those ``before``."""
    kept = {name: value for name, value in (before or {}).items() if name not in LIMITS}
    typed: dict[str, Any] = {name: value for name in LIMITS if (value := number(fields, name)) is not None}
    if "models" in fields:
        typed["models"] = text(fields, "models").replace(",", " ").split()
    return {**kept, **typed}


def keys(fields: Fields, providers: Sequence[str]) -> dict[str, list[str]]:
    """Return the provider keys that were typed, one a line."""
    typed = {name: [line.strip() for line in text(fields, f"key:{name}").splitlines()] for name in providers}
    return {name: given for name, lines in typed.items() if (given := [line for line in lines if line])}


def metadata(fields: Fields) -> dict[str, str]:
    """Return the metadata that were typed, ``NAME: value`` a line.

    Raises:
        BadRequest: ``invalid_value``, when a line is none.
    """
    found = {}
    for line in text(fields, "metadata").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("metadata: each line is NAME: value.", code="invalid_value", param="metadata")
        found[name.strip()] = value.strip()
    return found


def as_lines(metadata: Mapping[str, str]) -> str:
    """Return metadata as they are typed."""
    return "\n".join(f"{name}: {value}" for name, value in metadata.items())


def new_project(fields: Fields, providers: Sequence[str]) -> NewProject:
    """Return the project that is to be made; it is active."""
    return _read({"name": text(fields, "name"), "keys": keys(fields, providers), "limits": limits(fields)}, NewProject)


def project_change(fields: Fields, providers: Sequence[str], before: Mapping[str, Any]) -> ProjectChange:
    """Return what is to be different about a project; its keys stay where none were typed."""
    document = {
        "name": text(fields, "name"),
        "is_active": "is_active" in fields,
        "keys": keys(fields, providers),
        "limits": limits(fields, before["limits"]),
    }
    return _read(document, ProjectChange)


def new_token(fields: Fields) -> NewToken:
    """Return the token that is to be issued."""
    wither = text(fields, "wither")
    document: dict[str, Any] = {
        "project_id": text(fields, "project_id"),
        "name": text(fields, "name") or None,
        "duration_hours": number(fields, "duration_hours"),
        "max_requests": number(fields, "max_requests") or 0,
        "limits": {**limits(fields), **({"wither": {"curve": wither}} if wither else {})},
        "metadata": metadata(fields),
    }
    return _read(document, NewToken)


def token_change(fields: Fields, before: Mapping[str, Any]) -> TokenChange:
    """Return what is to be different about a token; whether it is let in is no part of the form."""
    document = {
        "name": text(fields, "name") or None,
        "max_requests": number(fields, "max_requests") or 0,
        "limits": limits(fields, before["limits"]),
        "metadata": metadata(fields) if "metadata" in fields else before["metadata"],
    }
    return _read(document, TokenChange)


def refreshment(fields: Fields) -> Refreshment:
    """Return how a token is to be told anew."""
    return _read({"duration_hours": number(fields, "duration_hours")}, Refreshment)


def _read(document: dict[str, Any], kind: type[T]) -> T:
    return parse(msgspec.json.encode(document), kind)
