"""A request to the Responses API in neutral terms, for request filters.

This module must not judge what is asked.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from netrunner.dialects.openai.view import OpenAIView
from netrunner.dialects.shape import Shape
from netrunner.errors import BadRequest
from netrunner.values import Message

_list = msgspec.json.Decoder(list[Raw])
_TOLD = frozenset({"input", "instructions"})
"""What turns are made of."""
_ROLES = {"function_call": "assistant", "function_call_output": "tool", "reasoning": "assistant"}


class ResponsesView(OpenAIView):
    """A request body as request filters see it; what is not told here is as in ``OpenAIView``."""

    __slots__ = ()

    shape = Shape(frozenset({"system", "developer", "user", "assistant"}), typed=True)
    turns_field = "input"
    not_extra = OpenAIView.not_extra | _TOLD

    def messages(self) -> tuple[Message, ...]:
        """Return the turns: the instructions, and what every item of the input says."""
        fields = self._document()
        turns = []
        if fields.get("instructions", Raw(b"null")) != Raw(b"null"):
            instructions = self._decode("instructions")
            turns.append(Message("system", instructions if isinstance(instructions, str) else "", instructions))
        found = self._decode("input") if "input" in fields else []
        if isinstance(found, str):
            turns.append(Message("user", found, found))
        elif not isinstance(found, list):
            raise BadRequest("input must be a string or a list.", code="invalid_value", param="input")
        else:
            turns += [_message(item) for item in found]
        return tuple(turns)

    def append_system(self, text: str) -> None:
        """Add an instruction after everything else, as a last item.

        Raises:
            BadRequest: if ``input`` is neither a string nor a list.
        """
        if "input" not in self._document():
            return
        found = self._decode("input")
        if isinstance(found, str):
            items = [Raw(msgspec.json.encode(_item("user", found)))]
        elif isinstance(found, list):
            items = _list.decode(self._document()["input"])
        else:
            raise BadRequest("input must be a string or a list.", code="invalid_value", param="input")
        self._set("input", [*items, Raw(msgspec.json.encode(_item("system", text)))])

    def params(self) -> Mapping[str, Any]:
        """Return the sampling parameters present, under their neutral names."""
        effort = self._reasoning().get("effort")
        return {**super().params(), **({} if effort is None else {"reasoning_effort": effort})}

    def set_param(self, name: str, value: Any) -> None:
        """Set a parameter by its neutral name; None removes it.

        Raises:
            KeyError: for a name that is none of ``PARAMS``.
        """
        if name == "reasoning_effort":
            reasoning = self._reasoning()
            reasoning.pop("effort", None)
            self._set("reasoning", reasoning if value is None else {**reasoning, "effort": value})
        elif name == "max_tokens" and value is not None:
            self._set("max_output_tokens", value)
        else:
            super().set_param(name, value)

    def extras(self) -> Mapping[str, Any]:
        """Return every other field, read-only."""
        return types.MappingProxyType({name: value for name, value in super().extras().items() if name not in _TOLD})

    def _reasoning(self) -> dict[str, Any]:
        found = self._decode("reasoning") if "reasoning" in self._document() else None
        return found if isinstance(found, dict) else {}


def _item(role: str, text: str) -> dict[str, str]:
    return {"type": "message", "role": role, "content": text}


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise BadRequest("every item must be an object.", code="invalid_value", param="input")
    kind = item.get("type")
    role = item.get("role") or _ROLES.get(kind if isinstance(kind, str) else "", "")
    content = item.get("content") or item.get("output") or item.get("summary")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return Message(str(role), "".join(text for text in texts if isinstance(text, str)), item)
