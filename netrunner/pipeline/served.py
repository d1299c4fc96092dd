"""A provider as exchanges meet it: all that its settings and interfaces say, found out once and not at each request.

This module must not ask a provider to do anything.
"""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import urlsplit

from netrunner.interfaces import IAdapts, IClock, ICounters, IPrepares, IProvider, ISpeaksMore, IUpstream
from netrunner.journal.masking import credentials_in
from netrunner.pipeline.exchange import Exchange
from netrunner.pipeline.gap import Gap
from netrunner.settings import Secret
from netrunner.values import Call, UpstreamRequest
from netrunner.veil import Keys, keys_of

_BEARER = b"Bearer "


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
        "_keys", "_of_project", "_stored", "adapts", "address", "dialects", "gap", "name", "passes_through",
        "prepares", "provider", "repairs", "strict", "upstream",
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
        self._stored = _stored(settings)
        self._keys = keys_of(self._stored)
        self.passes_through = key == "passthrough"
        """Whether it is asked with the caller's own credential."""
        self._of_project = key == "project"

    def authorization(self, exchange: Exchange) -> bytes | None:
        """Return what it is asked with that is not stored for it: the caller's own, or the key of its project.

        Raises:
            Forbidden: ``project_key_missing`` when the project has none.
        """
        if self._of_project and exchange.holder is not None:
            key: bytes = exchange.holder.key(self.name)
            return _BEARER + key
        return exchange.credential() if self.passes_through else None

    def keys(self, call: Call, request: UpstreamRequest) -> Keys | None:
        """Return what masks the keys that it is asked with and that are not the caller's own; None without any.

        Args:
            call: What it is asked; its project's key is in there.
            request: The same as it is sent; what the provider got for its key is in there.
        """
        if self._of_project and call.authorization is not None:
            return keys_of((*self._stored, call.authorization.removeprefix(_BEARER)))
        if self.prepares and not self.passes_through:
            got = [value.partition(b" ")[2] for name, value in request.headers if name == b"authorization"]
            return keys_of((*self._stored, *got))
        return self._keys


def _stored(settings: Any) -> tuple[bytes, ...]:
    """Return every secret of a provider's settings, those in its address too; what opens a proxy goes to that alone."""
    every = dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ()
    found = [getattr(settings, field.name) for field in every if field.name != "proxy"]
    secrets = [one.reveal().strip().encode() for one in found if isinstance(one, Secret)]
    return (*secrets, *credentials_in(urlsplit(getattr(settings, "base_url", None) or "").query.encode()))
