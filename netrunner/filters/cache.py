"""The filter ``cache``: answers a question that was asked before with the answer it got then.

A question is the same if every byte of it is, as it goes on to a provider, and if it comes from the same caller or
project, unless the configuration says that all may share. What callers and providers say of caches (RFC 9111) is heeded
as far as it has a meaning for requests that are POSTs; ``Cache-Status`` (RFC 9211) and ``Age`` tell what was done.

This module must not keep what is not whole, no success, or not meant to be kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from zope.interface import implementer

from netrunner.asked import IRemembers
from netrunner.dialects.conversation import Operation
from netrunner.dialects.interfaces import ITranslates
from netrunner.errors import ExchangeError
from netrunner.filters.kept import ENTRY_BYTES, Kept, Shelf
from netrunner.interfaces import IEnvironment, IResponsePhase, IWatcher
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


@implementer(IRemembers, IResponsePhase)
class Cache:
    """Answers what was answered before."""

    def __init__(self, settings: CacheSettings, environment: IEnvironment) -> None:
        self.settings = settings
        self.clock = environment.clock
        self.shelf = Shelf(settings.max_bytes, settings.max_entries)
        self.hits = self.misses = 0

    @property
    def held_bytes(self) -> int:
        """What its memory takes."""
        return self.shelf.bytes

    def purge(self) -> int:
        """Forget everything."""
        return self.shelf.clear()

    def recall(self, exchange: Any, places: Sequence[str]) -> Recalled | IWatcher | None:
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
            now = self.clock.seconds()
            found = self.shelf.get(key, now)
            if found is not None and _accepts(asked, now - found.began_s, found.ends_s - now):
                self.hits += 1
                return _again(found, now)
        if "only-if-cached" in asked:
            raise ExchangeError("There is no answer kept for this request.", code="not_cached", status=504)
        if key is None:
            return None
        self.misses += 1
        exchange.notes[self] = b"netrunner; fwd=" + (b"miss" if found is None else b"request")
        return _Listener(self, key)

    async def on_response(self, exchange: Any, head: ResponseHead) -> ResponseHead | None:
        """Tell that the answer comes from the provider, and why."""
        status = exchange.notes.get(self)
        if status is None:
            return None
        return ResponseHead(head.status, head.reason, [*head.headers, (b"cache-status", status)])

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

    def lifetime_s(self, head: MessageHead) -> float:
        """Return how long an answer with this head may be kept, by what its provider says; 0 if it may not."""
        fields = dict(head.headers)
        told = directives(head.headers)
        shared = self.settings.scope != "caller"
        stream = fields.get(b"content-type", b"").startswith((b"text/event-stream", b"application/x-ndjson"))
        if (
            not head.start.startswith(b"HTTP/1.1 200 ")
            or fields.get(b"content-encoding", b"identity") != b"identity"
            or b"*" in fields.get(b"vary", b"")
            or "no-store" in told
            or (shared and "private" in told)
            # Every stream is said to be that, which is meant for those who would hold it back.
            or ("no-cache" in told and not stream)
        ):
            return 0.0
        age = told.get("s-maxage") if shared and "s-maxage" in told else told.get("max-age")
        return self.settings.ttl_s if age is None and "max-age" not in told else min(self.settings.ttl_s, _seconds(age))


@implementer(IWatcher)
class _Listener:
    """Hears one answer, and has it kept if it turns out to be whole.

    Args:
        cache: Where it is kept.
        key: Of the question.
    """

    def __init__(self, cache: Cache, key: bytes) -> None:
        self._cache = cache
        self._key = key
        self._headers: Headers = []
        self._began = 0.0
        self._lifetime_s = 0.0
        self._pieces: list[bytes] = []
        self._claimed = 0

    def message(self, direction: str, head: MessageHead) -> None:
        """The answer begins."""
        self._lifetime_s = self._cache.lifetime_s(head)
        self._headers = [field for field in head.headers if field[0] in _KEPT]
        self._began = self._cache.clock.seconds()
        if self._lifetime_s:
            self._claim(ENTRY_BYTES)

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

    def ended(self, record: Record) -> None:
        """It is whole, or never will be."""
        if not self._lifetime_s:
            return
        if record.outcome != Outcome.DONE.value or record.error is not None:
            self._give_up()
            return
        ends = self._began + self._lifetime_s
        kept = Kept(record.id, record.status, self._headers, b"".join(self._pieces), self._began, ends)
        self._cache.shelf.put(self._key, kept)


def directives(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str | None]:
    """Return what ``Cache-Control`` says: lowercase names and their values, if they have one (RFC 9111, 5.2)."""
    told: dict[str, str | None] = {}
    for name, value in headers:
        if name == b"cache-control":
            for one in value.decode("latin-1").split(","):
                directive, given, text = one.strip().partition("=")
                told.setdefault(directive.lower(), text.strip('"') if given else None)
    return told


def _seconds(text: str | None) -> float:
    """Return a time that a directive gives; 0 for what is none."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _accepts(asked: Mapping[str, str | None], age_s: float, left_s: float) -> bool:
    """Return whether a caller takes an answer of that age, good for so long (RFC 9111, 5.2.1)."""
    return (
        "no-cache" not in asked
        and ("max-age" not in asked or age_s < _seconds(asked["max-age"]))
        and ("min-fresh" not in asked or left_s >= _seconds(asked["min-fresh"]))
    )


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


def _again(found: Kept, now_s: float) -> Recalled:
    status = b"netrunner; hit; ttl=%d" % (found.ends_s - now_s)
    headers = [*found.headers, (b"age", b"%d" % (now_s - found.began_s)), (b"cache-status", status)]
    return Recalled(found.status, headers, found.body, found.id)


plugin = FilterFactory(
    name="cache",
    build=Cache,
    settings=CacheSettings,
    doc="Answers a question that was asked before with the answer it got then.",
)
