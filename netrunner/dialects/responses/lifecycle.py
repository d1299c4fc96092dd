"""Block events as the items of a response, and the life that every client wants each of them to have.

An item is added, its parts are added, filled and done, and then it is done itself; texts and refusals that follow one
another are parts of one message. A thought's text is told as its summary, which is what clients show; its seal stands
in ``encrypted_content``. A call has no place for one: its seal is a thought of its own before it, with an empty
summary.

This module must not write bytes, nor know what the whole response says.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from netrunner.dialects import seals
from netrunner.dialects.answers import Document, merged
from netrunner.dialects.responses.names import call_id
from netrunner.dialects.responses.response import COMPLETED
from netrunner.dialects.sequence import Sequence
from netrunner.errors import InternalError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    Signature,
    Start,
    TextDelta,
    ToolArgs,
    UsageSeen,
)
from netrunner.values import Usage

Told = tuple[str, Document]
"""Type and fields of one event, its ``type`` and ``sequence_number`` excepted."""

_WORDS = (BlockKind.TEXT, BlockKind.REFUSAL)
_ALONE = (BlockKind.REASONING, BlockKind.REDACTED, BlockKind.TOOL_CALL)
"""What is an item of its own."""
_BLOCKS = (BlockOpen, TextDelta, ReasoningDelta, ToolArgs, Signature, BlockClose)
_Block = BlockOpen | TextDelta | ReasoningDelta | ToolArgs | Signature | BlockClose


class _Part:
    """A part of a message, the arguments of a call, or a thought, while it is being written."""

    __slots__ = ("at", "index", "item", "kind", "opened", "pieces", "seal")

    def __init__(self, opened: BlockOpen) -> None:
        self.kind = opened.kind
        self.opened = opened
        self.item: Document | None = None
        """The item it belongs to; None as long as that has not been added."""
        self.index = 0
        """The item's place in the output."""
        self.at = 0
        """Its own place in the item."""
        self.pieces: list[str] = []
        self.seal: str | None = None


