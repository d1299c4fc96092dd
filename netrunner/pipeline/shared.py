"""What all exchanges of one configuration share.

This module must not run anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netrunner.errors import Overloaded
from netrunner.interfaces import IAdapts, IClock, ILiveSink, IPrepares, IProvider, ISpeaksMore, IUpstream
from netrunner.pipeline.catalog import Catalog
from netrunner.pipeline.chain import Chain
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.gap import Gap
from netrunner.pipeline.live import Live
from netrunner.pipeline.recording import Ledger, Redaction
from netrunner.pipeline.stages import ServerTiming
from netrunner.routing.table import Table
from netrunner.settings import Secret
from netrunner.values import Outcome


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
    ) -> None:
        self.stages = stages
        self._spoken = frozenset(
            (name, dialect)
            for name, (one, _) in providers.items()
            for dialect in (one.dialect, *(one.also if ISpeaksMore.providedBy(one) else ()))
        )
        self.live = live or Live()
        self.journal = journal
        self.observing = observing or Observing()
        self.chain = chain
        self.table = table
        self.providers = dict(providers)
        self.catalog = Catalog(table, self.providers, clock)
        self.clock = clock
        self.inflight: dict[str, Exchange] = {}
        self._max_streams = max_streams
        self._gaps = {name: gap for name, (one, _) in providers.items() if (gap := Gap.of(name, clock, one.settings))}
        self._repairing = frozenset(
            name for name, (one, _) in providers.items() if getattr(one.settings, "repair", False)
        )
        self._adapting = frozenset(name for name, (one, _) in self.providers.items() if IAdapts.providedBy(one))
        self._preparing = frozenset(name for name, (one, _) in self.providers.items() if IPrepares.providedBy(one))
        self._keys = {name: key for name, (one, _) in self.providers.items() if (key := _stored_key(one))}
        self._passthrough = self._asking_for("passthrough")
        self._project = self._asking_for("project")

    def _asking_for(self, credential: str) -> frozenset[str]:
        """Return the providers that are configured for a credential of the caller's."""
        return frozenset(
            name for name, (one, _) in self.providers.items() if getattr(one.settings, "api_key", None) == credential
        )

    def enter(self, exchange: Exchange) -> None:
        """Count an exchange as in flight.

        Raises:
            Overloaded: when there are as many as there may be.
        """
        if len(self.inflight) >= self._max_streams:
            raise Overloaded("Too many requests are in progress.", code="too_many_streams", retry_after_s=1)
        self.inflight[exchange.id] = exchange
        self.live.began(exchange)

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

    def prepares(self, provider: str) -> bool:
        """Return whether ``provider`` must get ready before each request."""
        return provider in self._preparing

    def gap_of(self, provider: str) -> Gap | None:
        """Return what keeps the calls of ``provider`` apart, if anything does."""
        return self._gaps.get(provider)

    def adapts(self, provider: str) -> bool:
        """Return whether ``provider`` may leave something out of a request."""
        return provider in self._adapting

    def repairs(self, provider: str) -> bool:
        """Return whether answers of ``provider`` are repaired."""
        return provider in self._repairing

    def speaks(self, provider: str, dialect: str) -> bool:
        """Return whether ``provider`` understands requests of ``dialect`` as they are."""
        return (provider, dialect) in self._spoken

    def key_of(self, exchange: Exchange) -> bytes | None:
        """Return the key that is not the caller's own and that the last attempt was made with, if there is one."""
        return exchange.project_key or self._keys.get(exchange.attempts[-1].provider)

    def authorization(self, exchange: Exchange, provider: str) -> bytes | None:
        """Return what ``provider`` is asked with that is not stored for it: the caller's own, or its project's key.

        Raises:
            Forbidden: ``project_key_missing`` when the project has none.
        """
        exchange.project_key = None
        if provider in self._project and exchange.holder is not None:
            exchange.project_key = exchange.holder.key(provider)
            return b"Bearer " + exchange.project_key
        return exchange.credential() if provider in self._passthrough else None

    def passes_through(self, provider: str) -> bool:
        """Return whether ``provider`` is asked with the caller's own credential."""
        return provider in self._passthrough


def _stored_key(provider: IProvider) -> bytes | None:
    key = getattr(provider.settings, "api_key", None)
    return key.reveal().strip().encode() if isinstance(key, Secret) else None
