"""What is wrong with one chunk of an OpenAI-like stream, and the chunk as every client of the family survives it.

A chunk is first read as the few fields that matter, each of its type; only one that is not so, or of which something
has to change, is decoded whole. Fields that are not known stay as they are.

This module must not know how chunks are framed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from netrunner.dialects.answers import Document, obj, objects, too_large, unreadable
from netrunner.dialects.openai.calls import Calls, Piece, arguments, made_id
from netrunner.dialects.openai.decoder import MAX_CHOICES

NO_TEXT = Raw(b"")
"""Of a field that is not there. Texts are looked at for their length only; what is none counts for next to nothing."""
QUOTES = 2
"""Bytes of those around a text."""


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    role: str | None = None
    content: Raw = NO_TEXT
    reasoning_content: Raw = NO_TEXT
    reasoning: Raw = NO_TEXT
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int
    delta: _Delta
    finish_reason: str | None = None


class _Text(msgspec.Struct, gc=False):
    index: int
    finish_reason: str | None = None
    text: Raw = NO_TEXT


class _Chunk(msgspec.Struct, gc=False):
    id: str
    object: str
    created: int
    model: str
    usage: dict[str, Any] | None = None
    error: None = None


class ChatChunk(_Chunk, kw_only=True, gc=False):
    """What matters of a chat's chunk that is as it should be; one of an error is none."""

    choices: list[_Choice]


class TextChunk(_Chunk, kw_only=True, gc=False):
    """The same of a completion's."""

    choices: list[_Text]


Chunk = ChatChunk | TextChunk


class _State:
    """What is known of one choice."""

    __slots__ = ("called", "calls", "finished")

    def __init__(self, max_bytes: int) -> None:
        self.calls = Calls(max_bytes)
        self.called = False
        self.finished = False


Change = tuple[int, Any]
"""In which choice, and what: ``order``, ``role``, ``again``, the finish it has, ``empty`` arguments of calls, or where
in its calls which piece is."""
_EITHER_FINISH = ("stop", "tool_calls")
"""Whether there were calls decides between these, not the provider's word."""