class Lifecycle:
    """Makes the items of one answer.

    Args:
        token: What ids are made of.
    """

    __slots__ = ("_calls", "_message", "_parts", "_sequence", "_token", "finish", "output", "usage")

    def __init__(self, token: str) -> None:
        self.output: list[Document] = []
        """The items, as far as they have come."""
        self.finish: FinishKind | None = None
        self.usage: Usage | None = None
        self._sequence = Sequence()
        self._token = token
        self._parts: dict[int, _Part] = {}
        self._message: tuple[int, Document] | None = None
        """The message being written, and its place."""
        self._calls: set[str] = set()

    def of(self, events: Iterable[Event]) -> Iterator[Told | None]:
        """Yield what is told for ``events``; None for a sign of life. The beginning is the type ``""``.

        Raises:
            InternalError: for a finish that is an error, which is told in another way.
        """
        ordered = list(self._sequence.order(events))
        for position, event in enumerate(ordered):
            if isinstance(event, KeepAlive):
                yield None
            elif isinstance(event, UsageSeen):
                self.usage = merged(self.usage, event.usage)
            elif isinstance(event, Start):
                yield "", {}
            elif isinstance(event, Finish):
                if not event.choice:
                    yield from self._finish(event.kind)
            elif isinstance(event, _BLOCKS) and not event.choice:
                # Nobody can ask this API for more than one answer.
                yield from self._on(event, itertools.islice(ordered, position + 1, None))

    # --- blocks -------------------------------------------------------------------------------------------------

    def _on(self, event: _Block, later: Iterator[Event]) -> Iterator[Told]:
        if isinstance(event, BlockOpen):
            yield from self._open(event, later)
            return
        part = self._parts[event.index]
        if isinstance(event, TextDelta):
            yield from self._words(part, event.text)
        elif isinstance(event, ReasoningDelta):
            yield from self._thought(part, event.text)
        elif isinstance(event, ToolArgs):
            yield from self._arguments(part, event.fragment)
        elif isinstance(event, Signature):
            part.seal = event.data
        else:
            yield from self._close(self._parts.pop(event.index))

    def _open(self, event: BlockOpen, later: Iterator[Event]) -> Iterator[Told]:
        part = self._parts[event.index] = _Part(event)
        if event.kind in _WORDS:
            yield from self._open_part(part)
        elif event.kind in _ALONE:
            yield from self._close_message("completed")
        if event.kind is BlockKind.TOOL_CALL:
            part.seal = _seal(event.index, later)

    def _close(self, part: _Part) -> Iterator[Told]:
        if part.kind in _WORDS:
            yield from self._close_part(part)
        elif part.kind is BlockKind.TOOL_CALL:
            yield from self._close_call(part)
        elif part.kind in _ALONE:
            yield from self._close_thought(part)

    def _add(self, part: _Part, item: Document) -> Told:
        part.item, part.index = item, len(self.output)
        self.output.append(item)
        return "response.output_item.added", {"output_index": part.index, "item": _copy(item)}

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._token}_{len(self.output)}"

    # --- messages -----------------------------------------------------------------------------------------------

    def _open_part(self, part: _Part) -> Iterator[Told]:
        if self._message is None:
            identity = {"id": self._id("msg"), "type": "message", "status": "in_progress"}
            item: Document = {**identity, "role": "assistant", "content": []}
            yield self._add(part, item)
            self._message = part.index, item
        part.index, part.item = self._message
        part.at = len(part.item["content"])
        empty = _written(part)
        part.item["content"].append(empty)
        yield "response.content_part.added", {**_place(part), "part": dict(empty)}

    def _words(self, part: _Part, text: str) -> Iterator[Told]:
        part.pieces.append(text)
        if part.kind is BlockKind.REFUSAL:
            yield "response.refusal.delta", {**_place(part), "delta": text}
        else:
            yield "response.output_text.delta", {**_place(part), "delta": text, "logprobs": []}

    def _close_part(self, part: _Part) -> Iterator[Told]:
        assert part.item is not None
        whole = part.item["content"][part.at] = _written(part)
        if part.kind is BlockKind.REFUSAL:
            yield "response.refusal.done", {**_place(part), "refusal": whole["refusal"]}
        else:
            yield "response.output_text.done", {**_place(part), "text": whole["text"], "logprobs": []}
        yield "response.content_part.done", {**_place(part), "part": dict(whole)}

    def _close_message(self, status: str) -> Iterator[Told]:
        if self._message is not None:
            (index, item), self._message = self._message, None
            item["status"] = status
            yield _done(index, item)

    # --- thoughts -----------------------------------------------------------------------------------------------

    def _thought(self, part: _Part, text: str) -> Iterator[Told]:
        if part.item is None:
            yield self._add(part, self._reasoning())
        if not part.pieces:
            yield "response.reasoning_summary_part.added", {**_summary(part), "part": _summary_text("")}
        part.pieces.append(text)
        yield "response.reasoning_summary_text.delta", {**_summary(part), "delta": text}

    def _close_thought(self, part: _Part) -> Iterator[Told]:
        if part.item is None and part.seal is None:
            return
        if not part.pieces and part.kind is BlockKind.REASONING:
            # An empty text tells a thought that is not shown from one of which nothing but a seal was given.
            yield from self._thought(part, "")
        if part.item is None:
            yield self._add(part, self._reasoning())
        assert part.item is not None
        if part.pieces:
            text = "".join(part.pieces)
            yield "response.reasoning_summary_text.done", {**_summary(part), "text": text}
            yield "response.reasoning_summary_part.done", {**_summary(part), "part": _summary_text(text)}
            part.item["summary"].append(_summary_text(text))
        yield self._sealed(part.index, part.item, part.seal)

    def _reasoning(self) -> Document:
        return {"id": self._id("rs"), "type": "reasoning", "summary": []}

    def _sealed(self, index: int, item: Document, seal: str | None) -> Told:
        if seal is not None:
            item["encrypted_content"] = seals.unsealed(seals.RESPONSES, seal) or seal
        return _done(index, item)

    # --- calls --------------------------------------------------------------------------------------------------

    def _open_call(self, part: _Part) -> Iterator[Told]:
        if part.seal is not None:
            before = _Part(part.opened)
            yield self._add(before, self._reasoning())
            assert before.item is not None
            yield self._sealed(before.index, before.item, part.seal)
        yield self._add(
            part,
            {
                "id": self._id("fc"),
                "type": "function_call",
                "status": "in_progress",
                "call_id": self._call_id(part.opened.tool_id),
                "name": part.opened.tool_name or "",
                "arguments": "",
            },
        )

    def _call_id(self, given: str | None) -> str:
        """Return the id that a call is answered by: clients take two calls of one id for the same."""
        name = call_id(given or "")
        if not name or name in self._calls:
            name = f"call_{self._token}_{len(self.output)}"
        self._calls.add(name)
        return name

    def _arguments(self, part: _Part, fragment: str) -> Iterator[Told]:
        if part.item is None:
            yield from self._open_call(part)
        assert part.item is not None
        part.pieces.append(fragment)
        if fragment:
            place = {"item_id": part.item["id"], "output_index": part.index}
            yield "response.function_call_arguments.delta", {**place, "delta": fragment}

    def _close_call(self, part: _Part) -> Iterator[Told]:
        if not any(part.pieces):
            yield from self._arguments(part, "{}")
        assert part.item is not None
        text = part.item["arguments"] = "".join(part.pieces)
        place = {"item_id": part.item["id"], "output_index": part.index}
        yield "response.function_call_arguments.done", {**place, "name": part.item["name"], "arguments": text}
        part.item["status"] = "completed" if _is_json(text) else "incomplete"
        yield _done(part.index, part.item)

    # --- the end ------------------------------------------------------------------------------------------------

    def _finish(self, kind: FinishKind) -> Iterator[Told]:
        if kind is FinishKind.ERROR:
            raise InternalError("An answer that failed cannot be written as one that is complete.")
        yield from self._close_message("completed" if kind in COMPLETED else "incomplete")
        self.finish = kind


def _seal(index: int, later: Iterable[Event]) -> str | None:
    """Return a call's seal, which has to stand before the call, though it may come after the arguments."""
    for event in later:
        if isinstance(event, Signature) and event.index == index:
            return event.data
        if isinstance(event, BlockClose) and event.index == index:
            break
    return None


def _place(part: _Part) -> Document:
    assert part.item is not None
    return {"item_id": part.item["id"], "output_index": part.index, "content_index": part.at}


def _summary(part: _Part) -> Document:
    assert part.item is not None
    return {"item_id": part.item["id"], "output_index": part.index, "summary_index": 0}


def _summary_text(text: str) -> Document:
    return {"type": "summary_text", "text": text}


def _written(part: _Part) -> Document:
    text = "".join(part.pieces)
    if part.kind is BlockKind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _done(index: int, item: Document) -> Told:
    return "response.output_item.done", {"output_index": index, "item": _copy(item)}


def _copy(item: Document) -> Document:
    """Return the item as it is now: what is told may be looked at later."""
    return {name: list(value) if isinstance(value, list) else value for name, value in item.items()}


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
