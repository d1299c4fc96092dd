"""The seals of calls, kept for callers that drop them: providers want the seal of a call back with it.

They are kept in this process, within bounds, and with others where there is a place for that. They are found again by
the same caller's call of the same id and name at the same provider. Nothing else of an answer is kept, and of the
caller a digest.

This module must not know any dialect, nor look into a seal.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol

import msgspec
from zope.interface import implementer

from netrunner.dialects.conversation import Conversation, Part, Reasoning, Request, ToolCall, Turn
from netrunner.dialects.interfaces import IDecoder, ISealsCalls, ISpoken
from netrunner.events import BlockKind, BlockOpen, Event, Signature
from netrunner.pipeline.exchange import Exchange

MAX_BYTES = 16 << 20
"""The most that all seals of one process may take."""
MAX_SEAL_BYTES = 1 << 16
"""One that is longer is not kept."""
MAX_ASKED = 256
"""The most that others are asked for at once, those of the latest calls: providers insist on the newest turns."""
TTL_S = 86400.0
"""How long others find a seal."""
FOUND, MISSING, UNAVAILABLE = ASKED = ("found", "missing", "unavailable")
"""What comes of asking others; the last while they cannot be reached."""
_KEY_BYTES = 256
"""About what each takes besides."""

_encode = msgspec.msgpack.Encoder().encode


class SealMemory:
    """The seals that one process keeps by their keys, those longest unused first to go; it outlives configurations."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.bytes = 0
        """What they take."""
        self.asked: Counter[str] = Counter()
        """How many others were asked for, by what came of it."""
        self.changes = 0
        """How often one was put here."""
        self.damaged = 0
        """Files of seals that could not be read."""
        self._max = max_bytes
        self._kept: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def get(self, key: bytes) -> str | None:
        """Return the seal of a key."""
        seal = self._kept.get(key)
        if seal is not None:
            self._kept.move_to_end(key)
        return seal

    def put(self, key: bytes, seal: str) -> None:
        """Keep a seal, of ``MAX_SEAL_BYTES`` at most."""
        before = self._kept.pop(key, None)
        if before is not None:
            self.bytes -= len(before) + _KEY_BYTES
        self._kept[key] = seal
        self.changes += 1
        self.bytes += len(seal) + _KEY_BYTES
        while self.bytes > self._max:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= len(gone) + _KEY_BYTES

    def entries(self) -> list[tuple[bytes, str]]:
        """Return keys and seals, those longest unused first."""
        return list(self._kept.items())

    def add(self, entries: Sequence[tuple[bytes, str]]) -> None:
        """Keep the seals of keys that have none; one that is too long is left out."""
        for key, seal in entries:
            if key not in self._kept and len(seal) <= MAX_SEAL_BYTES:
                self.put(key, seal)


class Others(Protocol):
    """Where other processes keep seals; nothing here fails, what cannot be reached holds nothing."""

    @property
    def available(self) -> bool:
        """Whether they can be reached now."""

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return what they keep under each key, in their order; within three seconds."""

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Let them find a value for so many seconds; nobody waits for that."""


class Seals:
    """Keeps the seals of one configuration's answers, and puts them back into its requests.

    Args:
        memory: Where they are kept in this process.
        others: Where they keep theirs, and find ours; None where there are no others.
        addresses: Of providers: a seal never goes to another one that has got the name of its own meanwhile.
    """

    def __init__(
        self,
        memory: SealMemory | None = None,
        others: Others | None = None,
        addresses: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.memory = SealMemory() if memory is None else memory
        self._others = others
        self._addresses = addresses

    @property
    def available(self) -> bool:
        """Whether seals are found, and kept, where they should be."""
        return self._others is None or self._others.available

    def reader(self, exchange: Exchange, spoken: ISpoken, decoder: IDecoder) -> IDecoder:
        """Return what reads the answer to an exchange, and keeps the seals of calls if its provider wants them back."""
        if not ISealsCalls.providedBy(spoken):
            return decoder
        return SealReader(decoder, partial(self._keep, exchange))

    def lacking(self, exchange: Exchange, spoken: ISpoken, request: Request) -> Sequence[bytes]:
        """Return the keys of the seals that a request has lost and that only others may have.

        The seals of one turn came with one answer, so one that is at hand means that there are no others.
        """
        if self._others is None or not ISealsCalls.providedBy(spoken) or not isinstance(request, Conversation):
            return ()
        owner = b""
        keys: list[bytes] = []
        for turn in reversed(request.turns):
            calls = [part for part in turn.parts if isinstance(part, ToolCall)] if turn.role == "assistant" else ()
            if calls and not _has_seals(turn):
                owner = owner or self._owner(exchange)
                its = [_key(owner, call.id, call.name) for call in calls]
                keys += [] if any(key in self.memory for key in its) else its
            if len(keys) >= MAX_ASKED:
                break
        return keys[:MAX_ASKED]

    async def fetch(self, keys: Sequence[bytes]) -> None:
        """Have the seals of these keys at hand, as far as others have them; may wait for three seconds."""
        assert self._others is not None
        found = [_text(value) for value in await self._others.get_all(keys)]
        for key, seal in zip(keys, found, strict=True):
            if seal is not None:
                self.memory.put(key, seal)
        have = len(found) - found.count(None)
        self.memory.asked[FOUND] += have
        self.memory.asked[MISSING if self.available else UNAVAILABLE] += len(found) - have

    def restored(self, exchange: Exchange, spoken: ISpoken, request: Request) -> Request:
        """Return a request whose calls have their seals again, in turns that came back without any."""
        if not self.memory.bytes or not ISealsCalls.providedBy(spoken) or not isinstance(request, Conversation):
            return request
        owner = self._owner(exchange)
        turns = tuple(self._turn(owner, turn) if turn.role == "assistant" else turn for turn in request.turns)
        return msgspec.structs.replace(request, turns=turns)

    def _turn(self, owner: bytes, turn: Turn) -> Turn:
        if _has_seals(turn):
            return turn
        return msgspec.structs.replace(turn, parts=tuple(self._part(owner, part) for part in turn.parts))

    def _part(self, owner: bytes, part: Part) -> Part:
        if not isinstance(part, ToolCall):
            return part
        seal = self.memory.get(_key(owner, part.id, part.name))
        return part if seal is None else msgspec.structs.replace(part, signature=seal)

    def _keep(self, exchange: Exchange, id: str, name: str, seal: str) -> None:
        if len(seal) > MAX_SEAL_BYTES:
            return
        key = _key(self._owner(exchange), id, name)
        self.memory.put(key, seal)
        if self._others is not None:
            self._others.put(key, seal.encode(), TTL_S)

    def _owner(self, exchange: Exchange) -> bytes:
        """Return a digest of who may have a seal back, and from whom it came: the same one in every process."""
        provider = exchange.provider or ""
        whose = provider, self._addresses.get(provider), exchange.identity, exchange.credential()
        return hashlib.sha256(_encode(whose)).digest()


def _key(owner: bytes, id: str, name: str) -> bytes:
    return hashlib.sha256(_encode((owner, id, name))).digest()


def _has_seals(turn: Turn) -> bool:
    return any(isinstance(part, (Reasoning, ToolCall)) and part.signature is not None for part in turn.parts)


def _text(value: bytes | None) -> str | None:
    """Return a seal as others have kept it; None for what is none."""
    try:
        return None if value is None or len(value) > MAX_SEAL_BYTES else value.decode()
    except UnicodeDecodeError:
        return None


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
