"""An Ollama request in neutral terms, for request filters.

This module must not make a request for a model to be loaded into one for an answer.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw
from zope.interface import implementer

from netrunner.dialects.interfaces import IRequestView
from netrunner.dialects.ollama.reading import OPTIONS, ROLES
from netrunner.dialects.openai.view import OpenAIView
from netrunner.dialects.shape import Shape
from netrunner.errors import BadRequest
from netrunner.values import Message

PARAMS = {**{name: f"options.{option}" for name, option in OPTIONS.items()}, "reasoning_effort": "think"}
"""Neutral names, and the fields that mean them."""
_MEANINGS = {option: name for name, option in OPTIONS.items()}
_NOWHERE = frozenset({"n"})
"""Neutral names that have no field here; to remove one is no change."""
_NOT_EXTRA = frozenset({"model", "stream", "messages", "prompt"})

_options = msgspec.json.Decoder(dict[str, Raw])


@implementer(IRequestView)
class OllamaView(OpenAIView):
    """A request body as request filters see it; sampling parameters are in its ``options``."""

    __slots__ = ()

    shape = Shape(
        frozenset(ROLES),
        instead=frozenset({"tool_calls", "images", "thinking"}),
        loads=True,
        boundless=frozenset({-1, -2}),
    )
    meanings = {"think": "reasoning_effort"}
    not_extra = _NOT_EXTRA

    def messages(self) -> tuple[Message, ...]:
        """Return the turns; a completion's prompt is one user turn, after its system text."""
        fields = self._document()
        system = self._decode("system") if "system" in fields and "messages" not in fields else None
        return (*((Message("system", system, system),) if isinstance(system, str) else ()), *super().messages())

    def append_system(self, text: str) -> None:
        """Add an instruction after everything else: a last system message, or words after the prompt.

        What has no prompt asks for a model to be loaded, and stays as it is.
        """
        fields = self._document()
        if any(field in fields and self._decode(field) for field in ("messages", "prompt")):
            super().append_system(text)

    def params(self) -> Mapping[str, Any]:
        """Return the sampling parameters present, under their neutral names."""
        self._options()
        options = (self._decode("options") if "options" in self._document() else None) or {}
        found = {name: options[option] for name, option in OPTIONS.items() if option in options}
        if "think" in self._document():
            found["reasoning_effort"] = self._decode("think")
        return found

    def set_param(self, name: str, value: Any) -> None:
        """Set a parameter by its neutral name; None removes it.

        Raises:
            KeyError: for a name that has no field here.
        """
        if name in _NOWHERE and value is None:
            return
        if name not in OPTIONS:
            self._put(PARAMS[name], value)
            return
        options = self._options()
        if value is None:
            if options.pop(OPTIONS[name], None) is not None:
                self._put("options", options)
        else:
            options[OPTIONS[name]] = Raw(msgspec.json.encode(value))
            self._put("options", options)

    def extras(self) -> Mapping[str, Any]:
        """Return every other field, read-only."""
        return types.MappingProxyType({key: self._decode(key) for key in self._document() if key not in _NOT_EXTRA})

    def fields(self) -> Mapping[str, str | None]:
        """Return the names of all parameters and extras, those of ``options`` one by one."""
        found = dict(super().fields())
        name = self._spellings().get("options")
        if name is not None:
            del found[name]
            found.update({f"{name}.{option}": _MEANINGS.get(option) for option in self._options(name)})
        return found

    def value(self, name: str) -> Any:
        """Return the value of a field, or of one of ``options``."""
        field, _, option = name.partition(".")
        return self._decode(name) if name in self._document() else msgspec.json.decode(self._options(field)[option])

    def _options(self, field: str = "options") -> dict[str, Raw]:
        found = self._document().get(field)
        if found is None or bytes(found) == b"null":
            return {}
        try:
            return _options.decode(found)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest("options: must be an object.", code="invalid_value", param="options") from error

    def _put(self, field: str, value: Any) -> None:
        if value is not None:
            self._set(field, value)
        elif self._document().pop(field, None) is not None:
            self._changed = True
