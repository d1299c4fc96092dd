"""The filter ``cache``: answers a question that was asked before with the answer it got then.

A question is the same if every byte of it is, as it goes on to a provider, and if it comes from the same caller or
project, unless the configuration says that all may share. What callers and providers say of caches (RFC 9111) is heeded
as far as it has a meaning for requests that are POSTs; ``Cache-Status`` (RFC 9211) and ``Age`` tell what was done.

This module must not keep what is not whole, no success, or not meant to be kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from zope.interface import implementer

from netrunner.asked import IRemembers
from netrunner.dialects.conversation import Operation
from netrunner.dialects.interfaces import ITranslates
from netrunner.errors import ExchangeError
from netrunner.filters.flights import Flight, Flights
from netrunner.filters.freshness import accepts, directives, lifetime_s
from netrunner.filters.kept import ENTRY_BYTES, Kept, SharedShelf, Shelf
from netrunner.interfaces import IEnvironment, IFinishPhase, IResponsePhase, IStartable, IWatcher
from netrunner.offers import FilterFactory
from netrunner.settings import setting
from netrunner.values import Headers, MessageHead, Outcome, Recalled, Record, ResponseHead

_OPERATIONS = frozenset({Operation.CHAT, Operation.EMBED, Operation.COUNT})
_STATEFUL = frozenset({"background", "container", "conversation", "previous_response_id"})
"""Fields by which a request means something that is kept at the provider, and may change there."""
_OPT_IN = frozenset({"public", "max-age", "min-fresh", "only-if-cached"})
"""What a caller says who wants an answer of before."""
_KEPT = frozenset({b"cache-control", b"content-type", b"netrunner-dropped", b"x-accel-buffering"})
"""The fields that are given again: the others tell of one exchange."""
_NOT_ASKED = frozenset(
    b"accept cf-aig-event-id http-referer idempotency-key user-agent x-app x-goog-api-client x-request-id"
    b" x-title".split()
)
"""Request fields that tell who asks and not what."""
_AWAY = b"; detail=store_unavailable"
_SEPARATED = msgspec.msgpack.Encoder()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Settings of the filter ``cache``."""

    when: Literal["asked", "always"] = setting(
        "asked",
        doc="Which requests are answered from what is kept, and their answers kept: those whose `Cache-Control` has "
        "`public`, `max-age`, `min-fresh` or `only-if-cached`, or `always` all that do not say `no-store`.",
    )
    scope: Literal["caller", "project", "all"] = setting(
        "caller", doc="Who shares answers: nobody, the callers of a `project`, or `all`, whatever key they have."
    )
    ttl_s: float = setting(3600.0, minimum=0.001, doc="Seconds that an answer is kept, unless its provider says fewer.")
    max_bytes: int = setting(67108864, minimum=65536, doc="Bytes of all answers kept.")
    max_entries: int = setting(10000, minimum=1, doc="Answers kept.")
    max_answer_bytes: int = setting(1048576, minimum=1, doc="Bytes of the largest answer that is kept.")
    store: Literal["memory", "shared"] = setting(
        "memory",
        doc="Where answers are kept: in the `memory` of this process, or `shared` by all that have the same `shared`.",
    )
    wait_s: float = setting(
        10.0,
        minimum=0.0,
        doc="Most seconds that a question waits for the answer to the same one, asked just before; 0 for not at all.",
    )


