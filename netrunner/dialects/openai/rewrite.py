"""Writes an OpenAI answer after event filters: its own bytes where nothing changed, else its document with new texts.

What a filter changes, drops or adds lands in the field of the choice and block it names; text for which the chunk
has no field becomes a chunk of its own before it. Finish reasons, usage and errors stay whatever is dropped.

This module must not read bytes; ``events`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects.filtered import unchanged, unwritable
from netrunner.events import (
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    ReasoningDelta,
    Signature,
    StreamError,
    TextDelta,
    ToolArgs,
)

REASONS = {
    FinishKind.STOP: "stop",
    FinishKind.STOP_SEQUENCE: "stop",
    FinishKind.LENGTH: "length",
    FinishKind.CONTEXT_FULL: "length",
    FinishKind.TOOL_CALLS: "tool_calls",
    FinishKind.CONTENT_FILTER: "content_filter",
    FinishKind.PAUSE: "stop",
}
"""OpenAI's word for a finish; it has none for an error, which is never told as one."""

Key = tuple[int, int, type[Event]]
"""Choice, block, and which of the three kinds of text."""
Document = dict[str, Any]


class Place(msgspec.Struct):
    """Where a text stands in a document."""

    text: str
    fields: list[tuple[Document, str]]
    """All hold this text: some providers write their reasoning twice."""


class Call(msgspec.Struct):
    """A tool call in a document."""

    block: int
    message: Document
    """What has the list it stands in."""
    call: Document
    function: Document


class Chunk(msgspec.Struct, eq=False):
    """One event of a stream, or a whole answer."""

    raw: bytes
    """As it came; an event that clients would stumble over is written anew."""
    native: Any = None
    events: tuple[Event, ...] = ()
    choices: dict[int, Document] = {}
    places: dict[Key, Place] = {}
    calls: dict[tuple[int, int], Call] = {}
    """By choice and block."""
    finishes: bool = False
    """It finishes a choice, or comes after that and tells of none."""
    done: bool = False
    """It is the mark that ends a stream."""


