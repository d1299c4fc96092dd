"""What the logging server finds again without looking into its folder: the newest exchanges, in order.

It is filled once from the folder, in a thread, before the first message comes, and kept by every message that begins
or ends. Only so many exchanges are known at a time; the files of older ones stay where they are.

This module must not touch files.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator

import msgspec

from netrunner.logserver.message import Type
from netrunner.logserver.metadata import Metadata

MAX_TEXT = 1024
"""Characters of a path or a URL that are kept for a search."""


class Side(msgspec.Struct, frozen=True):
    """One of the two messages of an exchange."""

    file: str
    bytes: int
    completed: bool
    error: str | None


class Entry(msgspec.Struct, frozen=True):
    """One exchange, as lists show it."""

    id: str
    at_accept: float
    method: str | None = None
    url: str | None = None
    path: str | None = None
    status: int | None = None
    header_latency_s: float | None = None
    request: Side | None = None
    response: Side | None = None

    def side(self, type: Type) -> Side | None:
        """Return one of its messages."""
        return self.request if type == "request" else self.response

    def with_message(self, metadata: Metadata) -> Entry:
        """Return this with another message; one that is complete is not replaced by one that is not."""
        known = self.side(metadata.type)
        if known is not None and known.completed and not metadata.completed:
            return self
        side = Side(metadata.file, metadata.bytes, metadata.completed, metadata.error)
        if metadata.type == "request":
            url, path = (text and text[:MAX_TEXT] for text in (metadata.url, metadata.path))
            return msgspec.structs.replace(self, request=side, method=metadata.method, url=url, path=path)
        return msgspec.structs.replace(
            self, response=side, status=metadata.status, header_latency_s=metadata.header_latency_s
        )


class Wanted(msgspec.Struct, frozen=True):
    """Which exchanges somebody wants to see; all of it has to hold."""

    method: str | None = None
    """Upper case."""
    path: str | None = None
    """Occurs in the path."""
    status: str | None = None
    """A status, or a class of them: ``404``, ``5xx``."""
    name: str | None = None
    """Occurs in the name of a file."""

    def matches(self, entry: Entry) -> bool:
        """Return whether ``entry`` is one of them."""
        return (
            (self.method is None or self.method == entry.method)
            and (self.path is None or self.path in (entry.path or ""))
            and (self.status is None or self._has_status(str(entry.status or "")))
            and (self.name is None or any(self.name in side.file for side in (entry.request, entry.response) if side))
        )

    def _has_status(self, status: str) -> bool:
        wanted = self.status or ""
        return status[:1] == wanted[:1] if wanted.endswith("xx") else status == wanted


class Index:
    """The newest exchanges.

    Args:
        most: How many are known at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[str, Entry] = {}
        self._order: list[tuple[float, str]] = []
        """Oldest first."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, id: str) -> Entry | None:
        """Return the exchange of that id."""
        return self._entries.get(id)

    def note(self, metadata: Metadata) -> None:
        """Take note of a message that began or ended."""
        entry = self._entries.get(metadata.id)
        if entry is None:
            entry = Entry(metadata.id, metadata.at_accept)
            place = (entry.at_accept, entry.id)
            if len(self._order) >= self._most:
                if place < self._order[0]:
                    return
                del self._entries[self._order.pop(0)[1]]
            insort(self._order, place)
        self._entries[metadata.id] = entry.with_message(metadata)

    def forget(self, metadata: Metadata) -> None:
        """Forget a message that was discarded."""
        entry = self._entries.get(metadata.id)
        side = entry.side(metadata.type) if entry is not None else None
        if entry is None or side is None or side.file != metadata.file:
            return
        left = msgspec.structs.replace(entry, **{metadata.type: None})
        if left.request is None and left.response is None:
            del self._entries[entry.id]
            del self._order[bisect_left(self._order, (entry.at_accept, entry.id))]
        else:
            self._entries[entry.id] = left

    def forget_files(self, names: Collection[str]) -> None:
        """Forget messages whose files were removed; exchanges that are newer than all of these are not looked at."""
        last = max(names)
        left: list[tuple[float, str]] = []
        looked_at = 0
        for place in self._order:
            entry = self._entries[place[1]]
            sides = {type: side for type, side in (("request", entry.request), ("response", entry.response)) if side}
            if all(side.file > last for side in sides.values()):
                break
            looked_at += 1
            gone = [type for type, side in sides.items() if side.file in names]
            if len(gone) == len(sides):
                del self._entries[entry.id]
                continue
            left.append(place)
            if gone:
                self._entries[entry.id] = msgspec.structs.replace(entry, **dict.fromkeys(gone))
        self._order = left + self._order[looked_at:]

    def filled(self, found: Iterable[Metadata]) -> Index:
        """Return another index with everything in ``found``, oldest first; may run in a thread."""
        index = Index(self._most)
        for metadata in found:
            index.note(metadata)
        return index

    def adopt(self, other: Index) -> None:
        """Take over what ``filled`` found."""
        self._entries, self._order = other._entries, other._order

    def page(self, wanted: Wanted, limit: int, before: str | None) -> list[Entry] | None:
        """Return up to ``limit`` exchanges, newest first, in so far as they are older than the one of id ``before``.

        May run in a thread beside ``note``. None when nothing is known of ``before``.
        """
        order = self._order.copy()
        end = len(order)
        if before is not None:
            last = self._entries.get(before)
            if last is None:
                return None
            end = bisect_left(order, (last.at_accept, last.id))
        found: list[Entry] = []
        for entry in self._newest_first(order, end):
            if len(found) == limit:
                break
            if wanted.matches(entry):
                found.append(entry)
        return found

    def _newest_first(self, order: list[tuple[float, str]], end: int) -> Iterator[Entry]:
        for position in range(end - 1, -1, -1):
            entry = self._entries.get(order[position][1])
            if entry is not None:
                yield entry