@implementer(IFinishPhase, IRemembers, IResponsePhase, IStartable)
class Cache:
    """Answers what was answered before."""

    def __init__(self, settings: CacheSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self.clock = environment.clock
        self.shelf = Shelf(settings.max_bytes, settings.max_entries)
        """Where answers are kept, or only heard where they are kept for others as well."""
        self.hits = self.misses = 0
        self._flights = Flights()
        self._shared: SharedShelf | None = None
        if settings.store == "shared":
            self._shared = SharedShelf(environment.shared_store("cache"), environment.clock)

    @property
    def held_bytes(self) -> int:
        """What its memory takes."""
        return self.shelf.bytes

    @property
    def available(self) -> bool:
        """Whether answers can be found, and kept, where they should be."""
        return self._shared is None or self._shared.store.available

    def start(self) -> None:
        """Connect, where answers are kept elsewhere."""
        if self._shared is not None:
            self._shared.store.start()

    def stop(self) -> Any:
        """Let nobody wait any more, and hang up."""
        self._flights.clear()
        return None if self._shared is None else self._shared.store.stop()

    async def purge(self) -> int:
        """Forget everything."""
        return self.shelf.clear() if self._shared is None else await self._shared.store.clear()

    async def recall(self, exchange: Any, places: Sequence[str]) -> Recalled | IWatcher | None:
        """Answer, or listen to what is answered; see ``IRemembers``.

        Raises:
            ExchangeError: ``not_cached``, 504, for what may only be answered from here (RFC 9111, 5.2.1.7).
        """
        asked = directives(exchange.headers)
        if "no-store" in asked or not (self.settings.when == "always" or _OPT_IN & asked.keys()):
            return None
        found, key = None, None
        if _can_be_repeated(exchange):
            key = self._key(exchange, places)
            found = await self._find(key)
            answer = self._good(found, asked)
            if answer is not None:
                return answer
        if "only-if-cached" in asked:
            raise ExchangeError("There is no answer kept for this request.", code="not_cached", status=504)
        if key is None:
            return None
        answer = await self._others(key, asked)
        if answer is not None or exchange.outcome is not None:
            return answer
        self.misses += 1
        why = b"miss" if found is None else b"request"
        flight = self._flights.lead(key) if self.settings.wait_s else None
        listener = exchange.notes[self] = _Listener(self, key, why if self.available else why + _AWAY, flight)
        return listener

    async def _find(self, key: bytes) -> Kept | None:
        if self._shared is not None:
            return await self._shared.get(key)
        return self.shelf.get(key, self.clock.seconds())

    def _good(self, found: Kept | None, asked: Mapping[str, str | None], collapsed: bool = False) -> Recalled | None:
        """Return what was found as an answer, if the caller takes it."""
        now = self.clock.seconds()
        if found is None or not accepts(asked, now - found.began_s, found.ends_s - now):
            return None
        self.hits += 1
        return _again(found, now, collapsed)

    async def _others(self, key: bytes, asked: Mapping[str, str | None]) -> Recalled | None:
        """Return the answer that somebody waits for who has asked the same, if it comes in time and is good."""
        flight = self._flights.get(key)
        if flight is None or "no-cache" in asked:
            return None
        return self._good(await flight.landed(self.settings.wait_s, self.clock), asked, collapsed=True)

    async def on_response(self, exchange: Any, head: ResponseHead) -> ResponseHead | None:
        """Tell that the answer comes from the provider, and why."""
        listener = exchange.notes.get(self)
        if listener is None:
            return None
        status = (b"cache-status", b"netrunner; fwd=" + listener.why)
        return ResponseHead(head.status, head.reason, [*head.headers, status])

    def on_finish(self, exchange: Any, outcome: Outcome) -> None:
        """Let nobody wait for an answer that never began."""
        listener = exchange.notes.get(self)
        if listener is not None:
            listener.land(None)

    def keep(self, key: bytes, answer: Kept) -> None:
        """Keep an answer for which room was claimed."""
        if self._shared is None:
            self.shelf.put(key, answer)
        else:
            self.shelf.give_back(len(answer.body) + ENTRY_BYTES)
            self._shared.put(key, answer)

    def _key(self, exchange: Any, places: Sequence[str]) -> bytes:
        """Return what tells a question from all others: a digest of everything that its answer depends on."""
        passes = exchange.dialect.passes - _NOT_ASKED
        envelope = exchange.envelope
        question = (
            self._sharers(exchange),
            places,
            exchange.dialect.name,
            exchange.endpoint,
            exchange.query,
            envelope.version,
            [field for field in exchange.headers if field[0] in passes],
            envelope.body,
        )
        return hashlib.sha256(_SEPARATED.encode(question)).digest()

    def _sharers(self, exchange: Any) -> tuple[Any, ...]:
        """Return what tells those who share answers from all others."""
        scope = self.settings.scope
        if scope == "all":
            return ()
        if scope == "project" and exchange.holder is not None:
            return ("project", exchange.holder.project)
        if exchange.identity is not None or exchange.credential() is not None:
            return ("caller", exchange.identity, exchange.credential())
        return ("address", exchange.source)


@implementer(IWatcher)
class _Listener:
    """Hears one answer, and has it kept if it turns out to be whole.

    Args:
        cache: Where it is kept.
        key: Of the question.
        why: It was asked: what ``Cache-Status`` says.
        flight: Those who wait for it, if it is the first of its kind.
    """

    def __init__(self, cache: Cache, key: bytes, why: bytes, flight: Flight | None) -> None:
        self.why = why
        self._cache = cache
        self._key = key
        self._flight = flight
        self._headers: Headers = []
        self._began = 0.0
        self._lifetime_s = 0.0
        self._pieces: list[bytes] = []
        self._claimed = 0

    def message(self, direction: str, head: MessageHead) -> None:
        """The answer begins."""
        settings = self._cache.settings
        self._lifetime_s = lifetime_s(head, settings.ttl_s, settings.scope != "caller")
        self._headers = [field for field in head.headers if field[0] in _KEPT]
        self._began = self._cache.clock.seconds()
        if self._lifetime_s:
            self._claim(ENTRY_BYTES)
        else:
            self.land(None)

    def piece(self, direction: str, data: bytes) -> None:
        """The next bytes of it."""
        if self._lifetime_s and self._claim(len(data)):
            self._pieces.append(data)

    def _claim(self, size: int) -> bool:
        most = self._cache.settings.max_answer_bytes + ENTRY_BYTES
        if self._claimed + size <= most and self._cache.shelf.claim(size):
            self._claimed += size
            return True
        self._give_up()
        return False

    def _give_up(self) -> None:
        self._cache.shelf.give_back(self._claimed)
        self._claimed, self._lifetime_s, self._pieces = 0, 0.0, []
        self.land(None)

    def land(self, answer: Kept | None) -> None:
        """Let those go on who wait for it."""
        if self._flight is not None:
            self._flight.land(answer)

    def ended(self, record: Record) -> None:
        """It is whole, or never will be."""
        if not self._lifetime_s:
            return
        if record.outcome != Outcome.DONE.value or record.error is not None:
            self._give_up()
            return
        ends = self._began + self._lifetime_s
        answer = Kept(record.id, record.status, self._headers, b"".join(self._pieces), self._began, ends)
        self._cache.keep(self._key, answer)
        self.land(answer)


def _can_be_repeated(exchange: Any) -> bool:
    """Return whether the same request means the same another time."""
    dialect, envelope = exchange.dialect, exchange.envelope
    if envelope is None or not ITranslates.providedBy(dialect):
        return False
    if dialect.operation(exchange.method, exchange.endpoint) not in _OPERATIONS:
        return False
    try:
        fields = msgspec.json.decode(envelope.body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return not _STATEFUL & fields.keys()


def _again(found: Kept, now_s: float, collapsed: bool) -> Recalled:
    ttl = b"; ttl=%d" % (found.ends_s - now_s)
    status = b"netrunner; " + (b"fwd=miss; collapsed" if collapsed else b"hit") + ttl
    headers = [*found.headers, (b"age", b"%d" % (now_s - found.began_s)), (b"cache-status", status)]
    return Recalled(found.status, headers, found.body, found.id)


plugin = FilterFactory(
    name="cache",
    build=Cache,
    settings=CacheSettings,
    doc="Answers a question that was asked before with the answer it got then.",
)
