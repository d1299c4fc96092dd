"""A provider as exchanges meet it: all that its settings and interfaces say, found out once and not at each request.

This module must not ask a provider to do anything.
"""

from __future__ import annotations

from netrunner.interfaces import IAdapts, IClock, ICounters, IPrepares, IProvider, ISpeaksMore, IUpstream
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.gap import Gap
from netrunner.settings import Secret


class Served:
    """One provider.

    Args:
        name: Of the provider in the configuration.
        provider: Makes its requests.
        upstream: Carries them.
        counters: Keep its calls apart in all processes.
        clock: Time.
    """

    __slots__ = (
        "_of_project", "adapts", "address", "dialects", "gap", "key", "name", "passes_through", "prepares",
        "provider", "repairs", "strict", "upstream",
    )  # fmt: skip

    def __init__(
        self, name: str, provider: IProvider, upstream: IUpstream, counters: ICounters | None, clock: IClock
    ) -> None:
        self.name = name
        settings = provider.settings
        key = getattr(settings, "api_key", None)
        self.provider = provider
        self.upstream = upstream
        self.address: str = getattr(settings, "base_url", "")
        self.dialects = frozenset({provider.dialect, *(provider.also if ISpeaksMore.providedBy(provider) else ())})
        """What it understands as it is."""
        self.repairs = bool(getattr(settings, "repair", False))
        """Whether its answers are repaired."""
        self.adapts: bool = IAdapts.providedBy(provider)
        """Whether it may leave something out of a request."""
        self.strict = bool(getattr(settings, "strict", False))
        """Whether what it would leave out is refused instead."""
        self.prepares: bool = IPrepares.providedBy(provider)
        """Whether it must get ready before each request."""
        self.gap = Gap.of(name, counters, clock, settings)
        """What keeps its calls apart, if anything does."""
        self.key = key.reveal().strip().encode() if isinstance(key, Secret) else b""
        """The one that is stored for it; empty if there is none."""
        self.passes_through = key == "passthrough"
        """Whether it is asked with the caller's own credential."""
        self._of_project = key == "project"

    def authorization(self, exchange: Exchange) -> bytes | None:
        """Return what it is asked with that is not stored for it: the caller's own, or the key of its project.

        Raises:
            Forbidden: ``project_key_missing`` when the project has none.
        """
        exchange.project_key = None
        if self._of_project and exchange.holder is not None:
            exchange.project_key = exchange.holder.key(self.name)
            return b"Bearer " + exchange.project_key
        return exchange.credential() if self.passes_through else None
