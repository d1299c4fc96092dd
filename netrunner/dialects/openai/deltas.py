"""Block events as deltas of OpenAI's chat completions: what a stream sends, and what a whole message adds up to.

Reasoning goes out as ``reasoning_content``, which clients show, and as ``reasoning_details`` with its seals, which they
send back; a call's seal stands where Gemini's compatible API puts it. Calls are numbered from 0, named once, and
have arguments that are an object even if there are none.

This module must not write bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from netrunner.dialects import seals
from netrunner.dialects.answers import Document, merged
from netrunner.dialects.openai.rewrite import REASONS
from netrunner.dialects.sequence import Sequence
from netrunner.errors import InternalError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    KeepAlive,
    ReasoningDelta,
    Signature,
    TextDelta,
    ToolArgs,
    UsageSeen,
)
from netrunner.values import Usage


class Delta(msgspec.Struct, frozen=True):
    """One piece of a choice; without a choice it only says that the connection lives."""

    choice: int | None
    delta: Document
    reason: str | None = None


class _Block(msgspec.Struct):
    """A block being written."""

    kind: BlockKind
    number: int | None = None
    """Of a call among the calls of its choice, of anything else among the details of reasoning, once it has one."""
    empty: bool = True


class Deltas:
    """Makes the deltas of one answer.

    Args:
        answer_id: What ids are made of for calls that have none.
    """

    __slots__ = ("_answer_id", "_blocks", "_counts", "_roles", "_sequence", "finished", "usage")

    def __init__(self, answer_id: str) -> None:
        self._answer_id = answer_id
        self._sequence = Sequence()
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._counts: dict[tuple[int, bool], int] = {}
        """By choice, how many calls it has, and how many details."""
        self._roles: set[int] = set()
        self.finished: set[int] = set()
        self.usage: Usage | None = None

    def of(self, events: Iterable[Event]) -> Iterator[Delta]:
        """Yield the deltas for ``events``.

        Raises:
            InternalError: for a finish that is an error, which no delta can tell.
        """
        for event in self._sequence.order(events):
            if isinstance(event, UsageSeen):
                self.usage = merged(self.usage, event.usage)
            elif isinstance(event, KeepAlive):
                yield Delta(None, {})
            elif isinstance(event, Finish):
                if event.kind not in REASONS:
                    raise InternalError("An answer that failed cannot be written as one that is complete.")
                self.finished.add(event.choice)
                yield from self._delta(event.choice, {}, REASONS[event.kind])
            elif isinstance(event, (BlockOpen, TextDelta, ReasoningDelta, ToolArgs, Signature, BlockClose)):
                delta = self._piece(event)
                if delta:
                    yield from self._delta(event.choice, delta)

    def is_complete(self) -> bool:
        """Return whether every choice that was begun is finished, and there is one."""
        return bool(self.finished) and self._roles == self.finished

    def _delta(self, choice: int, delta: Document, reason: str | None = None) -> Iterator[Delta]:
        if choice not in self._roles:
            # Clients that add up a stream need it in the first chunk of each choice, and choices in their order.
            for before in range(choice):
                if before not in self._roles:
                    self._roles.add(before)
                    yield Delta(before, {"role": "assistant"})
            self._roles.add(choice)
            delta = {"role": "assistant", **delta}
        yield Delta(choice, delta, reason)

    def _piece(
        self, event: BlockOpen | TextDelta | ReasoningDelta | ToolArgs | Signature | BlockClose
    ) -> Document | None:
        key = event.choice, event.index
        if isinstance(event, BlockOpen):
            block = self._blocks[key] = _Block(event.kind)
            return self._call(event, self._number(event.choice, block)) if event.kind is BlockKind.TOOL_CALL else None
        block = self._blocks[key]
        if isinstance(event, TextDelta):
            return {"refusal" if block.kind is BlockKind.REFUSAL else "content": event.text}
        if isinstance(event, ReasoningDelta):
            detail = {"type": "reasoning.text", "text": event.text, "index": self._number(event.choice, block)}
            return {"reasoning_content": event.text, "reasoning_details": [detail]}
        if isinstance(event, ToolArgs):
            block.empty &= not event.fragment
            return {"tool_calls": [{"index": block.number, "function": {"arguments": event.fragment}}]}
        if isinstance(event, Signature):
            return _signature(block.kind, self._number(event.choice, block), event.data)
        del self._blocks[key]
        if block.kind is BlockKind.TOOL_CALL and block.empty:
            return {"tool_calls": [{"index": block.number, "function": {"arguments": "{}"}}]}
        return None

    def _number(self, choice: int, block: _Block) -> int:
        """Return a block's number, counted without gaps: clients put what they add up into lists."""
        if block.number is None:
            kind = choice, block.kind is BlockKind.TOOL_CALL
            block.number = self._counts.get(kind, 0)
            self._counts[kind] = block.number + 1
        return block.number

    def _call(self, event: BlockOpen, number: int) -> Document:
        tool_id = event.tool_id or f"call_{self._answer_id[-24:]}_{event.choice}_{number}"
        function = {"name": event.tool_name or "", "arguments": ""}
        return {"tool_calls": [{"index": number, "id": tool_id, "type": "function", "function": function}]}


