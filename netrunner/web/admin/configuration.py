"""The configuration in force, as it may be shown: its secrets masked.

This module must not reveal a secret.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import yaml

from netrunner.journal.masking import mask_query
from netrunner.settings import Secret

MASK = "***"
_USER_OF_A_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY_OF_A_URL = re.compile(r"(?<=\?)[^#\s]+")
_LEFT_OUT = frozenset({"environment", "factory"})
"""Fields that are no part of what was written."""
_NAMED = re.compile(r"(?i)(key|token|secret|password|authorization|cookie)$")
"""Names of what a plugin of somebody else may keep as plain text."""


def text(settings: Any) -> str:
    """Return settings as YAML, every secret masked."""
    written: str = yaml.safe_dump(shown(settings), sort_keys=False, allow_unicode=True, width=110)
    return written


def shown(value: Any, name: str = "") -> Any:
    """Return a value in terms of YAML, every secret masked.

    Args:
        value: A dataclass, or what stands in one.
        name: The field it stands in.
    """
    if isinstance(value, Secret):
        return MASK
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.name not in _LEFT_OUT]
        return {field: shown(getattr(value, field), field) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): shown(one, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shown(one, name) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    words = _USER_OF_A_URL.sub(MASK, str(value))
    if "://" in words:
        words = _QUERY_OF_A_URL.sub(lambda found: mask_query(found[0].encode()).decode(), words)
    return MASK if _NAMED.search(name) and words not in ("passthrough", "project") else words
