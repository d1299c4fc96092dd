"""Gemini's older schemas, a subset of OpenAPI 3.0, as JSON schemas.

Types come in upper case, ``nullable`` stands for a type of its own, and counts are texts, since their type is int64.
Whatever is no part of that subset is left as it is: callers write JSON schema there as well.

This module must not judge what a schema demands.
"""

from __future__ import annotations

from typing import Any

from netrunner.dialects.fields import invalid
from netrunner.dialects.gemini.spelling import camel

_DEPTH = 64
_NAMES = {"defs": "$defs", "ref": "$ref"}
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_KNOWN = frozenset({"anyOf", "additionalProperties", "propertyOrdering", *_COUNTS})


def json_schema(schema: Any, name: str, depth: int = _DEPTH) -> dict[str, Any]:
    """Return ``schema`` as a JSON schema.

    Args:
        schema: As the caller wrote it.
        name: The full name of the field it stands in.
        depth: How many schemas it may still hold one in another.

    Raises:
        BadRequest: naming the field that is malformed.
    """
    if not isinstance(schema, dict):
        raise invalid(name, "an object")
    if not depth:
        raise invalid(name, f"nested at most {_DEPTH} deep")
    written: dict[str, Any] = {}
    nullable = False
    for spelled, value in schema.items():
        field, key = f"{name}.{spelled}", _name(spelled)
        if value is None or key == "propertyOrdering" or (key == "format" and value == "enum"):
            continue
        if key == "nullable":
            nullable = value is True
        elif key == "type":
            kind = _type(value, field)
            written.update({} if kind is None else {key: kind})
        elif key in ("properties", "$defs"):
            if not isinstance(value, dict):
                raise invalid(field, "an object")
            written[key] = {one: json_schema(inner, f"{field}.{one}", depth - 1) for one, inner in value.items()}
        elif key == "items" or (key == "additionalProperties" and not isinstance(value, bool)):
            written[key] = json_schema(value, field, depth - 1)
        elif key == "anyOf":
            if not isinstance(value, list):
                raise invalid(field, "a list")
            written[key] = [json_schema(inner, f"{field}[{at}]", depth - 1) for at, inner in enumerate(value)]
        elif key in _COUNTS:
            written[key] = _count(value, field)
        elif key == "example":
            written["examples"] = [value]
        else:
            written[key] = value
    return _nullable(written) if nullable else written


def _name(key: str) -> str:
    told = camel(key)
    return told if told in _KNOWN else _NAMES.get(key, key)


def _type(value: Any, name: str) -> str | list[Any] | None:
    if isinstance(value, list):  # JSON schema already
        return value
    if not isinstance(value, str):
        raise invalid(name, "a string")
    return None if value == "TYPE_UNSPECIFIED" else value.lower()


def _count(value: Any, name: str) -> int:
    try:
        return int(value)
    except (ValueError, TypeError, OverflowError):
        raise invalid(name, "an integer") from None


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list):
            schema["enum"] = [*schema["enum"], None]
    elif "anyOf" in schema:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema
