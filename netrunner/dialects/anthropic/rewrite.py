"""Writes Anthropic's answers after event filters: own bytes where nothing changed, else documents with new texts.

What a filter changes or drops lands in the block it names; text for which there is no open block becomes a block of
its own, and later blocks are counted anew. Stop reasons, usage and errors stay whatever is dropped.

This module must not read bytes; ``events`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from netrunner import sse
from netrunner.dialects.answers import Document
from netrunner.dialects.anthropic.encoder import REASONS
from netrunner.dialects.anthropic.errors import named
from netrunner.dialects.filtered import unchanged, unwritable
from netrunner.events import (
    BlockKind,
    BlockOpen,
    Event,
    Finish,
    ReasoningDelta,
    Signature,
    StreamError,
    TextDelta,
    ToolArgs,
)

Piece = TextDelta | ReasoningDelta | ToolArgs

_PIECES = (TextDelta, ReasoningDelta, ToolArgs)
_FIELDS: dict[type[Event], tuple[str, str]] = {
    TextDelta: ("text_delta", "text"),
    ReasoningDelta: ("thinking_delta", "thinking"),
    ToolArgs: ("input_json_delta", "partial_json"),
}
"""By the kind of a piece, how its delta is called and where its text stands."""


class Chunk(msgspec.Struct, eq=False):
    """One event of a stream, or a whole answer."""

    raw: bytes
    kind: str = ""
    native: Any = None
    events: tuple[Event, ...] = ()
    finishes: bool = False
    """It tells why the answer ends, or comes after that."""
    done: bool = False
    """It is the event that ends a stream."""

    @property
    def opened(self) -> BlockOpen | None:
        """Its first block that begins."""
        return next((event for event in self.events if isinstance(event, BlockOpen)), None)

    @property
    def place(self) -> Piece | None:
        """The piece whose text stands in the document of this event of a stream."""
        if self.kind == "content_block_stop":
            return None
        return next((event for event in self.events if isinstance(event, _PIECES)), None)


class Rewriter:
    """Writes the chunks of one stream."""

    def __init__(self) -> None:
        self._numbers: dict[int, int | None] = {}
        """By the number a block came with, the one it is written with; None for one that a filter dropped."""
        self._open: dict[int, int] = {}
        """By their number in events, the numbers that open blocks came with."""
        self._next = 0
        self._made: tuple[int, int] | None = None
        """The block that is open for a filter's text: its number in events, and as it is written."""

    def write(self, chunk: Chunk, events: Sequence[Event]) -> bytes:
        """Return the bytes for ``chunk`` when the filters made ``events`` of its own; see ``IEventCodec``."""
        same = unchanged(chunk.events, events)
        text, made = _sorted(chunk, events)
        if not same:
            check(chunk, events)
        pieces = [frame for piece in made for frame in self._piece(piece)]
        own = self._own(chunk, events, text, same)
        return b"".join([*own, *pieces] if chunk.kind == "message_start" else [*pieces, *own])

    # --- the provider's own events --------------------------------------------------------------------------

    def _own(self, chunk: Chunk, events: Sequence[Event], text: str, same: bool) -> list[bytes]:
        if not chunk.kind.startswith("content_block"):
            over = self._end_made() if chunk.finishes or chunk.done else []
            return [
                *over,
                chunk.raw if same or not _refinish(chunk, events, "delta") else named(chunk.kind, chunk.native),
            ]
        over = self._end_made()
        came = chunk.native["index"]
        if chunk.kind == "content_block_start":
            same = self._start(chunk, events, came, text) and same
        elif chunk.kind == "content_block_stop":
            self._open = {index: of for index, of in self._open.items() if of != came}
        elif (place := chunk.place) is not None and text != text_of(place):
            if not text:
                return over
            chunk.native["delta"][_FIELDS[type(place)][1]] = text
            same = False
        number = self._numbers[came]
        if number is None:
            return over
        if number == came and (same or chunk.kind == "content_block_stop"):
            return [*over, chunk.raw]
        return [*over, named(chunk.kind, {**chunk.native, "index": number})]

    def _start(self, chunk: Chunk, events: Sequence[Event], came: int, text: str) -> bool:
        """Give a block its number, or none if a filter dropped it; return whether it is as it came."""
        opened, place = chunk.opened, chunk.place
        kept = opened and _kept(opened, events)
        if opened is not None and kept is None:
            self._numbers[came] = None
            return True
        self._numbers[came] = self._next
        self._next += 1
        if opened is None or kept is None:
            return True
        self._open[opened.index] = came
        if kept is not opened:
            rename(chunk.native["content_block"], kept)
        if place is not None:
            chunk.native["content_block"][_FIELDS[type(place)][1]] = text
        return kept is opened

    # --- what filters made ----------------------------------------------------------------------------------

    def _piece(self, piece: Piece) -> list[bytes]:
        """Return a piece that has no place in an event that came."""
        kind, field = _FIELDS[type(piece)]
        came = self._open.get(piece.index)
        frames: list[bytes] = []
        if came is not None:
            number = self._numbers[came]
        else:
            if isinstance(piece, ToolArgs):
                raise unwritable("a tool call's arguments")
            if self._made is None or self._made[0] != piece.index:
                frames = self._end_made()
                self._made = piece.index, self._next
                self._next += 1
                block = {
                    "type": "content_block_start",
                    "index": self._made[1],
                    "content_block": block_of(type(piece), ""),
                }
                frames.append(named("content_block_start", block))
            number = self._made[1]
        delta = {"type": kind, field: text_of(piece)}
        frames.append(named("content_block_delta", {"type": "content_block_delta", "index": number, "delta": delta}))
        return frames

    def _end_made(self) -> list[bytes]:
        if self._made is None:
            return []
        number, self._made = self._made[1], None
        return [named("content_block_stop", {"type": "content_block_stop", "index": number})]


