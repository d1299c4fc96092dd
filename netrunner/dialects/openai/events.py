"""OpenAI's chat completions and completions as block events, for event filters; ``rewrite`` writes them.

A stream becomes one ``Chunk`` per event, an answer that comes as one document a single one. What event filters
could not see is an error, never passed on: a ``content`` of parts, audio, a ``choices`` that is no list, two calls in
one place. Blocks are numbered in the order in which a choice began them, and all close when the choice finishes.

This module must not know which filters there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from zope.interface import implementer

from netrunner import sse
from netrunner.dialects.interfaces import IEventCodec
from netrunner.dialects.openai.rewrite import Call, Chunk, Document, Place, Rewriter
from netrunner.dialects.openai.tap import usage_of
from netrunner.errors import UpstreamError
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    FinishKind,
    KeepAlive,
    ReasoningDelta,
    Start,
    StreamError,
    TextDelta,
    ToolArgs,
    UsageSeen,
)

MAX_BLOCKS = 1024
"""Most blocks of one answer; each is remembered until its end."""

FINISHES = {
    "stop": FinishKind.STOP,
    "length": FinishKind.LENGTH,
    "model_length": FinishKind.CONTEXT_FULL,
    "tool_calls": FinishKind.TOOL_CALLS,
    "function_call": FinishKind.TOOL_CALLS,
    "content_filter": FinishKind.CONTENT_FILTER,
    "blacklist": FinishKind.CONTENT_FILTER,
}
"""What a finish reason means; a word that is none of these is an ``ERROR``, never a stop."""

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_REASONING = ("reasoning_content", "reasoning")
_KINDS = {"reasoning": BlockKind.REASONING, "refusal": BlockKind.REFUSAL}


@implementer(IEventCodec)
class EventCodec:
    """Reads one answer as events, and writes it again.

    Args:
        streaming: Whether the answer is a stream of events.
        completions: Whether it has OpenAI's older shape, ``text`` instead of messages.
        max_bytes: The most that one event, or an answer that is no stream, may take.
    """

    def __init__(self, streaming: bool, completions: bool, max_bytes: int) -> None:
        rewriter = Rewriter(streaming, completions)
        self.write = rewriter.write
        self.streaming = streaming
        self.complete = False
        """The answer said that it is complete, or why it is not."""
        self._rewriter = rewriter
        self._max = max_bytes
        self._buffer = bytearray()
        self._after_cr = False
        self._started = False
        self._finished: dict[int, bool] = {}
        """By choice, whether it has told why it ends."""
        self._blocks: dict[tuple[int, str | int], int] = {}
        """The number of the block that a choice writes in a field; a tool call's field is its number."""

    def feed(self, data: bytes, last: bool) -> list[Chunk]:
        """Return the chunks that ``data`` completes; ``last`` completes whatever is there.

        Raises:
            UpstreamError: ``upstream_invalid_response`` or ``answer_too_large``; nothing may be fed after that.
        """
        buffer = self._buffer
        if not self.streaming:
            self._bounded(len(buffer) + len(data))
            buffer += data
            return [self._document(bytes(buffer), bytes(buffer))] if last else []
        chunks: list[Chunk] = []
        if self._after_cr and data.startswith(b"\n"):
            # The other half of a CRLF whose first one has ended the event already.
            chunks.append(Chunk(b"\n"))
            data = data[1:]
        self._after_cr = self._after_cr and not data and not chunks
        seen, begin = max(0, len(buffer) - 3), 0
        buffer += data
        while (found := _BLANK_LINE.search(buffer, seen)) is not None:
            seen = found.end()
            self._bounded(seen - begin)
            chunks.append(self._event(bytes(buffer[begin:seen])))
            begin = seen
        if begin:
            self._after_cr = begin == len(buffer) and buffer.endswith(b"\r")
            del buffer[:begin]
        self._bounded(len(buffer))
        if last and buffer.strip():
            # Clients lose an event that no blank line follows.
            chunks.append(self._event(bytes(buffer).rstrip(b"\r\n") + b"\n\n"))
        return chunks

    def _bounded(self, size: int) -> None:
        if size > self._max:
            raise UpstreamError("The provider's answer is too large to be filtered.", code="answer_too_large")

    def _event(self, block: bytes) -> Chunk:
        line = block.rstrip(b"\r\n")
        plain = line.startswith(b"data: ") and b"\n" not in line and b"\r" not in line
        if plain:
            data = line[6:]
        else:
            told = sse.Reader(2 * self._max).feed(block)
            if not told:
                # Fields without data kill clients; comments keep connections alive.
                comments = all(one.startswith(b":") for one in line.splitlines() if one)
                return Chunk(block if comments else b"", None, (KeepAlive(),))
            data = told[0].data
        if data.strip() == b"[DONE]":
            self.complete = True
            return Chunk(block if plain else sse.DONE, done=True)
        return self._document(data, block if plain else b"")

    def _document(self, data: bytes, raw: bytes) -> Chunk:
        """Return the chunk of one JSON document; without ``raw`` it is written anew."""
        try:
            native = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable("is not JSON") from error
        if not isinstance(native, dict):
            raise _unreadable("is no object")
        chunk = Chunk(raw, native, (), {}, {}, {})
        self._rewriter.head.update((name, native[name]) for name in self._rewriter.head if name in native)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Start(id=_text(native, "id"), model=_text(native, "model"), native=native))
        failed, usage = native.get("error"), native.get("usage")
        if failed:
            self.complete = True
            events.append(_stream_error(failed, native))
        elif "choices" not in native and not usage:
            raise _unreadable("has no choices")
        for position, choice in enumerate(_objects(native.get("choices"))):
            events += self._choice(choice, position, chunk)
        counts = usage_of(msgspec.json.encode(usage)) if usage else None
        if counts is not None:
            events.append(UsageSeen(usage=counts, native=native))
        chunk.events = tuple(events)
        over = bool(self._finished) and all(self._finished.values())
        chunk.finishes |= not self.streaming or (over and not chunk.places and not chunk.calls)
        if not chunk.raw:
            chunk.raw = sse.event(native) if self.streaming else sse.compact(native)
        return chunk

    def _choice(self, choice: Document, position: int, chunk: Chunk) -> Iterator[Event]:
        number = _number(choice, position)
        if number in chunk.choices:
            raise _unreadable("has a choice twice")
        chunk.choices[number] = choice
        if self._finished.setdefault(number, False) is False and len(self._finished) > MAX_BLOCKS:
            raise UpstreamError("The provider's answer has too many parts.", code="answer_too_large")
        message = _object(choice, "delta" if "delta" in choice else "message")
        if "delta" in choice and choice.pop("message", None) is not None:
            # Some providers repeat the text so far beside every piece of it.
            chunk.raw = b""
        yield from self._message(chunk, number, choice, message)
        if reason := _text(choice, "finish_reason"):
            chunk.finishes = self._finished[number] = True
            self.complete = all(self._finished.values())
            native = chunk.native
            for (of, _), block in self._blocks.items():
                if of == number:
                    yield BlockClose(choice=number, index=block, native=native)
            yield Finish(kind=FINISHES.get(reason, FinishKind.ERROR), reason=reason, choice=number, native=native)

    def _message(self, chunk: Chunk, number: int, choice: Document, message: Document) -> Iterator[Event]:
        if message.get("role"):
            self._rewriter.roles.add(number)
        if spoken := [name for name in _REASONING if _text(message, name)]:
            if message[spoken[0]] != message[spoken[-1]]:
                raise _unreadable("reasons in two ways")
            self._rewriter.reasoning = spoken[0]
            yield from self._piece(chunk, number, "reasoning", [(message, name) for name in spoken])
        elif any(one.get("text") or one.get("summary") for one in _objects(message.get("reasoning_details"))):
            raise _unreadable("reasons in details only")
        if message.get("audio"):
            raise _unreadable("has audio")
        for holder, field in ((message, "content"), (choice, "text"), (message, "refusal")):
            if _text(holder, field):
                yield from self._piece(chunk, number, field, [(holder, field)])
        for place, call in enumerate(_objects(message.get("tool_calls"))):
            function = _object(call, "function") or _object(call, "custom")
            if call.get("function") and call.get("custom"):
                raise _unreadable("has a call with two inputs")
            yield from self._call(chunk, number, _number(call, place), Call(0, message, call, function))
        if message.get("function_call"):
            function = _object(message, "function_call")
            yield from self._call(chunk, number, -1, Call(0, message, {}, function))

    def _piece(self, chunk: Chunk, number: int, field: str, fields: list[tuple[Document, str]]) -> Iterator[Event]:
        block, new = self._block(number, field)
        holder, name = fields[0]
        text, native = holder[name], chunk.native
        delta: type[TextDelta | ReasoningDelta] = ReasoningDelta if field == "reasoning" else TextDelta
        if new:
            yield BlockOpen(kind=_KINDS.get(field, BlockKind.TEXT), choice=number, index=block, native=native)
        chunk.places[number, block, delta] = Place(text, fields)
        yield delta(text=text, choice=number, index=block, native=native)

    def _call(self, chunk: Chunk, number: int, at: int, call: Call) -> Iterator[Event]:
        block, new = self._block(number, at)
        if (number, block) in chunk.calls:
            raise _unreadable("has two calls in one place")
        call.block = block
        chunk.calls[number, block] = call
        native, function = chunk.native, call.function
        if new:
            tool_id, name = _text(call.call, "id"), _text(function, "name")
            kind = BlockKind.TOOL_CALL
            yield BlockOpen(kind=kind, choice=number, index=block, tool_id=tool_id, tool_name=name, native=native)
        for field in ("arguments", "input"):
            if fragment := _text(function, field):
                if (number, block, ToolArgs) in chunk.places:
                    raise _unreadable("has a call with two inputs")
                chunk.places[number, block, ToolArgs] = Place(fragment, [(function, field)])
                yield ToolArgs(fragment=fragment, choice=number, index=block, native=native)

    def _block(self, number: int, field: str | int) -> tuple[int, bool]:
        """Return the block's number and whether it is new."""
        block = self._blocks.get((number, field))
        if block is not None:
            return block, False
        if len(self._blocks) >= MAX_BLOCKS:
            raise UpstreamError("The provider's answer has too many parts.", code="answer_too_large")
        block = self._blocks[number, field] = sum(of == number for of, _ in self._blocks)
        self._rewriter.fields[number, block] = field
        return block, True


def _stream_error(error: Any, native: Document) -> StreamError:
    told = error if isinstance(error, dict) else {"message": error}
    code = told.get("code")
    kind, message = told.get("type") or "provider_error", told.get("message") or ""
    return StreamError(kind=str(kind), message=str(message), code=None if code is None else str(code), native=native)


def _text(holder: Document, field: str) -> str | None:
    text = holder.get(field)
    if text is not None and not isinstance(text, str):
        raise _unreadable(f"has a {field} that is no text")
    return text


def _object(holder: Document, field: str) -> Document:
    found = holder.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _unreadable(f"has a {field} that is no object")
    return found


def _objects(found: Any) -> Sequence[Document]:
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _unreadable("has a list that is none")
    return found


def _number(holder: Document, position: int) -> int:
    number = holder.get("index", position)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise _unreadable("has an index that is no number")
    return number


def _unreadable(what: str) -> UpstreamError:
    return UpstreamError(
        f"The provider's answer {what}, so that it cannot be filtered.", code="upstream_invalid_response"
    )
