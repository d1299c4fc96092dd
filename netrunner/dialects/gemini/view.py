"""A Gemini request in neutral terms, for request filters.

Nothing is decoded before it is asked for. A change is kept as a patch: top-level fields that nobody touched keep their
bytes. Callers may have written snake_case; fields that are changed keep the spelling they have.

This module must not judge what is asked; a document it cannot change is refused, one it need not is left alone.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw
from zope.interface import implementer

from netrunner.dialects.gemini.spelling import camel
from netrunner.dialects.interfaces import IRequestView
from netrunner.dialects.shape import Shape
from netrunner.errors import BadRequest
from netrunner.values import Message

PARAMS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Neutral names, and the fields of ``generationConfig`` that mean them."""
_EFFORT = "reasoning_effort"
_SYSTEM, _CONFIG = "systemInstruction", "generationConfig"
_MEANINGS = {field: name for name, field in PARAMS.items()}
_NOT_EXTRA = frozenset({"model", "contents", _SYSTEM})
_ROLES = {"model": "assistant", "function": "tool"}

_fields = msgspec.json.Decoder(dict[str, Raw])


@implementer(IRequestView)
class GeminiView:
    """A request body as request filters see it.

    Args:
        body: The bytes as they came; empty for a request that has none, which refuses changes.
    """

    __slots__ = ("_body", "_changed", "_document", "_names")

    shape = Shape(frozenset({"user", "model", "function"}), content="parts", forms=(list,), default_role="user")
    opaque = False

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._changed = False
        self._document: dict[str, Raw] | None = None
        self._names: dict[str, str] = {}
        """How the caller spells a field."""

    def messages(self) -> tuple[Message, ...]:
        """Return the instructions and the turns."""
        found = []
        system = self._decoded(_SYSTEM)
        if system is not None:
            found.append(
                _message({"role": "system", "parts": [{"text": system}]} if isinstance(system, str) else system)
            )
            found[0] = msgspec.structs.replace(found[0], role="system")
        contents = self._decoded("contents") or ()
        if not isinstance(contents, (list, tuple)):
            raise _must_be("contents", "a list")
        return (*found, *(_message(content) for content in contents))

    def append_system(self, text: str) -> None:
        """Add an instruction after those that are there; a request without turns stays as it is."""
        if "contents" not in self._fields():
            return
        system = self._decoded(_SYSTEM)
        if isinstance(system, str):
            system = {"parts": [{"text": system}]}
        if system is None:
            system = {}
        parts = system.get("parts", []) if isinstance(system, dict) else None
        if not isinstance(parts, list):
            raise _must_be(_SYSTEM, "a content")
        self._set(_SYSTEM, {**system, "parts": [*parts, {"text": text}]})

    def params(self) -> Mapping[str, Any]:
        """Return the sampling parameters present, under their neutral names."""
        config = self._config()
        told = {camel(key): value for key, value in config.items()}
        found = {name: told[field] for name, field in PARAMS.items() if field in told}
        level = _thinking(told).get("thinkingLevel")
        return {**found, _EFFORT: level.lower()} if isinstance(level, str) else found

    def set_param(self, name: str, value: Any) -> None:
        """Set a parameter by its neutral name; None removes it.

        Raises:
            KeyError: for a name that is none of ``PARAMS`` nor ``reasoning_effort``.
        """
        config = self._config()
        spelled = {camel(key): key for key in config}
        if name == _EFFORT:
            field = spelled.get("thinkingConfig", "thinkingConfig")
            thinking = _thinking({"thinkingConfig": config.get(field)})
            thinking.pop("thinkingLevel", None)
            thinking.pop("thinkingBudget", None)
            value = thinking if value is None else {**thinking, "thinkingLevel": str(value).upper()}
        else:
            field = spelled.get(PARAMS[name], PARAMS[name])
            if name == "stop" and isinstance(value, str):
                value = [value]
        if value is None or value == {}:
            if config.pop(field, None) is None:
                return
        else:
            config[field] = value
        self._set(_CONFIG, config)

    def extras(self) -> Mapping[str, Any]:
        """Return every other field, read-only; of ``generationConfig`` what is no parameter."""
        found = {key: self._decoded(key) for key in self._fields() if key not in _NOT_EXTRA and key != _CONFIG}
        known = set(PARAMS.values())
        further = {key: value for key, value in self._config().items() if camel(key) not in known}
        if further:
            found[_CONFIG] = further
        return types.MappingProxyType(found)

    def turns(self) -> tuple[str, Any] | None:
        """Return the field in which the turns stand, and its value as it came."""
        return ("contents", self._decoded("contents")) if "contents" in self._fields() else None

    def fields(self) -> Mapping[str, str | None]:
        """Return the names of all parameters and extras, those of ``generationConfig`` one by one, in camelCase."""
        extras = dict.fromkeys(name for name in self._fields() if name not in _NOT_EXTRA and name != _CONFIG)
        return {**extras, **{f"{_CONFIG}.{name}": _MEANINGS.get(name) for name in _names(self._config())}}

    def value(self, name: str) -> Any:
        """Return the value of a field, or of one of ``generationConfig``."""
        field, _, inner = name.partition(".")
        if inner and field == _CONFIG:
            config = self._config()
            return config[_names(config)[inner]]
        return self._decoded(name)

    def changed(self) -> bool:
        """Return whether anything was changed."""
        return self._changed

    def body(self) -> bytes:
        """Return the document with the changes applied; the very bytes that came when there are none."""
        if not self._changed:
            return self._body
        return msgspec.json.encode({self._names[name]: value for name, value in self._fields().items()})

    def _fields(self) -> dict[str, Raw]:
        if self._document is None:
            try:
                found = _fields.decode(self._body) if self._body else {}
            except (msgspec.DecodeError, RecursionError) as error:
                raise BadRequest("The body is not a JSON object.", code="invalid_json") from error
            self._names = _names(found)
            self._document = {name: found[key] for name, key in self._names.items()}
        return self._document

    def _decoded(self, field: str) -> Any:
        raw = self._fields().get(field)
        try:
            return None if raw is None else msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"{field} cannot be read.", code="invalid_value", param=field) from error

    def _config(self) -> dict[str, Any]:
        config = self._decoded(_CONFIG)
        if config is not None and not isinstance(config, dict):
            raise _must_be(_CONFIG, "an object")
        return config or {}

    def _set(self, field: str, value: Any) -> None:
        if not self._body:
            raise BadRequest(f"{field} cannot be set in a request without a body.", code="invalid_value", param=field)
        self._names.setdefault(field, field)
        self._fields()[field] = Raw(msgspec.json.encode(value))
        self._changed = True


def _names(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys as the caller spells them, by their names in camelCase.

    Raises:
        BadRequest: ``duplicate_key`` for one that is there in both spellings.
    """
    names = {camel(key): key for key in found}
    if len(names) != len(found):
        name = next(camel(key) for key in found if names[camel(key)] != key)
        raise BadRequest(f"{name} is given more than once.", code="duplicate_key", param=name)
    return names


def _thinking(config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of ``thinkingConfig``, its keys in camelCase."""
    found = config.get("thinkingConfig")
    return {camel(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _message(content: Any) -> Message:
    if not isinstance(content, dict):
        raise _must_be("contents", "a list of objects")
    parts = content.get("parts")
    shown = (
        [part for part in parts if isinstance(part, dict) and not part.get("thought")]
        if isinstance(parts, list)
        else []
    )
    texts = [part.get("text") for part in shown]
    role = str(content.get("role") or "user")
    return Message(_ROLES.get(role, role), "".join(text for text in texts if isinstance(text, str)), content)


def _must_be(field: str, what: str) -> BadRequest:
    return BadRequest(f"{field} must be {what}.", code="invalid_value", param=field)
