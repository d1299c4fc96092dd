"""An OpenAI-like request in neutral terms, for request filters.

Nothing is decoded before it is asked for. A change is kept as a patch: when the body is written again, every
top-level field that nobody touched keeps its bytes.

This module must not judge what is asked; a document it cannot change is refused, one it need not is left alone.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw
from zope.interface import implementer

from netrunner.dialects.interfaces import IRequestView
from netrunner.dialects.shape import Shape
from netrunner.errors import BadRequest
from netrunner.values import Message

PARAMS = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "max_tokens": ("max_completion_tokens", "max_tokens", "max_output_tokens"),
    "stop": ("stop",),
    "seed": ("seed",),
    "n": ("n",),
    "presence_penalty": ("presence_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "reasoning_effort": ("reasoning_effort",),
}
"""Neutral names and the fields that mean them; the first that a document has is read and written."""

_MEANINGS = {field: name for name, fields in PARAMS.items() for field in fields}
_NEW_FIELDS = {"max_tokens": "max_tokens"}
_NOT_EXTRA = frozenset({"model", "stream", "stream_options", "messages", "prompt"}.union(*PARAMS.values()))

_fields = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])


@implementer(IRequestView)
class OpenAIView:
    """A request body as request filters see it.

    Args:
        body: The bytes as they came.
        is_json: Whether they are a JSON object; anything else has no turns and refuses changes.
    """

    __slots__ = ("_body", "_changed", "_fields", "_is_json")

    shape = Shape(
        frozenset({"system", "developer", "user", "assistant", "tool", "function"}),
        instead=frozenset({"tool_calls", "function_call", "refusal", "audio"}),
    )
    turns_field = "messages"
    meanings: Mapping[str, str] = _MEANINGS
    """Neutral names of parameters, by their fields."""
    not_extra = _NOT_EXTRA

    def __init__(self, body: bytes, is_json: bool) -> None:
        self._body = body
        self._is_json = is_json and bool(body)
        self._fields: dict[str, Raw] | None = None
        self._changed = False

    def messages(self) -> tuple[Message, ...]:
        """Return the turns; a completion's prompt is one user turn, several prompts are joined by LF."""
        fields = self._document()
        if "messages" in fields:
            turns = self._decode("messages")
            if not isinstance(turns, list):
                raise BadRequest("messages must be a list.", code="invalid_value", param="messages")
            return tuple(_message(turn) for turn in turns)
        if "prompt" not in fields:
            return ()
        prompt = self._decode("prompt")
        prompts = prompt if isinstance(prompt, list) else [prompt]
        return (Message("user", "\n".join(text for text in prompts if isinstance(text, str)), prompt),)

    def append_system(self, text: str) -> None:
        """Add an instruction after everything else: a last system message, or words after every prompt.

        A prompt of token numbers, and a request that has neither messages nor prompt, stay as they are.

        Raises:
            BadRequest: if ``messages`` is not a list.
        """
        fields = self._document()
        if "messages" in fields:
            try:
                turns = _list.decode(fields["messages"])
            except msgspec.DecodeError as error:
                raise BadRequest("messages must be a list.", code="invalid_value", param="messages") from error
            turns.append(Raw(msgspec.json.encode({"role": "system", "content": text})))
            self._set("messages", turns)
        elif "prompt" in fields:
            prompt = self._decode("prompt")
            if isinstance(prompt, str):
                self._set("prompt", f"{prompt} {text}")
            elif isinstance(prompt, list) and any(isinstance(one, str) for one in prompt):
                self._set("prompt", [f"{one} {text}" if isinstance(one, str) else one for one in prompt])

    def params(self) -> Mapping[str, Any]:
        """Return the sampling parameters present, under their neutral names."""
        present = {name: self._param_field(name) for name in PARAMS}
        return {name: self._decode(field) for name, field in present.items() if field is not None}

    def set_param(self, name: str, value: Any) -> None:
        """Set a parameter by its neutral name; None removes it.

        Raises:
            KeyError: for a name that is none of ``PARAMS``.
        """
        if value is None:
            for field in PARAMS[name]:
                if self._document().pop(field, None) is not None:
                    self._changed = True
        else:
            self._set(self._param_field(name) or _NEW_FIELDS.get(name, PARAMS[name][0]), value)

    def extras(self) -> Mapping[str, Any]:
        """Return every other field, read-only."""
        return types.MappingProxyType({key: self._decode(key) for key in self._document() if key not in _NOT_EXTRA})

    @property
    def opaque(self) -> bool:
        """Whether there is a body that is not JSON."""
        return bool(self._body) and not self._is_json

    def turns(self) -> tuple[str, Any] | None:
        """Return the field in which the turns stand, and its value as it came."""
        name = self._spellings().get(self.turns_field)
        return None if name is None else (name, self._decode(name))

    def fields(self) -> Mapping[str, str | None]:
        """Return the names of all parameters and extras with their neutral names; see ``IRequestView``."""
        told = self.not_extra.difference(self.meanings)
        return {name: self.meanings.get(key) for key, name in self._spellings().items() if key not in told}

    def value(self, name: str) -> Any:
        """Return the value of a field."""
        return self._decode(name)

    def changed(self) -> bool:
        """Return whether anything was changed."""
        return self._changed

    def body(self) -> bytes:
        """Return the document with the changes applied; the very bytes that came when there are none."""
        if self._changed:
            return msgspec.json.encode(self._fields)
        return self._body

    def _document(self) -> dict[str, Raw]:
        if self._fields is None:
            try:
                self._fields = _fields.decode(self._body) if self._is_json else {}
            except (msgspec.DecodeError, RecursionError) as error:
                raise BadRequest("The body is not a JSON object.", code="invalid_json") from error
        return self._fields

    def _spellings(self) -> dict[str, str]:
        """Return the fields by their names in lower case: some servers read them whatever the case.

        Raises:
            BadRequest: ``duplicate_key`` for one that is there in two spellings.
        """
        fields = self._document()
        found = {name.casefold(): name for name in fields}
        if len(found) != len(fields):
            name = next(name for name in fields if found[name.casefold()] != name)
            raise BadRequest(f"{name} is given in more than one spelling.", code="duplicate_key", param=name)
        return found

    def _decode(self, field: str) -> Any:
        try:
            return msgspec.json.decode(self._document()[field])
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"{field} cannot be read.", code="invalid_value", param=field) from error

    def _param_field(self, name: str) -> str | None:
        return next((field for field in PARAMS[name] if field in self._document()), None)

    def _set(self, field: str, value: Any) -> None:
        if not self._is_json:
            raise BadRequest(f"{field} cannot be set in a body that is not JSON.", code="invalid_value", param=field)
        self._document()[field] = Raw(msgspec.json.encode(value))
        self._changed = True


def _message(turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise BadRequest("every message must be an object.", code="invalid_value", param="messages")
    content = turn.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return Message(str(turn.get("role", "")), "".join(text for text in texts if isinstance(text, str)), turn)
