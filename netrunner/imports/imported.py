"""What becomes of another system's file: a configuration, secrets to keep apart from it, and what has no equivalent.

This module must not know any other system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netrunner.errors import NetrunnerError


class NotImportable(NetrunnerError):
    """A file that is not of the system it is said to be of; tells what was expected."""


@dataclass(slots=True)
class Imported:
    """A configuration in the making."""

    config: dict[str, Any]
    """As it is written to YAML."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """By the names of the environment variables that the configuration takes them from."""
    notes: list[str] = field(default_factory=list)
    """What has no equivalent here, or means something else, one sentence each."""

    def unknown(self, where: str, section: Mapping[str, Any], known: frozenset[str]) -> None:
        """Note every key that is not known."""
        self.notes += [f"{where}{key}: has no equivalent here and was left out" for key in section if key not in known]


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a mapping, or an empty one for nothing.

    Raises:
        NotImportable: for anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise NotImportable(f"{where}: expected a mapping")
    return value


def text(section: Mapping[str, Any], key: str, where: str) -> str:
    """Return a text that has to be there.

    Raises:
        NotImportable: if it is not.
    """
    value = section.get(key)
    if not isinstance(value, str) or not value.strip():
        raise NotImportable(f"{where}.{key}: expected a text that is not empty")
    return value.strip()


def number(section: Mapping[str, Any], key: str, where: str) -> int | float | None:
    """Return a number that is not negative, or None where there is none.

    Raises:
        NotImportable: for anything else.
    """
    value = section.get(key)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
        raise NotImportable(f"{where}.{key}: expected a number that is not negative")
    return value