def _signature(kind: BlockKind, number: int, data: str) -> Document:
    """Return a seal in the place from which clients send it back."""
    if kind is BlockKind.TOOL_CALL:
        # A seal of another format names it, so that it is known when it comes back.
        google = {"google": {"thought_signature": seals.unsealed(seals.GEMINI, data) or data}}
        return {"tool_calls": [{"index": number, "function": {"arguments": ""}, "extra_content": google}]}
    format = seals.format_of(data)
    bare = data if format is None else seals.unsealed(format, data)
    if kind is BlockKind.REASONING:
        detail = {"type": "reasoning.text", "signature": bare, "format": format, "index": number}
    else:
        detail = {"type": "reasoning.encrypted", "data": bare, "format": format, "index": number}
    return {"reasoning_details": [detail]}


class Whole:
    """Adds deltas of one choice up to a message."""

    __slots__ = ("_calls", "_details", "_texts", "reason")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._details: dict[int, Document] = {}
        self._calls: list[Document] = []
        self.reason: str | None = None

    def add(self, delta: Delta) -> None:
        """Add one delta."""
        self.reason = delta.reason or self.reason
        for field, value in delta.delta.items():
            if field == "tool_calls":
                self._add_call(value[0])
            elif field == "reasoning_details":
                self._add_detail(value[0])
            elif field != "role":
                self._texts.setdefault(field, []).append(value)

    def text(self, field: str) -> str | None:
        """Return all of a text; None when there was none of it."""
        found = self._texts.get(field)
        return None if found is None else "".join(found)

    def message(self) -> Document:
        """Return the message."""
        content = self.text("content")
        if content is None and not self._calls and "refusal" not in self._texts:
            content = ""
        message: Document = {"role": "assistant", "content": content, "refusal": self.text("refusal")}
        if "reasoning_content" in self._texts:
            message["reasoning_content"] = self.text("reasoning_content")
        if self._details:
            message["reasoning_details"] = [_joined(one) for one in self._details.values()]
        if self._calls:
            message["tool_calls"] = [_joined(one) for one in self._calls]
        return message

    def _add_call(self, call: Document) -> None:
        if call["index"] == len(self._calls):
            function = {**call["function"], "arguments": []}
            self._calls.append({"id": call["id"], "type": call["type"], "function": function})
            return
        known = self._calls[call["index"]]
        known["function"]["arguments"].append(call["function"]["arguments"])
        if "extra_content" in call:
            known["extra_content"] = call["extra_content"]

    def _add_detail(self, detail: Document) -> None:
        known = self._details.setdefault(detail["index"], {"type": detail["type"], "index": detail["index"]})
        if "text" in detail:
            known.setdefault("text", []).append(detail["text"])
        else:
            known.update(detail)


def _joined(document: Document) -> Any:
    """Return a document with its lists of pieces joined."""
    return {
        name: "".join(value) if isinstance(value, list) else _joined(value) if isinstance(value, dict) else value
        for name, value in document.items()
    }