class Rewriter:
    """Writes the chunks of one answer.

    Args:
        streaming: Whether the answer is a stream of events.
        completions: Whether it has OpenAI's older shape, ``text`` instead of messages.
    """

    def __init__(self, streaming: bool, completions: bool) -> None:
        self.head: Document = {"id": "", "object": "", "created": 0, "model": ""}
        """What every chunk repeats, as the provider wrote it last."""
        self.roles: set[int] = set()
        """Choices whose role has been told."""
        self.fields: dict[tuple[int, int], str | int] = {}
        """By choice and block, the field it is written in, or the number of the tool call."""
        self.reasoning = "reasoning_content"
        self._streaming = streaming
        self._completions = completions
        self._gone: set[tuple[int, int]] = set()

    def write(self, chunk: Chunk, events: Sequence[Event]) -> bytes:
        """Return the bytes for ``chunk`` when the filters made ``events`` of its own.

        Raises:
            InternalError: ``filter_failed`` for what cannot be written: a tool call or a signature that a filter
                made, an error as a finish.
        """
        same = unchanged(chunk.events, events)
        if same and not (self._gone and chunk.calls):
            return chunk.raw
        texts, extra, finishes = self._sorted(chunk, events)
        for key, place in chunk.places.items():
            if texts[key] != place.text:
                _replace(place, texts[key], chunk.choices[key[0]])
        for number, finish in finishes.items():
            self._finish(chunk, number, finish, extra)
        if chunk.native is None:
            return b"".join(self._made(extra)) + (chunk.raw if same or chunk.done else b"")
        self._settle_calls(chunk, events)
        if self._streaming:
            return b"".join(self._made(extra)) + (b"" if _is_empty(chunk.native) else sse.event(chunk.native))
        for event in extra:
            self._add(chunk, event)
        return sse.compact(chunk.native)

    def _sorted(
        self, chunk: Chunk, events: Iterable[Event]
    ) -> tuple[dict[Key, str], list[TextDelta | ReasoningDelta | ToolArgs | Finish], dict[int, Finish]]:
        """Return the texts by their place, those that have none, and the finishes by choice."""
        texts = dict.fromkeys(chunk.places, "")
        extra: list[TextDelta | ReasoningDelta | ToolArgs | Finish] = []
        finishes: dict[int, Finish] = {}
        for event in events:
            if isinstance(event, (TextDelta, ReasoningDelta, ToolArgs)):
                key = (event.choice, event.index, type(event))
                if key in texts:
                    texts[key] += _text_of(event)
                elif _text_of(event):
                    extra.append(event)
            elif isinstance(event, Finish):
                finishes[event.choice] = event
            elif isinstance(event, (Signature, StreamError)) and not any(event is one for one in chunk.events):
                raise unwritable("a signature or an error")
        return texts, extra, finishes

    def _finish(self, chunk: Chunk, number: int, event: Finish, extra: list[Any]) -> None:
        own = next((one for one in chunk.events if isinstance(one, Finish) and one.choice == number), None)
        if own is not None and own.kind is event.kind:
            return
        if event.kind not in REASONS:
            raise unwritable("an error as a finish")
        if own is None and number not in chunk.choices:
            extra.append(event)
        else:
            chunk.choices[number]["finish_reason"] = REASONS[event.kind]

    def _settle_calls(self, chunk: Chunk, events: Sequence[Event]) -> None:
        """Rename, remove and count anew the tool calls whose opening a filter has changed or dropped."""
        kept = {(one.choice, one.index): one for one in events if isinstance(one, BlockOpen)}
        for event in chunk.events:
            if isinstance(event, BlockOpen) and event.kind is BlockKind.TOOL_CALL:
                key = event.choice, event.index
                if key not in kept:
                    self._gone.add(key)
                elif kept[key] is not event:
                    chunk.calls[key].call["id"] = kept[key].tool_id
                    chunk.calls[key].function["name"] = kept[key].tool_name
        if any(one.kind is BlockKind.TOOL_CALL and key not in self.fields for key, one in kept.items()):
            raise unwritable("a tool call")
        for key, call in chunk.calls.items():
            message = call.message
            if key in self._gone and message.get("function_call") is call.function:
                del message["function_call"]
            elif key in self._gone:
                message["tool_calls"] = [one for one in message["tool_calls"] if one is not call.call]
                if not message["tool_calls"]:
                    del message["tool_calls"]
            elif isinstance(call.call.get("index"), int):
                call.call["index"] -= sum(
                    of == key[0] and block < key[1] and isinstance(self.fields[of, block], int)
                    for of, block in self._gone
                )

    def _made(self, events: list[Any]) -> Iterator[bytes]:
        """Yield a chunk of a stream for each event that has no place in one that came."""
        for event in events:
            choice: Document = {"index": event.choice}
            if self._completions:
                choice["text"] = ""
            else:
                choice["delta"] = {} if event.choice in self.roles else {"role": "assistant"}
                self.roles.add(event.choice)
            choice["finish_reason"] = None
            if isinstance(event, Finish):
                choice["finish_reason"] = REASONS[event.kind]
            elif isinstance(event, ToolArgs):
                number = self.fields.get((event.choice, event.index))
                if not isinstance(number, int):
                    raise unwritable("a tool call's arguments")
                choice["delta"]["tool_calls"] = [{"index": number, "function": {"arguments": event.fragment}}]
            else:
                (choice if self._completions else choice["delta"])[self._field(event)] = event.text
            yield sse.event({**self.head, "choices": [choice]})

    def _add(self, chunk: Chunk, event: Any) -> None:
        """Put an event that had no place into a whole answer."""
        choice = chunk.choices.get(event.choice)
        if choice is None or isinstance(event, (ToolArgs, Finish)):
            raise unwritable("a choice or a tool call's arguments")
        message = choice if self._completions else choice.setdefault("message", {"role": "assistant"})
        field = self._field(event)
        message[field] = (message.get(field) or "") + event.text

    def _field(self, event: TextDelta | ReasoningDelta) -> str:
        if isinstance(event, ReasoningDelta):
            return self.reasoning
        if self._completions:
            return "text"
        return "refusal" if self.fields.get((event.choice, event.index)) == "refusal" else "content"


def _text_of(event: TextDelta | ReasoningDelta | ToolArgs) -> str:
    return event.fragment if isinstance(event, ToolArgs) else event.text


def _replace(place: Place, text: str, choice: Document) -> None:
    """Put ``text`` in its place, and remove what else quotes the old one."""
    for holder, field in place.fields:
        holder[field] = text
        holder.pop("reasoning_details", None)
    if choice.get("logprobs"):
        choice["logprobs"] = None


def _is_empty(native: Document) -> bool:
    """Return whether a chunk tells nothing any more."""
    choices = native.get("choices") or ()
    if not choices or native.get("usage") or native.get("error"):
        return False
    return not any(
        choice.get("finish_reason") or choice.get("text") or any((choice.get("delta") or {}).values())
        for choice in choices
    )
