"""What all exchanges of one configuration share.

This module must not run anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

from netrunner.errors import Overloaded
from netrunner.interfaces import IClock, ILiveSink, IProvider, IUpstream
from netrunner.pipeline.catalog import Catalog
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.choosing import Choosing
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.live import Live
from netrunner.pipeline.recording import Ledger, Redaction
from netrunner.pipeline.sealed import Seals
from netrunner.pipeline.served import Served
from netrunner.pipeline.stages import ServerTiming
from netrunner.pipeline.telling import Telling
from netrunner.pipeline.tracing import Tracing
from netrunner.routing.names import Names
from netrunner.routing.table import Table
from netrunner.values import Outcome, Record


class Observing:
    """What recordings are made with.

    Args:
        redaction: What is hidden in bodies; None hides nothing.
        secret_header: A further field that holds callers' credentials, lowercase.
        live_sinks: Sinks that want to see exchanges flow.
    """

    def __init__(
        self,
        redaction: Redaction | None = None,
        secret_header: bytes | None = None,
        live_sinks: Sequence[ILiveSink] = (),
    ) -> None:
        self.redaction = redaction
        self.secret_header = secret_header
        self.live_sinks = tuple(live_sinks)


class Unrecorded:
    """In the journal's place for exchanges of which nothing is written down."""

    def begin(self, *exchange: object) -> None:
        """Write nothing."""

    def ended(self, record: Record, refused: bool) -> None:
        """Write nothing."""


class Pipeline:
    """What all exchanges of one configuration share.

    Args:
        chain: The compiled filters.
        table: Names to candidates.
        providers: By name, each with the upstream that carries its requests.
        journal: Takes what begins and what has ended.
        clock: Time.
        max_streams: Most exchanges at once; beyond it 503.
        live: Who looks on.
        observing: What recordings are made with.
        stages: Tells callers where the time went; None tells nothing.
        choosing: What candidates are chosen with.
        names: What names mean; those of the table when not given.
        tracing: Gives exchanges their place in traces; None keeps no traces.
        seals: Of calls, for callers that drop them; kept for this pipeline alone when not given.
    """

    def __init__(
        self,
        chain: Chain,
        table: Table,
        providers: Mapping[str, tuple[IProvider, IUpstream]],
        journal: Ledger,
        clock: IClock,
        max_streams: int,
        live: Live | None = None,
        observing: Observing | None = None,
        stages: ServerTiming | None = None,
        choosing: Choosing | None = None,
        names: Names | None = None,
        tracing: Tracing | None = None,
        seals: Seals | None = None,
    ) -> None:
        self.tracing = tracing
        self.seals = seals or Seals()
        self.telling = Telling()
        """Which streams tell their counts."""
        self.names = names or Names(table.names(), table.unknown_model)
        self.choosing = choosing or Choosing()
        self.choosing.follow(chain.retries)
        self.draining = False
        """Whether nobody waits any more to try again."""
        self.waiting: dict[str, Callable[[], None]] = {}
        """By the ids of exchanges that wait to try again, what ends them at once."""
        self.stages = stages
        self.live = live or Live()
        self.journal = journal
        self.observing = observing or Observing()
        self.chain = chain
        self.table = table
        self.providers: dict[str, Served] = {}
        self.clock = clock
        self.inflight: dict[str, Exchange] = {}
        self._max_streams = max_streams
        for name, (provider, upstream) in providers.items():
            self.admit(name, provider, upstream)
        self.catalog = Catalog(self.names, table.unknown_model, self.providers, clock)

    def admit(self, name: str, provider: IProvider, upstream: IUpstream) -> None:
        """Have ``provider`` serve what is asked of ``name``, its requests carried by ``upstream``."""
        self.providers[name] = Served(name, provider, upstream, self.choosing.counters, self.clock)

    def dismiss(self, name: str) -> None:
        """Serve nothing of ``name`` any more; none of its requests may be in progress."""
        self.providers.pop(name, None)

    def enter(self, exchange: Exchange) -> None:
        """Count an exchange as in flight.

        Raises:
            Overloaded: when there are as many as there may be.
        """
        if len(self.inflight) >= self._max_streams:
            raise Overloaded("Too many requests are in progress.", code="too_many_streams", retry_after_s=1)
        self.inflight[exchange.id] = exchange
        self.live.began(exchange)

    def unrecorded(self) -> Pipeline:
        """Return this pipeline for exchanges of which nothing is recorded, and which no sink sees."""
        other = copy(self)
        other.journal = Unrecorded()
        other.observing = Observing()
        other.tracing = None
        return other

    def unfiltered(self) -> Pipeline:
        """Return this pipeline for exchanges that pass no filter."""
        other = copy(self)
        other.chain = Chain()
        return other

    def hurry(self) -> None:
        """The daemon is about to end: those who wait to try again have failed, and so has who would."""
        self.draining = True
        for give_up in list(self.waiting.values()):
            give_up()

    def ended(self, exchange: Exchange) -> None:
        """Release everything held for ``exchange`` and hand it to the record; called by its one end."""
        self.inflight.pop(exchange.id, None)
        recording = exchange.recording
        if recording is None or recording.entry is None:
            self.journal.ended(exchange.record(), exchange.outcome is not Outcome.DONE)
        if recording is not None:
            recording.end(exchange.record)
        self.live.ended(exchange)
        if self.chain.finish:
            self.chain.on_finish(exchange, exchange.outcome or Outcome.DONE)

    def place(self, provider: str, model: str) -> str:
        """Return where a model is asked for, as a text that differs where another is."""
        return f"{provider} {self.providers[provider].address} {model}"
