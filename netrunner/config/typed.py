"""Reading a located mapping into a frozen dataclass, strictly, with every problem reported.

The dataclass is the schema: types, defaults and bounds come from its fields (``netrunner.settings.setting``).

This module must not know any setting, nor where the environment comes from.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from zope.interface import implementer

from netrunner.config import tree
from netrunner.config.forms import ALONE, FORMS, mended_url
from netrunner.config.interpolate import checked_secret, secret_from_environment, secret_from_file, structure
from netrunner.errors import ConfigurationError, Problem
from netrunner.interfaces import ISection
from netrunner.settings import Secret

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})
_NAMES = {
    str: "a string", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "nothing",
    Secret: "{env: NAME} or {file: PATH}",
}  # fmt: skip
_MISSING: Any = object()


@dataclass(slots=True)
class Surroundings:
    """What reading needs from outside the document, and what it has to say besides problems."""

    environ: Mapping[str, str] = field(repr=False)
    warnings: list[str]


@implementer(ISection)
class Section:
    """One mapping of the configuration."""

    def __init__(self, mapping: tree.Mapping, surroundings: Surroundings) -> None:
        self._mapping = mapping
        self._surroundings = surroundings
        self.where = mapping.where

    def __repr__(self) -> str:
        return f"<Section {self.where}>"

    def keys(self) -> list[str]:
        """Return the keys present."""
        return list(self._mapping.entries)

    def read(self, settings_class: type[T]) -> T:
        """Read the section into a frozen dataclass.

        Raises:
            ConfigurationError: with every unknown key, wrong type and value out of range.
        """
        return _Reader(self._surroundings).section(self._mapping, settings_class)

    def without(self, *keys: str) -> Section:
        """Return the section less some of its keys."""
        entries = {key: node for key, node in self._mapping.entries.items() if key not in keys}
        return Section(dataclasses.replace(self._mapping, entries=entries), self._surroundings)

    def only(self, *keys: str) -> Section:
        """Return the section with no keys but these."""
        return self.without(*(key for key in self.keys() if key not in keys))

    def at(self, *path: str | int) -> str:
        """Return ``file:line`` of what ``path`` leads to, or of the last thing on the way that exists."""
        node: tree.Node = self._mapping
        where = self.where
        for step in path:
            match node:
                case tree.Mapping() if step in node.entries:
                    where = node.key_where[str(step)]
                    node = node.entries[str(step)]
                case tree.Sequence() if isinstance(step, int) and step < len(node.items):
                    node = node.items[step]
                    where = node.where
                case _:
                    break
        return where


class _Wrong(Exception):
    """What is wrong with one value."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


@functools.cache
def hints(settings_class: Any) -> dict[str, Any]:
    """Return the types of a settings dataclass, resolved."""
    return get_type_hints(settings_class)


def key_of(field: dataclasses.Field[Any]) -> str:
    """Return what the configuration calls a setting."""
    key: str = field.metadata.get("key") or field.name
    return key


