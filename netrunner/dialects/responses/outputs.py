"""The items of a response as blocks: of each message's part one, of each thought and call one.

This module must not know how a response begins and ends; ``decoder`` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from netrunner.dialects import seals
from netrunner.dialects.answers import MAX_BLOCKS, Document, obj, objects, text, too_large, unreadable
from netrunner.dialects.turns import BETWEEN
from netrunner.events import (
    BlockClose,
    BlockKind,
    BlockOpen,
    Event,
    ReasoningDelta,
    Signature,
    TextDelta,
    ToolArgs,
)

_MESSAGE, _THOUGHT, _CALL = "message", "reasoning", "function_call"

_PIECES = {
    "response.output_text": (_MESSAGE, "output_text", "content_index", "text"),
    "response.refusal": (_MESSAGE, "refusal", "content_index", "refusal"),
    "response.reasoning_summary_text": (_THOUGHT, "summary", "summary_index", "text"),
    "response.reasoning_text": (_THOUGHT, "content", "content_index", "text"),
    "response.function_call_arguments": (_CALL, "arguments", "", "arguments"),
}
"""What an event is about: the type of its item, which part of it, what counts those, and where all of it stands."""
_WORDS = {"output_text": "text", "refusal": "refusal"}
"""Where the words of a message's part stand, by its type."""

_Key = tuple[str, int]
"""A part of an item: which kind, and its number."""


class _Item:
    """One item, as far as it has come."""

    __slots__ = ("block", "done", "kind", "part", "seen")

    def __init__(self, kind: str | None) -> None:
        self.kind = kind
        self.block: int | None = None
        """The block that is open."""
        self.part: _Key | None = None
        """What is written there."""
        self.seen: set[_Key] = set()
        self.done = False


