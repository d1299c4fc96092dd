"""An Anthropic request in neutral terms, for request filters.

This module must not judge what is asked; a document it cannot change is refused.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from zope.interface import implementer

from netrunner.dialects.interfaces import IRequestView
from netrunner.dialects.openai.view import OpenAIView
from netrunner.dialects.shape import Shape
from netrunner.errors import BadRequest
from netrunner.values import Message

PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
}
"""Neutral names, and the fields that mean them; ``reasoning_effort`` is one of ``output_config``."""

_NOT_EXTRA = frozenset({"model", "stream", "messages", "system", *PARAMS.values()})


@implementer(IRequestView)
class AnthropicView(OpenAIView):
    """A request body as request filters see it; its ``system`` is the first turn.

    Args:
        body: The bytes as they came.
    """

    __slots__ = ()

    shape = Shape(frozenset({"user", "assistant", "system"}))
    meanings = {field: name for name, field in PARAMS.items()}
    not_extra = _NOT_EXTRA

    def __init__(self, body: bytes) -> None:
        super().__init__(body, True)

    def messages(self) -> tuple[Message, ...]:
        """Return the turns, what the operator said first."""
        turns = super().messages() if "messages" in self._document() else ()
        system = self._value("system")
        if system is None:
            return turns
        blocks = system if isinstance(system, list) else [{"text": system}]
        texts = [block.get("text") for block in blocks if isinstance(block, dict)]
        return (Message("system", "".join(text for text in texts if isinstance(text, str)), system), *turns)

    def append_system(self, text: str) -> None:
        """Add an instruction after all that the operator said.

        Raises:
            BadRequest: if ``system`` is neither text nor blocks.
        """
        system = self._value("system")
        if system is None:
            self._set("system", text)
        elif isinstance(system, str):
            self._set("system", f"{system}\n\n{text}")
        elif isinstance(system, list):
            self._set("system", [*system, {"type": "text", "text": text}])
        else:
            raise BadRequest("system must be a string or a list.", code="invalid_value", param="system")

    def params(self) -> Mapping[str, Any]:
        """Return the sampling parameters present, under their neutral names."""
        found = {name: self._decode(field) for name, field in PARAMS.items() if field in self._document()}
        output = self._value("output_config")
        if isinstance(output, dict) and "effort" in output:
            found["reasoning_effort"] = output["effort"]
        return found

    def set_param(self, name: str, value: Any) -> None:
        """Set a parameter by its neutral name; None removes it.

        Raises:
            KeyError: for a name that has no field here.
        """
        if name == "reasoning_effort":
            output = self._value("output_config")
            kept = {key: one for key, one in output.items() if key != "effort"} if isinstance(output, dict) else {}
            name, value = "output_config", {**kept, "effort": value} if value is not None else kept or None
        else:
            name = PARAMS[name]
        if value is not None:
            self._set(name, value)
        elif self._document().pop(name, None) is not None:
            self._changed = True

    def extras(self) -> Mapping[str, Any]:
        """Return every other field, read-only."""
        return types.MappingProxyType({key: self._decode(key) for key in self._document() if key not in _NOT_EXTRA})

    def _value(self, field: str) -> Any:
        return self._decode(field) if field in self._document() else None
