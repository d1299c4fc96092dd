"""Looks at whether providers answer, now and then, without asking any model anything.

A look that is answered lets the next request through an open breaker at once, one that is not counts as a failure of
all targets of the provider. What it asks for is the list of models, which costs nothing.

This module must not judge requests of callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netrunner.errors import ExchangeError, UpstreamError
from netrunner.interfaces import IClock, IPrepares, IProvider, IResponseReceiver, IUpstream, IUpstreamCall
from netrunner.routing.targets import Targets, is_down
from netrunner.values import Call, ResponseHead

_LISTS = {"ollama": "tags"}
"""The path of a provider's list of models by its dialect, where that is not ``models``."""


@implementer(IResponseReceiver)
class _Look:
    """One look under way."""

    def __init__(self, looks: Looks, provider: str) -> None:
        self._looks = looks
        self._provider = provider
        self.call: IUpstreamCall | None = None

    def sent(self, reused: bool) -> None:
        """Wait for the answer."""

    def head_received(self, head: ResponseHead) -> None:
        """Tell by the head; the rest of the answer is of no interest."""
        self._looks.seen(self._provider, not is_down(head.status))
        if self.call is not None:
            self.call.abort()

    def body_received(self, data: bytes, last: bool) -> None:
        """Ignore it."""

    def failed(self, error: UpstreamError) -> None:
        """Nobody answered."""
        self._looks.seen(self._provider, False)


class Looks:
    """Looks at providers.

    Args:
        providers: By name, each with the upstream that carries its requests.
        targets: What is known of the targets.
        clock: Time.
        every_s: Seconds between two looks, of each provider that is looked at.
    """

    log = Logger()

    def __init__(
        self,
        providers: Mapping[str, tuple[IProvider, IUpstream]],
        targets: Targets,
        clock: IClock,
        every_s: Mapping[str, float],
    ) -> None:
        self._providers = providers
        self._targets = targets
        self._clock = clock
        self._every_s = every_s
        self._next: dict[str, IDelayedCall] = {}
        self._looking: dict[str, _Look] = {}

    def start(self) -> None:
        """Look at each provider for the first time after its interval."""
        for name in self._every_s:
            self._later(name)

    def stop(self) -> None:
        """Look at nobody any more."""
        for call in self._next.values():
            call.cancel()
        self._next.clear()
        looking, self._looking = self._looking, {}
        for look in looking.values():
            if look.call is not None:
                look.call.abort()

    def seen(self, provider: str, answered: bool) -> None:
        """Take note of what a look at a provider has shown."""
        self._looking.pop(provider, None)
        now = self._clock.seconds()
        for target in self._targets:
            if target.provider == provider:
                target.seen(answered, now)

    def _later(self, name: str) -> None:
        self._next[name] = self._clock.callLater(self._every_s[name], self._look, name)

    def _look(self, name: str) -> None:
        self._later(name)
        if name not in self._looking:
            self._looking[name] = look = _Look(self, name)
            Deferred.fromCoroutine(self._ask(name, look)).addErrback(self._failed, name)

    async def _ask(self, name: str, look: _Look) -> None:
        provider: Any
        provider, upstream = self._providers[name]
        call = Call(b"GET", _LISTS.get(provider.dialect, "models"), b"", [], b"", "", False)
        if IPrepares.providedBy(provider):
            await provider.prepare(call)
        if self._looking.get(name) is look:
            look.call = upstream.send(provider.build(call), look)

    def _failed(self, failure: Failure, name: str) -> None:
        """It could not even be asked; only a failure to reach somebody tells of the provider."""
        if failure.check(UpstreamError):
            self.seen(name, False)
            return
        self._looking.pop(name, None)
        if not failure.check(ExchangeError):
            self.log.failure("a look at the provider {name} failed", failure, name=name)
