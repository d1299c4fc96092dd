"""A section of the configuration made from a dict, read as strictly as one from a file.

This module must not import anything of netrunner but ``interfaces``, ``settings`` and ``errors``.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from zope.interface import implementer

from netrunner.errors import ConfigurationError, Problem
from netrunner.interfaces import ISection
from netrunner.settings import Secret

T = TypeVar("T")


@implementer(ISection)
class FakeSection:
    """What a factory's ``parse`` is handed; nested mappings are dicts, a secret is a plain string."""

    def __init__(self, values: Mapping[str, Any], where: str = "test.yaml:1") -> None:
        self._values = dict(values)
        self.where = where

    def keys(self) -> list[str]:
        """Return the keys present."""
        return list(self._values)

    def read(self, settings_class: type[T]) -> T:
        """Read into a frozen dataclass; raises ``ConfigurationError`` with everything that is wrong."""
        problems: list[str] = []
        settings = _dataclass(settings_class, self._values, "", problems)
        if problems:
            raise ConfigurationError([Problem(self.where, problem) for problem in problems])
        return cast(T, settings)


def _dataclass(kind: Any, values: Mapping[str, Any], path: str, problems: list[str]) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    problems += [f"unknown key {path}{key}" for key in values if key not in fields]
    read = {}
    for name, field in fields.items():
        if name in values:
            read[name] = _value(hints[name], values[name], path + name, field.metadata, problems)
        elif field.default is dataclasses.MISSING:
            problems.append(f"{path}{name} is missing")
    return None if problems else kind(**read)


def _value(kind: Any, value: Any, path: str, rules: Mapping[str, Any], problems: list[str]) -> Any:
    for arm in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        if get_origin(arm) is Literal and value in get_args(arm):
            return value
    for arm in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        if arm is Secret and isinstance(value, str):
            return Secret(value)
        if dataclasses.is_dataclass(arm) and isinstance(value, Mapping):
            return _dataclass(arm, value, f"{path}.", problems)
        if get_origin(arm) is tuple and isinstance(value, list | tuple):
            items = enumerate(value)
            return tuple(_value(get_args(arm)[0], item, f"{path}[{i}]", rules, problems) for i, item in items)
        if get_origin(arm) is dict and isinstance(value, Mapping):
            kind_of_each = get_args(arm)[1]
            return {key: _value(kind_of_each, one, f"{path}.{key}", {}, problems) for key, one in value.items()}
        if arm is float and type(value) is int:
            value = float(value)
        if isinstance(arm, type) and type(value) is arm:
            return _checked(value, path, rules, problems)
    problems.append(f"{path}: a {type(value).__name__} is not what is expected")
    return None


def _checked(value: Any, path: str, rules: Mapping[str, Any], problems: list[str]) -> Any:
    """Check bounds; a ``form`` is checked by the real configuration only."""
    low, high = rules.get("minimum"), rules.get("maximum")
    if isinstance(value, int | float) and ((low is not None and value < low) or (high is not None and value > high)):
        problems.append(f"{path}: {value} is out of range")
    return value
