"""The rows of the tables in docs/config.md, made from the settings themselves."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from netrunner.config.typed import hints, key_of


def rows(settings: Any, prefix: str = "") -> Iterator[str]:
    """Yield one table row for every setting of a dataclass, those of nested ones included."""
    for field in dataclasses.fields(settings):
        kind = hints(settings)[field.name]
        nested = kind if dataclasses.is_dataclass(kind) else None
        items = [arm for arm in get_args(kind) if dataclasses.is_dataclass(arm)]
        name = f"{prefix}{key_of(field)}"
        if nested:
            yield from rows(nested, f"{name}.")
            continue
        yield f"| `{name}` | {_default(field.default)} | {field.metadata['doc']} |"
        for item in items:
            yield from rows(item, f"{name}[]." if get_origin(kind) is tuple else f"{name}.")


def _default(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, float):
        value = int(value) if value == int(value) else value
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