class Mend:
    """Looks at the chunks of one stream.

    Args:
        head: What stands for id, object, created and model where the provider does not tell them.
        completions: Whether the stream has OpenAI's older shape, ``text`` instead of a delta.
        max_bytes: The most that the arguments of a choice's calls may take.
    """

    __slots__ = ("_completions", "_head", "_max", "_states", "made_bytes", "reason")

    def __init__(self, head: Document, completions: bool, max_bytes: int) -> None:
        self._head = head
        self._completions = completions
        self._max = max_bytes
        self._states: dict[int, _State] = {}
        self.reason: str | None = None
        """Why the last choice that has told it ends."""
        self.made_bytes = 0
        """Of all texts and arguments, as JSON writes them."""

    def has_begun(self) -> bool:
        """Return whether there was a choice."""
        return bool(self._states)

    def is_finished(self) -> bool:
        """Return whether each choice has told why it ends."""
        return bool(self._states) and all(one.finished for one in self._states.values())

    def look(self, chunk: Chunk) -> list[Change]:
        """Return what has to change in a chunk; it is looked at once."""
        changes: list[Change] = []
        choices: Sequence[_Choice | _Text] = chunk.choices
        for at, choice in enumerate(choices):
            state = self._states.get(choice.index)
            is_new = state is None
            if state is None:
                if any(number not in self._states for number in range(choice.index)):
                    changes.append((at, "order"))
                state = self._begun(choice.index)
            if isinstance(choice, _Choice):
                self._look_at_delta(at, choice.delta, state, is_new, changes)
            elif choice.text is not NO_TEXT:
                self.made_bytes += len(choice.text) - QUOTES
            if choice.finish_reason:
                state.finished, self.reason = True, choice.finish_reason
                if choice.finish_reason in _EITHER_FINISH:
                    _look_at_finish(at, choice.finish_reason, state, changes)
        return changes

    def _look_at_delta(self, at: int, delta: _Delta, state: _State, is_new: bool, changes: list[Change]) -> None:
        if is_new and delta.role != "assistant":
            changes.append((at, "role"))
        elif delta.role and not is_new:
            # Clients that add up a stream add up the word as well.
            changes.append((at, "again"))
        if delta.content is not NO_TEXT:
            self.made_bytes += len(delta.content) - QUOTES
        if delta.reasoning_content is not NO_TEXT:
            self.made_bytes += len(delta.reasoning_content) - QUOTES
        elif delta.reasoning is not NO_TEXT:
            self.made_bytes += len(delta.reasoning) - QUOTES
        if not delta.tool_calls and delta.function_call is None:
            return
        state.called = True
        for place, call in enumerate(delta.tool_calls or ()):
            function = call.function or _Function()
            self.made_bytes += len(function.arguments or "")
            piece = state.calls.take_piece(call.index, call.id or None, function.name or None, function.arguments or "")
            if _is_off(call, function, piece):
                changes.append((at, (place, piece)))

    def settled(self, document: Document) -> None:
        """Give a chunk that could not be read the form of one that can.

        Raises:
            UpstreamError: for what is none even so.
        """
        for field, value in self._head.items():
            if type(document.get(field)) is not type(value):
                document[field] = value
        document["choices"] = objects(document, "choices")
        if document.get("usage") is not None and not isinstance(document["usage"], dict):
            del document["usage"]
        document.pop("error", None)  # it is none, or it would have been told
        for position, choice in enumerate(document["choices"]):
            if type(choice.get("index")) is not int:
                choice["index"] = position
            if not self._completions:
                _settle(choice)

    def change(self, document: Document, changes: list[Change]) -> None:
        """Change a chunk as ``look`` has said."""
        for at, what in changes:
            choice = document["choices"][at]
            if what in _EITHER_FINISH:
                choice["finish_reason"] = what
            elif what == "empty":
                choice["delta"] = {**choice["delta"], "tool_calls": self._filled(choice)}
            elif what == "role":
                choice["delta"] = {**choice["delta"], "role": "assistant"}
            elif what == "again":
                del choice["delta"]["role"]
            elif what != "order":
                place, piece = what
                _put(choice["delta"]["tool_calls"][place], piece, choice["index"], document["id"])

    def before(self, changes: list[Change], chunk: Chunk) -> list[Document]:
        """Return chunks for choices that come before one which has just begun, and have not: their role alone.

        Clients that add up a stream put its choices into a list.
        """
        begun = max((chunk.choices[at].index for at, what in changes if what == "order"), default=0)
        head = {field: getattr(chunk, field) for field in self._head}
        made = []
        for number in range(0 if self._completions else begun):
            if number not in self._states:
                self._begun(number)
                delta = {"role": "assistant"}
                made.append({**head, "choices": [{"index": number, "delta": delta, "finish_reason": None}]})
        return made

    def _filled(self, choice: Document) -> list[Document]:
        """Return the calls of a choice's last delta, with the arguments of those that have none: an empty object."""
        pieces = list(choice["delta"].get("tool_calls") or ())
        for call in self._states[choice["index"]].calls.all:
            if not any(call.pieces):
                piece = next((one for one in pieces if one["index"] == call.number), None)
                if piece is None:
                    pieces.append(piece := {"index": call.number, "function": {}})
                piece["function"] = {**piece["function"], "arguments": "{}"}
        return pieces

    def _begun(self, number: int) -> _State:
        if not 0 <= number < MAX_CHOICES:
            raise too_large() if number >= MAX_CHOICES else unreadable("has a choice without a number")
        state = self._states[number] = _State(self._max)
        return state


def _look_at_finish(at: int, reason: str, state: _State, changes: list[Change]) -> None:
    calls = state.calls.all
    if (reason == "tool_calls" and not state.called) or (reason == "stop" and calls):
        changes.append((at, "tool_calls" if calls else "stop"))
    if any(not any(call.pieces) for call in calls):
        changes.append((at, "empty"))


def _settle(choice: Document) -> None:
    """Give a choice its delta, and calls in it an index that is one or none, and arguments that are a text."""
    if choice.get("delta") is None:
        message = choice.pop("message", None)
        choice["delta"] = message if isinstance(message, dict) else {}
    delta = obj(choice, "delta")
    for call in objects(delta, "tool_calls"):
        if call.get("index") is not None and type(call["index"]) is not int:
            del call["index"]
        texts(call)
    if isinstance(delta.get("function_call"), dict):
        texts({"function": delta["function_call"]})


def _is_off(call: _Call, function: _Function, piece: Piece) -> bool:
    """Return whether a piece is not as OpenAI writes it: its number, and id, type and name once."""
    if call.index != piece.call.number:
        return True
    if piece.is_first:
        return call.id is None or call.type is None or call.function is None
    return bool(call.id) or call.type is not None or (bool(function.name) and not piece.tells_name)


def _put(call: Document, piece: Piece, choice: int, answer_id: str) -> None:
    """Write a piece of a call as OpenAI does; an id that comes late is not waited for."""
    number = piece.call.number
    call["index"] = number
    if not isinstance(call.get("function"), dict):
        call["function"] = {"arguments": ""}
    if piece.is_first:
        call["type"] = call.get("type") or "function"
        if not call.get("id"):
            call["id"] = made_id(answer_id, choice, number)
        return
    call.pop("id", None)
    call.pop("type", None)
    if not piece.tells_name:
        call["function"].pop("name", None)


def texts(call: Document) -> bool:
    """Turn the arguments of a call into a text, if they are an object; return whether they were."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), dict):
        return False
    function["arguments"] = arguments(function)
    return True