def rewritten(chunk: Chunk, events: Sequence[Event]) -> bytes:
    """Return the bytes of an answer that is no stream when the filters made ``events`` of its own."""
    if unchanged(chunk.events, events):
        return chunk.raw
    check(chunk, events)
    texts: dict[tuple[int, type[Event]], str] = {}
    for event in events:
        if isinstance(event, _PIECES):
            key = event.index, type(event)
            texts[key] = texts.get(key, "") + text_of(event)
    own = {id(event.native["content_block"]): event for event in chunk.events if isinstance(event, BlockOpen)}
    content: list[Document] = []
    for block in chunk.native.get("content", ()):
        opened = own.get(id(block))
        kept = opened and _kept(opened, events)
        if opened is not None and kept is not None:
            if kept is not opened:
                rename(block, kept)
            if not _fill(block, opened.index, texts):
                continue
        if opened is None or kept is not None:
            content.append(block)
    for (_, kind), text in texts.items():
        if kind is ToolArgs:
            raise unwritable("a tool call's arguments")
        content.append(block_of(kind, text))
    if "content" in chunk.native:
        chunk.native["content"] = content
    _refinish(chunk, events, None)
    return sse.compact(chunk.native)


def _fill(block: Document, index: int, texts: dict[tuple[int, type[Event]], str]) -> bool:
    """Put what is left of a block's text into it; return whether the block is still to be told."""
    if block["type"] == "tool_use":
        try:
            block["input"] = msgspec.json.decode(texts.pop((index, ToolArgs), "{}"))
        except (msgspec.DecodeError, RecursionError) as error:
            raise unwritable("a tool call's arguments that are not JSON") from error
        return True
    kind = TextDelta if block["type"] == "text" else ReasoningDelta
    field = _FIELDS[kind][1]
    text = texts.pop((index, kind), "")
    if block["type"] == "text" and block[field] and not text:
        return False
    if field in block:
        block[field] = text
    return True


# --- what both share ----------------------------------------------------------------------------------------


def check(chunk: Chunk, events: Sequence[Event]) -> None:
    """Refuse what a filter made and nobody can write.

    Raises:
        InternalError: ``filter_failed``, for a signature, an error, a tool call.
    """
    own = {id(event) for event in chunk.events}
    blocks = {event.index for event in chunk.events if isinstance(event, BlockOpen)}
    for event in events:
        if isinstance(event, (Signature, StreamError)) and id(event) not in own:
            raise unwritable("a signature or an error")
        if isinstance(event, BlockOpen) and event.kind is BlockKind.TOOL_CALL and event.index not in blocks:
            raise unwritable("a tool call")


def rename(block: Document, kept: BlockOpen) -> None:
    """Give a call the id and the name that a filter gave it."""
    if kept.kind is BlockKind.TOOL_CALL:
        block["id"], block["name"] = kept.tool_id, kept.tool_name


def block_of(kind: type[Event], text: str) -> Document:
    """Return a block of a filter's own that holds ``text``, by the kind of its pieces."""
    if kind is ReasoningDelta:
        return {"type": "thinking", "thinking": text, "signature": ""}
    return {"type": "text", "text": text}


def text_of(piece: Piece) -> str:
    """Return the text of a piece, whatever it is called."""
    return piece.fragment if isinstance(piece, ToolArgs) else piece.text


def _sorted(chunk: Chunk, events: Sequence[Event]) -> tuple[str, list[Piece]]:
    """Return the text for a chunk's own place, and the pieces that have none."""
    place = chunk.place
    own = {id(event) for event in chunk.events}
    texts: list[str] = []
    made: list[Piece] = []
    for event in events:
        if not isinstance(event, _PIECES):
            continue
        if place is not None and type(event) is type(place) and event.index == place.index:
            texts.append(text_of(event))
        elif id(event) not in own and text_of(event):
            made.append(event)
    return "".join(texts), made


def _kept(opened: BlockOpen, events: Sequence[Event]) -> BlockOpen | None:
    return next((one for one in events if isinstance(one, BlockOpen) and one.index == opened.index), None)


def _refinish(chunk: Chunk, events: Sequence[Event], field: str | None) -> bool:
    """Write the finish that a filter changed; return whether it did."""
    own = next((event for event in chunk.events if isinstance(event, Finish)), None)
    made = next((event for event in events if isinstance(event, Finish)), None)
    if own is None or made is None or own.kind is made.kind:
        return False
    if made.kind not in REASONS:
        raise unwritable("an error as a finish")
    holder = chunk.native if field is None else chunk.native[field]
    holder.update(stop_reason=REASONS[made.kind], stop_sequence=made.stop_sequence)
    return True
