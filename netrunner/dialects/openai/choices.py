"""One choice of an OpenAI-like answer as block events, from the pieces of a stream or from a whole message.

Text and reasoning come in blocks of their own, each as long as its kind goes on; calls stay open until the choice
ends, since providers may write several at once. Parts of a content that are neither text nor thinking are left out.

This module must not read bytes; ``decoder`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netrunner.dialects import seals
from netrunner.dialects.answers import MAX_BLOCKS, Document, obj, objects, text, too_large, truncated, unreadable
from netrunner.dialects.openai.calls import Calls, made_id
from netrunner.dialects.openai.events import FINISHES
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    ReasoningDelta,
    Signature,
    TextDelta,
    ToolArgs,
)

_OPEN_ENDED = (FinishKind.STOP, FinishKind.TOOL_CALLS)
"""Kinds that depend on whether there was a call: providers do not agree which of them to say."""


class Choice:
    """Reads one choice.

    Args:
        number: Its index.
        answer_id: Of the answer; calls without an id of their own get one that holds it.
        max_bytes: The most that the arguments of its calls may take.
    """

    __slots__ = ("_answer_id", "_calls", "_next", "_number", "_open", "_tools", "reason")

    def __init__(self, number: int, answer_id: str, max_bytes: int) -> None:
        self._number = number
        self._answer_id = answer_id
        self._calls = Calls(max_bytes)
        self._next = 0
        self._open: tuple[BlockKind, Any] | None = None
        """The kind of the block being written, and which part of it, where the provider counts them."""
        self._tools: dict[int, int] = {}
        """The block of each call."""
        self.reason: str | None = None
        """Why it ended, in the provider's word."""

    def read(self, choice: Document) -> Iterator[Event]:
        """Yield the events of one piece; that a choice ended is told by ``end``, since more may come after it.

        Raises:
            UpstreamError: for what cannot be read.
        """
        message = obj(choice, "delta" if "delta" in choice else "message")
        yield from self._thoughts(message)
        yield from self._content(message.get("content"))
        yield from self._words(BlockKind.TEXT, text(choice, "text"))
        yield from self._words(BlockKind.REFUSAL, text(message, "refusal"))
        for call in objects(message, "tool_calls"):
            yield from self._call(call)
        if function := obj(message, "function_call"):
            yield from self._call({"function": function})
        if message.get("audio"):
            raise unreadable("has audio")
        self.reason = text(choice, "finish_reason") or self.reason

    def end(self) -> Iterator[Event]:
        """Yield what ends the choice.

        Raises:
            UpstreamError: ``upstream_truncated`` if it has not told why it ends.
        """
        if self.reason is None:
            raise truncated()
        if len(self._tools) < len(self._calls.all):
            raise unreadable("has a call without a name")
        yield from self._close()
        for block in self._tools.values():
            yield BlockClose(choice=self._number, index=block)
        kind = FINISHES.get(self.reason, FinishKind.ERROR)
        if kind in _OPEN_ENDED:
            kind = FinishKind.TOOL_CALLS if self._tools else FinishKind.STOP
        yield Finish(kind=kind, reason=self.reason, choice=self._number)

    # --- words ----------------------------------------------------------------------------------------------

    def _content(self, content: Any) -> Iterator[Event]:
        """Mistral writes a list of parts, its thinking among them."""
        if content is None or isinstance(content, str):
            yield from self._words(BlockKind.TEXT, content)
            return
        for part in objects({"content": content}, "content"):
            if part.get("type") == "text":
                yield from self._words(BlockKind.TEXT, text(part, "text"))
            elif part.get("type") == "thinking":
                for thought in objects(part, "thinking"):
                    yield from self._words(BlockKind.REASONING, text(thought, "text"))

    def _thoughts(self, message: Document) -> Iterator[Event]:
        """Reasoning is told as text, in details with their seals, or in both."""
        details = objects(message, "reasoning_details")
        if not any(one.get("text") or one.get("summary") for one in details):
            said = text(message, "reasoning_content") or text(message, "reasoning")
            yield from self._words(BlockKind.REASONING, said)
        for one in details:
            yield from self._words(BlockKind.REASONING, text(one, "text") or text(one, "summary"), one.get("index"))
            format = text(one, "format")
            if hidden := _sealed(format, text(one, "data")):
                yield from self._begin(BlockKind.REDACTED, None)
                yield Signature(data=hidden, choice=self._number, index=self._next - 1)
            elif signature := _sealed(format, text(one, "signature")):
                yield from self._seal(signature)
        if thought := _thought(message):
            yield from self._begin(BlockKind.REASONING, None)
            yield from self._seal(thought)

    def _seal(self, signature: str) -> Iterator[Event]:
        if self._open is None or self._open[0] is not BlockKind.REASONING:
            yield from self._begin(BlockKind.REASONING, None)
        yield Signature(data=signature, choice=self._number, index=self._next - 1)

    def _words(self, kind: BlockKind, words: str | None, part: Any = None) -> Iterator[Event]:
        if not words:
            return
        if self._open != (kind, part):
            yield from self._begin(kind, part)
        delta = ReasoningDelta if kind is BlockKind.REASONING else TextDelta
        yield delta(text=words, choice=self._number, index=self._next - 1)

    # --- blocks ---------------------------------------------------------------------------------------------

    def _call(self, delta: Document) -> Iterator[Event]:
        piece = self._calls.take(delta)
        call = piece.call
        block, fragment = self._tools.get(call.number), piece.fragment
        if block is None:
            if call.name is None:
                return
            yield from self._close()
            tool_id = call.id or made_id(self._answer_id, self._number, call.number)
            block = self._tools[call.number] = self._place()
            yield BlockOpen(
                kind=BlockKind.TOOL_CALL, choice=self._number, index=block, tool_id=tool_id, tool_name=call.name
            )
            fragment = "".join(call.pieces)
        if fragment:
            yield ToolArgs(fragment=fragment, choice=self._number, index=block)
        if thought := _thought(delta):
            yield Signature(data=thought, choice=self._number, index=block)

    def _begin(self, kind: BlockKind, part: Any) -> Iterator[Event]:
        yield from self._close()
        self._open = kind, part
        yield BlockOpen(kind=kind, choice=self._number, index=self._place())

    def _place(self) -> int:
        if self._next == MAX_BLOCKS:
            raise too_large()
        self._next += 1
        return self._next - 1

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield BlockClose(choice=self._number, index=self._next - 1)


def _sealed(format: str | None, data: str | None) -> str | None:
    """Return a seal with its format; None for one whose format is unknown: nobody would want it back."""
    if data is None:
        return None
    return seals.seal(format, data) if format in seals.FORMATS else data if seals.format_of(data) else None


def _thought(holder: Document) -> str | None:
    """Return the seal that Gemini's compatible API puts on a call or a message."""
    data = text(obj(obj(holder, "extra_content"), "google"), "thought_signature")
    return seals.seal(seals.GEMINI, data) if data else None
