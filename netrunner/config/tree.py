"""A YAML document as a located tree: every mapping, sequence, key and scalar knows its file and line.

Scalars keep their text and are typed by the YAML 1.2 core schema when a setting asks for them, so that `on`,
`yes`, `010` and `12:30:00` are no surprises. Built from parser events, so depth and aliases are bounded
before anything is built.

This module must not know any setting, and must not read files or the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

from netrunner.errors import ConfigurationError, Problem

MAX_BYTES = 1048576
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Nodes of a document, those behind an alias counted each time it is used."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_CORE_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_CORE_TAG + name for name in ("str", "int", "float", "bool", "null")) | {"!"}
_TEXT_TAGS = frozenset({_CORE_TAG + "str", "!"})

Plain: TypeAlias = "bool | int | float | str | None"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar; ``plain`` tells whether it stood there without quotes."""

    where: str
    text: str = field(repr=False)
    plain: bool
    interpolated: bool = False
    """Whether part of ``text`` came from the environment: its type is then free, and it is never quoted."""
    problem: Problem | None = None
    """What kept ``text`` from being completed; whoever asks for the value is told."""

    def value(self) -> Plain:
        """Return the value by the YAML 1.2 core schema (section 10.3.2); text that fits nothing is a string."""
        text = self.text
        if not (self.plain or self.interpolated):
            return text
        if text in _NULL:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        return float(text) if _FLOAT.fullmatch(text) else text


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    where: str
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Nodes by key; ``key_where`` tells where each key stands."""

    where: str
    entries: dict[str, Node]
    key_where: dict[str, str]


Node: TypeAlias = "Scalar | Sequence | Mapping"


def parse(text: bytes | str, name: str) -> Mapping:
    """Return the tree of a document, an empty one being an empty mapping.

    Args:
        text: The document; UTF-8.
        name: What to call it in ``where``, usually its path.

    Raises:
        ConfigurationError: for bad syntax, duplicate keys, tags, too much of anything.
    """
    if len(text) > MAX_BYTES:
        raise ConfigurationError([Problem(name, f"is larger than {MAX_BYTES} bytes")])
    return _Builder(name).build(_decode(text, name) if isinstance(text, bytes) else text)


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(f"{name}:{line}", "is not UTF-8")]) from None


class _Builder:
    """Builds one tree; problems that leave the structure intact are collected."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._problems: list[Problem] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0
        self._events: Iterator[yaml.Event] = iter(())

    def build(self, text: str) -> Mapping:
        try:
            self._events = iter(yaml.parse(text, Loader=yaml.SafeLoader))
            root = self._document()
        except yaml.reader.ReaderError as error:
            where = f"{self._name}:{text.count(chr(10), 0, error.position) + 1}"
            self._fail(where, "a character that YAML does not allow")
        except yaml.MarkedYAMLError as error:
            self._fail(
                self._where(error.problem_mark or error.context_mark), f"not YAML: {error.problem or error.context}"
            )
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets escapes beyond Unicode and absurd version numbers through to chr() and int().
            self._fail(self._name, f"not YAML: {type(error).__name__}")
        if self._problems:
            raise ConfigurationError(self._problems)
        return root

    def _document(self) -> Mapping:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self._fail(self._where(event.start_mark), "only one document is expected")
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, 1)
        if root is None or (isinstance(root, Scalar) and root.value() is None):
            return Mapping(f"{self._name}:1", {}, {})
        if not isinstance(root, Mapping):
            self._fail(root.where, "expected a mapping of settings")
        return root

    def _node(self, event: yaml.NodeEvent, depth: int) -> Node:
        where = self._where(event.start_mark)
        if depth > MAX_DEPTH:
            self._fail(where, f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, where)
        before = self._count
        self._counted(1, where)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, where)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._tag(event.tag, where, {_CORE_TAG + "seq", "!"})
            node = Sequence(where, tuple(self._children(depth)))
        else:
            assert isinstance(event, yaml.MappingStartEvent)
            self._tag(event.tag, where, {_CORE_TAG + "map", "!"})
            node = self._mapping(where, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _alias(self, anchor: str | None, where: str) -> Node:
        if anchor is None or anchor not in self._anchors:
            self._fail(where, f"alias *{anchor} refers to nothing before it, or to itself")
        node, size = self._anchors[anchor]
        self._counted(size, where)
        return node

    def _counted(self, size: int, where: str) -> None:
        self._count += size
        if self._count > MAX_NODES:
            self._fail(where, f"more than {MAX_NODES} values, aliases counted each time")

    def _scalar(self, event: yaml.ScalarEvent, where: str) -> Scalar:
        self._tag(event.tag, where, _SCALAR_TAGS)
        if not event.value.isascii() and any("\ud800" <= character <= "\udfff" for character in event.value):
            self._problem(where, "half of a surrogate pair is no text")
        plain = event.style is None and event.tag is None
        if event.tag is not None:
            plain = event.tag not in _TEXT_TAGS
        return Scalar(where, event.value, plain)

    def _children(self, depth: int) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            assert isinstance(event, yaml.NodeEvent)
            yield self._node(event, depth + 1)

    def _mapping(self, where: str, depth: int) -> Mapping:
        entries: dict[str, Node] = {}
        lines: dict[str, str] = {}
        children = self._children(depth)
        for key in children:
            value = next(children)
            if not isinstance(key, Scalar):
                self._problem(key.where, "a key has to be a plain word")
            elif key.text in entries:
                self._problem(key.where, f"duplicate key {key.text!r}, first at {lines[key.text]}")
            else:
                entries[key.text] = value
                lines[key.text] = key.where
        return Mapping(where, entries, lines)

    def _tag(self, tag: str | None, where: str, allowed: frozenset[str] | set[str]) -> None:
        if tag is not None and tag not in allowed:
            self._problem(where, f"tag {tag!r} is not allowed here")

    def _where(self, mark: Any) -> str:
        return self._name if mark is None else f"{self._name}:{mark.line + 1}"

    def _problem(self, where: str, message: str) -> None:
        self._problems.append(Problem(where, message))

    def _fail(self, where: str, message: str) -> NoReturn:
        self._problem(where, message)
        raise ConfigurationError(self._problems)
