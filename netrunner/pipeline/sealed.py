"""The seals of calls, kept for callers that drop them: providers want the seal of a call back with it.

They are kept in this process, within bounds, and found again by the same caller's call of the same id and name at the
same provider. Nothing else of an answer is kept.

This module must not know any dialect, nor look into a seal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import msgspec
from zope.interface import implementer

from netrunner.dialects.conversation import Conversation, Part, Reasoning, Request, ToolCall, Turn
from netrunner.dialects.interfaces import IDecoder, ISealsCalls, ISpoken
from netrunner.events import BlockKind, BlockOpen, Event, Signature
from netrunner.pipeline.exchange import Exchange

MAX_BYTES = 16 << 20
"""The most that all seals of one configuration may take."""
MAX_SEAL_BYTES = 1 << 16
"""One that is longer is not kept."""
_KEY_BYTES = 256
"""About what each takes besides."""

Owner = tuple[str | None, str | None, int]
"""A provider, and the caller: its identity, and the hash of its credential, which is not kept."""


class Seals:
    """All seals that are kept, those longest unused first to go."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[Owner, str, str], str] = OrderedDict()

    def keep(self, owner: Owner, id: str, name: str, seal: str) -> None:
        """Keep the seal of a call."""
        if len(seal) > MAX_SEAL_BYTES:
            return
        key = owner, id, name
        before = self._kept.pop(key, None)
        if before is not None:
            self._bytes -= len(before) + _KEY_BYTES
        self._kept[key] = seal
        self._bytes += len(seal) + _KEY_BYTES
        while self._bytes > self._max:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone) + _KEY_BYTES

    def reader(self, exchange: Exchange, spoken: ISpoken, decoder: IDecoder) -> IDecoder:
        """Return what reads the answer to an exchange, and keeps the seals of calls if its provider wants them back."""
        if not ISealsCalls.providedBy(spoken):
            return decoder
        return SealReader(decoder, partial(self.keep, _owner(exchange)))

    def restored(self, exchange: Exchange, spoken: ISpoken, request: Request) -> Request:
        """Return a request whose calls have their seals again, in turns that came back without any."""
        if not self._kept or not ISealsCalls.providedBy(spoken) or not isinstance(request, Conversation):
            return request
        owner = _owner(exchange)
        turns = tuple(self._turn(owner, turn) if turn.role == "assistant" else turn for turn in request.turns)
        return msgspec.structs.replace(request, turns=turns)

    def _turn(self, owner: Owner, turn: Turn) -> Turn:
        if any(isinstance(part, (Reasoning, ToolCall)) and part.signature is not None for part in turn.parts):
            return turn
        return msgspec.structs.replace(turn, parts=tuple(self._part(owner, part) for part in turn.parts))

    def _part(self, owner: Owner, part: Part) -> Part:
        if not isinstance(part, ToolCall):
            return part
        key = owner, part.id, part.name
        seal = self._kept.get(key)
        if seal is None:
            return part
        self._kept.move_to_end(key)
        return msgspec.structs.replace(part, signature=seal)


def _owner(exchange: Exchange) -> Owner:
    return exchange.provider, exchange.identity, hash(exchange.credential())


@implementer(IDecoder)
class SealReader:
    """Reads an answer as another decoder does, and keeps the seals of its calls.

    Args:
        decoder: Reads it.
        keep: Called with the id, the name and the seal of a call.
    """

    __slots__ = ("_calls", "_decoder", "_keep")

    def __init__(self, decoder: IDecoder, keep: Callable[[str, str, str], None]) -> None:
        self._decoder = decoder
        self._keep = keep
        self._calls: dict[tuple[int, int], tuple[str, str]] = {}
        """Id and name of each call, by its choice and block."""

    @property
    def complete(self) -> bool:
        """As of ``IDecoder``."""
        return bool(self._decoder.complete)

    def feed(self, data: bytes, last: bool) -> list[Event]:
        """Return the events that the next bytes complete; raises as ``IDecoder`` says."""
        events: list[Event] = self._decoder.feed(data, last)
        for event in events:
            if isinstance(event, BlockOpen):
                if event.kind is BlockKind.TOOL_CALL and event.tool_id and event.tool_name:
                    self._calls[event.choice, event.index] = event.tool_id, event.tool_name
            elif isinstance(event, Signature) and (call := self._calls.get((event.choice, event.index))) is not None:
                self._keep(*call, event.data)
        return events