class Output:
    """Reads the items of one response."""

    __slots__ = ("_items", "_known", "_next", "_parts", "calls")

    def __init__(self) -> None:
        self.calls = 0
        """How many there were."""
        self._items: list[_Item] = []
        self._known: dict[str | int, _Item] = {}
        """By id, by the id of its call, and by its place."""
        self._next = 0
        """The number of the next block."""
        self._parts = 0

    def event(self, kind: str, told: Document) -> Iterator[Event]:
        """Yield what an event of a stream tells of an item.

        Raises:
            UpstreamError: for what cannot be read, or is too much.
        """
        if kind == "response.output_item.added":
            yield from self._added(obj(told, "item"), _place(told, "output_index"))
        elif kind == "response.output_item.done":
            yield from self._whole(obj(told, "item"), _place(told, "output_index"))
        else:
            about, _, way = kind.rpartition(".")
            if about in _PIECES and way in ("delta", "done"):
                yield from self._piece(about, way == "delta", told)

    def rest(self, items: list[Document]) -> Iterator[Event]:
        """Yield what has not come yet of the items of the whole response.

        One that is not known is taken only if nothing of its type has come: ids may differ, and words come once.
        """
        told = {item.kind for item in self._items if item.seen or item.done or item.kind == _CALL}
        for position, item in enumerate(items):
            kind = text(item, "type")
            if self._find(item, position, kind) is not None:
                yield from self._whole(item, position)
            elif kind not in told:
                yield from self._whole(item, None)

    def close(self) -> Iterator[Event]:
        """Yield what ends the blocks that are open."""
        for item in self._items:
            yield from self._close(item)

    # --- items --------------------------------------------------------------------------------------------------

    def _find(self, item: Document, place: int | None, kind: str | None) -> _Item | None:
        for name in ("id", "call_id"):
            found = self._known.get(text(item, name) or "")
            if found is not None:
                return found
        found = self._known.get(place) if place is not None else None
        return found if found is not None and found.kind == kind else None

    def _added(self, item: Document, place: int | None) -> Iterator[Event]:
        kind = text(item, "type")
        found = _Item(kind)
        if len(self._items) >= MAX_BLOCKS:
            raise too_large()
        self._known[len(self._items) if place is None else place] = found
        self._items.append(found)
        for field in ("id", "call_id"):
            if key := text(item, field):
                self._known[key] = found
        if kind == _CALL:
            name, call = text(item, "name"), text(item, "call_id") or text(item, "id")
            if not name:
                raise unreadable("has a call without a name")
            self.calls += 1
            yield from self._open(found, BlockKind.TOOL_CALL, call, name)

    def _whole(self, item: Document, place: int | None) -> Iterator[Event]:
        """Yield what has not come yet of an item that is complete."""
        kind = text(item, "type")
        found = self._find(item, place, kind)
        if found is None:
            yield from self._added(item, place)
            found = self._items[-1]
        if found.done:
            return
        found.done = True
        if kind == _MESSAGE:
            for at, part in enumerate(objects(item, "content")):
                which = text(part, "type") or ""
                if which in _WORDS:
                    yield from self._rest(found, (which, at), text(part, _WORDS[which]))
        elif kind == _THOUGHT:
            for field in ("summary", "content"):
                for at, part in enumerate(objects(item, field)):
                    yield from self._rest(found, (field, at), text(part, "text"))
            yield from self._sealed(found, text(item, "encrypted_content"))
        elif kind == _CALL:
            yield from self._rest(found, ("arguments", 0), text(item, "arguments"))
        yield from self._close(found)

    def _sealed(self, item: _Item, seal: str | None) -> Iterator[Event]:
        if seal:
            if item.block is None:
                yield from self._open(item, BlockKind.REDACTED)
            assert item.block is not None
            yield Signature(data=seals.seal(seals.RESPONSES, seal), index=item.block)

    # --- pieces -------------------------------------------------------------------------------------------------

    def _piece(self, about: str, delta: bool, told: Document) -> Iterator[Event]:
        kind, which, counter, field = _PIECES[about]
        item = self._of(told, kind)
        if item is None:
            if kind == _CALL:
                raise unreadable("has a piece of a call that has not begun")
            yield from self._added({"type": kind, "id": told.get("item_id")}, _place(told, "output_index"))
            item = self._items[-1]
        key = which, _place(told, counter) or 0
        words = text(told, "delta" if delta else field)
        yield from self._write(item, key, words or "") if delta else self._rest(item, key, words)

    def _of(self, told: Document, kind: str) -> _Item | None:
        """Return the item of a piece: by its id or place, else the last of its type."""
        for key in (text(told, "item_id"), _place(told, "output_index")):
            found = None if key is None else self._known.get(key)
            if found is not None:
                if found.kind != kind:
                    raise unreadable("has a piece of another kind of item")
                return found
        if told.get("item_id") or told.get("output_index") is not None:
            return None
        return next((item for item in reversed(self._items) if item.kind == kind), None)

    def _rest(self, item: _Item, key: _Key, words: str | None) -> Iterator[Event]:
        """Yield the words of a part of which none had come."""
        if words and key not in item.seen:
            yield from self._write(item, key, words)

    def _write(self, item: _Item, key: _Key, words: str) -> Iterator[Event]:
        if not words:
            return
        if item.kind == _THOUGHT:
            if item.part is not None and item.part[0] != key[0]:
                # In full and as a summary: the one that came first is told.
                return
            if item.part is not None and item.part != key:
                words = BETWEEN + words
        elif item.part != key and item.kind == _MESSAGE:
            yield from self._close(item)
        if key not in item.seen:
            item.seen.add(key)
            self._parts += 1
            if self._parts > MAX_BLOCKS:
                raise too_large()
        if item.block is None:
            kind = BlockKind.REASONING if item.kind == _THOUGHT else BlockKind.TEXT
            yield from self._open(item, BlockKind.REFUSAL if key[0] == "refusal" else kind)
        item.part = key
        block = item.block
        assert block is not None
        if item.kind == _CALL:
            yield ToolArgs(fragment=words, index=block)
        elif item.kind == _THOUGHT:
            yield ReasoningDelta(text=words, index=block)
        else:
            yield TextDelta(text=words, index=block)

    def _open(
        self, item: _Item, kind: BlockKind, tool_id: str | None = None, tool_name: str | None = None
    ) -> Iterator[Event]:
        item.block = self._next
        self._next += 1
        yield BlockOpen(kind=kind, index=item.block, tool_id=tool_id, tool_name=tool_name)

    def _close(self, item: _Item) -> Iterator[Event]:
        if item.block is not None:
            block, item.block = item.block, None
            yield BlockClose(index=block)


def _place(told: Document, field: str) -> int | None:
    """Return a place that a provider may leave out."""
    place = told.get(field)
    if place is not None and (not isinstance(place, int) or isinstance(place, bool)):
        raise unreadable(f"has a {field} that is no number")
    return place