class _Reader:
    """Reads values; a problem is raised where it is met and collected where values stand side by side."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def section(self, mapping: tree.Mapping, settings_class: type[T]) -> T:
        try:
            return self._dataclass(mapping, settings_class)
        except _Wrong as wrong:
            raise ConfigurationError(wrong.problems) from None

    def _dataclass(self, mapping: tree.Mapping, settings_class: type[T]) -> T:
        fields = {key_of(each): each for each in dataclasses.fields(cast(Any, settings_class))}
        kinds = hints(cast(Any, settings_class))
        problems: list[Problem] = []
        values = {}
        for key, node in mapping.entries.items():
            if key in fields:
                name = fields[key].name
                try:
                    values[name] = self._value(kinds[name], node, fields[key].metadata, key)
                except _Wrong as wrong:
                    problems += wrong.problems
            else:
                problems.append(Problem(mapping.key_where[key], _unknown(key, fields)))
        for key, each in fields.items():
            if key not in mapping.entries:
                if each.default is dataclasses.MISSING:
                    problems.append(Problem(mapping.where, f"{key} is missing"))
                elif each.metadata.get("form") == "path" and isinstance(each.default, str):
                    values[each.name] = FORMS["path"](each.default)
        if problems:
            raise _Wrong(problems)
        return settings_class(**values)

    def _value(self, kind: Any, node: tree.Node, rules: Mapping[str, Any], name: str) -> Any:
        missing = _missing(node)
        if missing:
            raise _Wrong([missing])
        arms = _arms(kind)
        # A list that may stand alone may be written as one all the same.
        if isinstance(node, tree.Scalar) and (
            node.interpolated and (node.text.startswith('["') or not any(self._suits(arm, node, rules) for arm in arms))
        ):
            node = self._structure(node, arms, name)
        chosen = next((arm for arm in sorted(arms, key=_rank) if self._suits(arm, node, rules)), _MISSING)
        if chosen is _MISSING:
            _wrong(node, name, " or ".join(_described(arm) for arm in arms), secret=Secret in arms)
        origin = _origin(chosen)
        if chosen is Secret:
            return self._secret(node, name)
        if chosen is Section:
            return Section(cast(tree.Mapping, node), self._surroundings)
        if dataclasses.is_dataclass(chosen):
            return self._dataclass(cast(tree.Mapping, node), cast(type, chosen))
        if origin is tuple:
            items = node.items if isinstance(node, tree.Sequence) else (node,)
            return tuple(self._each(get_args(chosen)[0], ((name, item) for item in items), rules))
        if origin is dict:
            return self._dict(get_args(chosen)[1], cast(tree.Mapping, node), rules)
        return _checked(_scalar(chosen, cast(tree.Scalar, node)), cast(tree.Scalar, node), rules, name)

    def _structure(self, scalar: tree.Scalar, arms: Sequence[Any], name: str) -> tree.Node:
        """Return what a variable holds where a list or a mapping is expected: JSON, or nothing for an empty one."""
        takes_mapping, takes_list = any(map(_takes_mapping, arms)), any(_origin(arm) is tuple for arm in arms)
        if not (takes_mapping or takes_list):
            return scalar
        if not scalar.text.strip():
            return tree.Sequence(scalar.where, ()) if takes_list else tree.Mapping(scalar.where, {}, {})
        try:
            return structure(scalar)
        except ValueError as error:
            raise _Wrong(
                [Problem(scalar.where, f"{name}: expected JSON in the environment variable: {error}")]
            ) from None

    def _each(self, kind: Any, items: Iterable[tuple[str, tree.Node]], rules: Mapping[str, Any]) -> list[Any]:
        problems: list[Problem] = []
        values = []
        for name, item in items:
            try:
                values.append(self._value(kind, item, rules, name))
            except _Wrong as wrong:
                problems += wrong.problems
        if problems:
            raise _Wrong(problems)
        return values

    def _dict(self, kind: Any, mapping: tree.Mapping, rules: Mapping[str, Any]) -> dict[str, Any]:
        """The form of a mapping is that of its keys."""
        problems = []
        form = FORMS[rules["form"]] if rules.get("form") else str
        for key in mapping.entries:
            try:
                form(key)
            except ValueError as error:
                problems.append(Problem(mapping.key_where[key], f"key {key!r}: expected {error}"))
        try:
            values = self._each(kind, mapping.entries.items(), {})
        except _Wrong as wrong:
            problems += wrong.problems
        if problems:
            raise _Wrong(problems)
        return dict(zip(mapping.entries, values, strict=True))

    def _suits(self, kind: Any, node: tree.Node, rules: Mapping[str, Any]) -> bool:
        """Whether ``kind`` is meant by a node of this shape; its inside may still be wrong."""
        match node:
            case tree.Scalar():
                alone = _origin(kind) is tuple and rules.get("form") in ALONE and node.value() is not None
                return alone or _scalar(kind, node) is not _MISSING
            case tree.Sequence():
                return _origin(kind) is tuple
            case tree.Mapping():
                return _takes_mapping(kind)

    def _secret(self, node: tree.Node, name: str) -> Secret:
        try:
            if isinstance(node, tree.Scalar):
                if not node.interpolated:
                    advice = "is a literal secret; {env: NAME} or {file: PATH} keeps it out of this file"
                    self._surroundings.warnings.append(f"{node.where}: {name} {advice}")
                return checked_secret(node.text, name)
            reference = _plain(node)
            match reference:
                case {"env": str(variable)} if len(reference) == 1:
                    return secret_from_environment(variable, self._surroundings.environ)
                case {"file": str(path)} if len(reference) == 1:
                    return secret_from_file(FORMS["path"](path), self._surroundings.warnings)
        except ValueError as error:
            raise _Wrong([Problem(node.where, f"{name}: {error}")]) from None
        _wrong(node, name, _NAMES[Secret], secret=True)


def _origin(kind: Any) -> Any:
    """``get_origin``, whose overloads would make the checker believe in a ParamSpec."""
    return get_origin(kind)


def _arms(kind: Any) -> list[Any]:
    return list(get_args(kind)) if _origin(kind) in (Union, types.UnionType) else [kind]


def _rank(arm: Any) -> int:
    """Words come before what any text would fit, and open text before a secret that is written down."""
    if arm is types.NoneType:
        return 0
    if _origin(arm) is Literal:
        return 1
    return {str: 3, Secret: 4}.get(arm, 2)


def _takes_mapping(kind: Any) -> bool:
    return kind in (Secret, Section) or _origin(kind) is dict or dataclasses.is_dataclass(kind)


def _scalar(kind: Any, scalar: tree.Scalar) -> Any:
    """Return the value of a scalar as ``kind``, or ``_MISSING`` if it is none."""
    value = scalar.value()
    if _origin(kind) is Literal:
        return scalar.text if scalar.text in get_args(kind) else _MISSING
    if kind is str or kind is Secret:
        return scalar.text if scalar.interpolated or isinstance(value, str) else _MISSING
    if kind is types.NoneType:
        return None if value is None else _MISSING
    if kind is bool and scalar.interpolated and scalar.text.lower() in _TRUE | _FALSE:
        return scalar.text.lower() in _TRUE
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else _MISSING


def _checked(value: Any, scalar: tree.Scalar, rules: Mapping[str, Any], name: str) -> Any:
    """Return the value in its settled shape once bounds and form are met."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = rules.get("minimum"), rules.get("maximum")
        if not math.isfinite(value):
            _wrong(scalar, name, "a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            _wrong(scalar, name, _range(low, high))
    if isinstance(value, str) and rules.get("form"):
        try:
            if rules["form"] == "url" and scalar.interpolated:
                value = mended_url(value)
            return FORMS[rules["form"]](value)
        except ValueError as error:
            # A URL may carry a password, so it is not repeated.
            _wrong(scalar, name, str(error), secret=rules["form"] in ("proxy", "shared", "url"))
    return value


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"a number from {low} to {high}"


def _described(kind: Any) -> str:
    if _origin(kind) is Literal:
        return " or ".join(repr(choice) for choice in get_args(kind))
    if _origin(kind) is tuple:
        return "a list"
    return _NAMES.get(kind, "a mapping")


def _wrong(node: tree.Node, name: str, expected: str, *, secret: bool = False) -> NoReturn:
    match node:
        case tree.Scalar():
            value = node.value()
            shown = repr(value[:40]) if isinstance(value, str) else node.text[:40] or "nothing"
            got = "" if secret or node.interpolated else f", got {shown}"
        case tree.Sequence():
            got = ", got a list"
        case tree.Mapping():
            got = "" if secret else ", got a mapping"
    raise _Wrong([Problem(node.where, f"{name}: expected {expected}{got}")])


def _missing(node: tree.Node) -> Problem | None:
    """Return what a scalar, or the reference to a secret, lacks of the environment."""
    if isinstance(node, tree.Mapping) and node.entries.keys() <= {"env", "file"}:
        return next(filter(None, map(_missing, node.entries.values())), None)
    return node.problem if isinstance(node, tree.Scalar) else None


def _unknown(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    hint = f", did you mean {close[0]}?" if close else f"; known are {', '.join(known)}" if known else ""
    return f"unknown key {key[:64]!r}{hint}"


def _plain(node: tree.Node) -> Any:
    """Return the node as plain data."""
    match node:
        case tree.Scalar():
            return node.value()
        case tree.Sequence():
            return [_plain(item) for item in node.items]
        case tree.Mapping():
            return {key: _plain(value) for key, value in node.entries.items()}
