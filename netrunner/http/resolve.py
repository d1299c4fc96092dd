"""Names to addresses, by the reactor's resolver.

This module must not choose among addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer


def resolve(reactor: Any, host: str, port: int, found: Callable[[list[Any]], object]) -> Callable[[], None]:
    """Call ``found`` with the addresses of ``host``, perhaps none, perhaps at once; return what makes it not do so."""
    answers = _Answers(found)
    reactor.nameResolver.resolveHostName(answers, host, portNumber=port)
    return answers.forget


@implementer(IResolutionReceiver)
class _Answers:
    """Gathers what a resolver says."""

    def __init__(self, found: Callable[[list[Any]], object]) -> None:
        self._found: Callable[[list[Any]], object] | None = found
        self._addresses: list[IAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do: Twisted's own resolver cannot be stopped."""

    def addressResolved(self, address: IAddress) -> None:
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        if self._found is not None:
            self._found(self._addresses)

    def forget(self) -> None:
        """Tell nobody."""
        self._found = None
